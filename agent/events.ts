// The port through which the core numbers what happened on this host. The fleet's outbox is one implementation;
// without a fleet a plain counter is enough. Invariant: seq grows by one with each event, from 1 in each epoch.
import type { Clock } from '../common/clock.js';
import type { EventBody, EventClass, FleetEvent } from '../common/rows.js';

/** An event before it has a number. Rows inside the body carry seq 0; `record` sets it (`numberBody`). */
export interface EventDraft {
  /** e.g. `process.state`, `group.added`, `agent.running`. */
  readonly type: string;
  readonly class: EventClass;
  /** Empty when the event is about no group or process. */
  readonly group: string;
  readonly process: string;
  /** Command id, rollout id, or empty. */
  readonly cause: string;
  readonly body: EventBody;
}

/** Takes facts in the order in which they happened. */
export interface EventSink {
  /** Numbers the event and takes it over for delivery; never blocks and never throws. */
  record(draft: EventDraft): FleetEvent;
  /** The seq of the last event recorded; 0: none in this epoch. */
  lastSeq(): number;
}

/** The body with the event's number written into its rows. */
export function numberBody(body: EventBody, seq: number): EventBody {
  switch (body.kind) {
    case 'process-changed':
      return { ...body, row: { ...body.row, seq } };
    case 'group-added':
      return { ...body, rows: body.rows.map((row) => ({ ...row, seq })) };
    default:
      return body;
  }
}

/** Whether an event changes the status of a process, so that it enters the `prev` chain (spec fleet 5). */
export function isStateBody(body: EventBody): boolean {
  return (
    body.kind === 'process-changed' || body.kind === 'group-added' || body.kind === 'group-removed'
  );
}

/** The sink of an agent without a fleet: numbers events and keeps none. */
export function countingSink(
  host: string,
  hostUid: string,
  epoch: number,
  clock: Clock,
): EventSink {
  let seq = 0;
  let prev = 0;
  return {
    record(draft) {
      seq += 1;
      const event: FleetEvent = {
        ...draft,
        host,
        hostUid,
        epoch,
        seq,
        prev,
        wallMs: clock.wallMs(),
        monoMs: clock.nowMs(),
        body: numberBody(draft.body, seq),
      };
      if (isStateBody(draft.body)) prev = seq;
      return event;
    },
    lastSeq: () => seq,
  };
}
