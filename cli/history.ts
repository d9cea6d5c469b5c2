// The order in which past events are shown: by wall time over hosts, by (epoch, seq) within one (spec fleet D15).
// Pure. Invariant: however a host's clock jumped, its own events stay in its own order.
import type { FleetEvent } from '../common/rows.js';

/** Sorted copies of what was handed in; events of one host must arrive in that host's order. */
export function sortHistory(events: readonly FleetEvent[]): FleetEvent[] {
  const latest = new Map<string, number>();
  const placed = events.map((event, index) => {
    const source = `${event.host} ${event.hostUid}`;
    // A clock set back must not move an event in front of its predecessors.
    const atMs = Math.max(event.wallMs, latest.get(source) ?? 0);
    latest.set(source, atMs);
    return { event, index, atMs };
  });
  placed.sort(
    (a, b) =>
      a.atMs - b.atMs ||
      (a.event.host < b.event.host ? -1 : a.event.host > b.event.host ? 1 : a.index - b.index),
  );
  return placed.map(({ event }) => event);
}
