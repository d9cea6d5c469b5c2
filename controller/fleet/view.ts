// The view: per host (rows, cursor), fed by state events from either path and by snapshots (spec fleet 6).
// Invariants: a cursor never goes back within a host's life; rows are exactly the host's rows at the cursor;
// an event is applied at most once; at most HELD_MAX events wait per host. Pure: time is handed in.
import { nameKey } from '../../common/names.js';
import type { FleetEvent, ProcessRow } from '../../common/rows.js';

/** Events that wait for the ones before them, per host. */
export const HELD_MAX = 1_000;
/** How long they wait before a snapshot is asked for, milliseconds. */
export const HELD_MS = 2_000;

/** One thing that became different. `event` is undefined when a snapshot told it. */
export type ViewChange =
  | {
      readonly kind: 'row';
      readonly row: ProcessRow;
      readonly previous: ProcessRow | undefined;
      readonly event: FleetEvent | undefined;
    }
  | { readonly kind: 'removed'; readonly row: ProcessRow; readonly event: FleetEvent | undefined };

/**
 * What became of an event or snapshot. `duplicate` and `stale` changed nothing; `held` waits;
 * `resync`: only a snapshot can go on from here.
 */
export type ViewVerdict = 'applied' | 'duplicate' | 'stale' | 'held' | 'resync';

export interface ViewResult {
  readonly verdict: ViewVerdict;
  readonly changes: readonly ViewChange[];
}

/** A host's whole state at (epoch, seq). */
export interface HostSnapshot {
  readonly epoch: number;
  readonly seq: number;
  readonly rows: readonly ProcessRow[];
}

interface HostEntry {
  /** 0: no snapshot yet. */
  epoch: number;
  seq: number;
  rows: Map<string, ProcessRow>;
  /** In order of (epoch, seq), each once. */
  held: FleetEvent[];
  heldSinceMs: number;
  resyncWanted: boolean;
}

const NOTHING: readonly ViewChange[] = [];

/** All hosts of one replica's view. */
export class FleetView {
  private readonly hosts = new Map<string, HostEntry>();

  /** The revision of the last state applied; undefined: no snapshot yet. */
  cursor(host: string): { readonly epoch: number; readonly seq: number } | undefined {
    const entry = this.hosts.get(host);
    return entry === undefined || entry.epoch === 0
      ? undefined
      : { epoch: entry.epoch, seq: entry.seq };
  }

  /** In no particular order; empty for an unknown host. */
  rows(host: string): readonly ProcessRow[] {
    const entry = this.hosts.get(host);
    return entry === undefined ? [] : [...entry.rows.values()];
  }

  row(host: string, group: string, process: string): ProcessRow | undefined {
    return this.hosts.get(host)?.rows.get(nameKey({ group, process }));
  }

  processCount(host: string): number {
    return this.hosts.get(host)?.rows.size ?? 0;
  }

  /** Takes one state event, from either path. */
  applyEvent(event: FleetEvent, nowMs: number): ViewResult {
    const entry = this.entry(event.host);
    if (event.epoch < entry.epoch) return { verdict: 'stale', changes: NOTHING };
    if (event.epoch === entry.epoch && event.seq <= entry.seq) {
      return { verdict: 'duplicate', changes: NOTHING };
    }
    if (event.epoch > entry.epoch || event.prev > entry.seq) {
      if (!hold(entry, event, nowMs)) return { verdict: 'duplicate', changes: NOTHING };
      const full = entry.held.length >= HELD_MAX;
      if (event.epoch > entry.epoch || full || event.body.kind === 'spool-gap') {
        entry.resyncWanted = true;
      }
      return { verdict: entry.resyncWanted ? 'resync' : 'held', changes: NOTHING };
    }
    const changes: ViewChange[] = [];
    apply(entry, event, changes);
    this.drain(entry, nowMs, changes);
    return { verdict: entry.resyncWanted ? 'resync' : 'applied', changes };
  }

  /** Replaces everything known of the host, unless the view has already gone beyond the snapshot. */
  applySnapshot(host: string, snapshot: HostSnapshot, nowMs: number): ViewResult {
    const entry = this.entry(host);
    if (
      snapshot.epoch < entry.epoch ||
      (snapshot.epoch === entry.epoch && snapshot.seq < entry.seq)
    ) {
      return { verdict: 'stale', changes: NOTHING };
    }
    const changes: ViewChange[] = [];
    const before = entry.rows;
    entry.rows = new Map(snapshot.rows.map((row) => [nameKey(row), row]));
    entry.epoch = snapshot.epoch;
    entry.seq = snapshot.seq;
    entry.resyncWanted = false;
    for (const [key, row] of before) {
      if (!entry.rows.has(key)) changes.push({ kind: 'removed', row, event: undefined });
    }
    for (const [key, row] of entry.rows) {
      const previous = before.get(key);
      if (previous === undefined || !sameRow(previous, row)) {
        changes.push({ kind: 'row', row, previous, event: undefined });
      }
    }
    entry.held = entry.held.filter(
      (event) =>
        event.epoch > entry.epoch || (event.epoch === entry.epoch && event.seq > entry.seq),
    );
    entry.heldSinceMs = nowMs;
    this.drain(entry, nowMs, changes);
    return { verdict: 'applied', changes };
  }

  /** Hosts whose missing events have not come in time, or that need a snapshot for another reason. */
  resyncsWanted(nowMs: number): readonly string[] {
    const hosts: string[] = [];
    for (const [host, entry] of this.hosts) {
      if (entry.held.length > 0 && nowMs - entry.heldSinceMs >= HELD_MS) entry.resyncWanted = true;
      if (entry.resyncWanted) hosts.push(host);
    }
    return hosts;
  }

  /** The host's rows and ours differ at an equal cursor: only a snapshot can tell (spec fleet 6). */
  distrust(host: string): void {
    this.entry(host).resyncWanted = true;
  }

  /** Another machine took the name: its epochs cannot be compared with the ones before. Rows stay until its snapshot. */
  rebind(host: string): void {
    const entry = this.entry(host);
    entry.epoch = 0;
    entry.seq = 0;
    entry.held = [];
    entry.resyncWanted = false;
  }

  private entry(host: string): HostEntry {
    let entry = this.hosts.get(host);
    if (entry === undefined) {
      entry = { epoch: 0, seq: 0, rows: new Map(), held: [], heldSinceMs: 0, resyncWanted: false };
      this.hosts.set(host, entry);
    }
    return entry;
  }

  /** Applies what waited and is now next. */
  private drain(entry: HostEntry, nowMs: number, changes: ViewChange[]): void {
    let taken = 0;
    for (const event of entry.held) {
      if (event.epoch !== entry.epoch || event.prev > entry.seq) break;
      if (event.seq > entry.seq) apply(entry, event, changes);
      taken += 1;
    }
    if (taken > 0) {
      entry.held.splice(0, taken);
      entry.heldSinceMs = nowMs;
    }
    if (entry.held.some((event) => event.epoch > entry.epoch)) entry.resyncWanted = true;
  }
}

/** Keeps the order; the oldest gives way when full, since a snapshot will most likely cover it. False: had it. */
function hold(entry: HostEntry, event: FleetEvent, nowMs: number): boolean {
  let at = entry.held.length;
  while (at > 0 && isBefore(event, entry.held[at - 1] as FleetEvent)) at -= 1;
  const left = entry.held[at - 1];
  if (left !== undefined && left.epoch === event.epoch && left.seq === event.seq) return false;
  if (entry.held.length === 0) entry.heldSinceMs = nowMs;
  entry.held.splice(at, 0, event);
  if (entry.held.length > HELD_MAX) entry.held.shift();
  return true;
}

function isBefore(a: FleetEvent, b: FleetEvent): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);
}

function apply(entry: HostEntry, event: FleetEvent, changes: ViewChange[]): void {
  entry.seq = event.seq;
  const put = (row: ProcessRow): void => {
    const key = nameKey(row);
    changes.push({ kind: 'row', row, previous: entry.rows.get(key), event });
    entry.rows.set(key, row);
  };
  switch (event.body.kind) {
    case 'process-changed':
      put(event.body.row);
      break;
    case 'group-added':
      event.body.rows.forEach(put);
      break;
    case 'group-removed':
      for (const [key, row] of entry.rows) {
        if (row.group !== event.body.group) continue;
        entry.rows.delete(key);
        changes.push({ kind: 'removed', row, event });
      }
      break;
    case 'spool-gap':
      // What was lost may have changed anything.
      entry.resyncWanted = true;
      break;
    case 'agent-changed':
    case 'host-changed':
    case 'payload':
      break;
  }
}

function sameRow(a: ProcessRow, b: ProcessRow): boolean {
  for (const key of Object.keys(a) as (keyof ProcessRow)[]) {
    if (key !== 'exit' && a[key] !== b[key]) return false;
  }
  if (a.exit === undefined || b.exit === undefined) return a.exit === b.exit;
  if (a.exit.kind === 'code') return b.exit.kind === 'code' && a.exit.code === b.exit.code;
  if (a.exit.kind === 'signal') return b.exit.kind === 'signal' && a.exit.signal === b.exit.signal;
  return b.exit.kind === 'unobserved';
}
