// The agent's outgoing events: numbered, stored, then offered to the bus in frames and to the sessions as they come.
// Invariants: an event is stored before anyone hears of it; a frame's bytes never change between attempts; what was
// lost is named by a spool.gap in the place of the lost events, so delivered and named seqs are 1..last (spec fleet 5).
import { Event as WireEvent } from '../proto/gen/fleetvisor/v1/event.js';
import type { Clock } from '../common/clock.js';
import type { FleetEvent } from '../common/rows.js';
import { eventToWire } from '../common/wire.js';
import { numberBody, type EventDraft, type EventSink } from './events.js';

/** A place in a host's history, ordered by epoch, then seq. Both stay below 2^53. */
export interface Revision {
  readonly epoch: number;
  readonly seq: number;
}

/** Negative: a is before b; 0: the same. */
export function compareRevisions(a: Revision, b: Revision): number {
  return a.epoch === b.epoch ? a.seq - b.seq : a.epoch - b.epoch;
}

/** Consecutive seqs of one epoch that no reader can have any more, first..last inclusive. */
export interface LostRun {
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  readonly reason: string;
  /** When the loss was noticed. */
  readonly wallMs: number;
}

/** What a store gives back: an event's encoded bytes, or the mark of a loss. */
export type StoredItem =
  | {
      readonly kind: 'event';
      readonly epoch: number;
      readonly seq: number;
      readonly bytes: Uint8Array;
    }
  | ({ readonly kind: 'lost' } & LostRun);

export interface StoreStatus {
  /** `memory`: the disk refused; the last 10,000 events are kept in memory (spec fleet D22). */
  readonly mode: 'disk' | 'memory';
  /** Events (and gaps) not acknowledged by the bus. */
  readonly depth: number;
  /** What the files take. */
  readonly bytes: number;
  /** Why the mode is `memory`; empty: it is not, or it was asked for. */
  readonly problem: string;
}

/** Where encoded events wait for the bus. Nothing here blocks on anything but the local disk, nothing throws. */
export interface EventStore {
  append(epoch: number, seq: number, bytes: Uint8Array): void;
  /** The oldest unacknowledged items, one epoch, within the frame limits; the same until `acknowledge`. */
  nextFrame(): readonly StoredItem[] | undefined;
  /** The bus has what `nextFrame` gave last. */
  acknowledge(streamSeq: number): void;
  /** Offers everything still held again, in the same frames where known (spec fleet D18); how many events. */
  rewind(): number;
  status(): StoreStatus;
  /** Syncs and closes. Idempotent. */
  close(): Promise<void>;
}

/** One message for the bus: consecutive events of one epoch. */
export interface Frame {
  /** `identifier/epoch/first-last` (spec fleet D17). */
  readonly id: string;
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** An encoded fleetvisor.v1.EventFrame. */
  readonly data: Uint8Array;
}

/** Whose events these are. `epoch` is this life's. */
export interface OutboxIdentity {
  /** The host's identifier in the fleet. */
  readonly host: string;
  readonly hostUid: string;
  readonly epoch: number;
}

/** The port that sessions and the publisher use; the core sees only its EventSink half. */
export interface Outbox extends EventSink {
  readonly identity: OutboxIdentity;
  /** seq of the last event that the sessions carry; 0: none in this epoch. */
  lastStateSeq(): number;
  /** Hears each event after it is stored, in order. Returns the way out. */
  onEvent(listener: (event: FleetEvent) => void): () => void;
  /** The oldest frame the bus has not acknowledged; the same until `acknowledge`; undefined: none. */
  nextFrame(): Frame | undefined;
  /** `streamSeq`: where the bus put it. */
  acknowledge(frame: Frame, streamSeq: number): void;
  rewind(): number;
  status(): StoreStatus;
  close(): Promise<void>;
}

/** State events travel over sessions and form the `prev` chain; payloads go to the bus alone (spec fleet 5). */
export function isStateEvent(event: Pick<FleetEvent, 'body'>): boolean {
  return event.body.kind !== 'payload';
}

/** Puts length-delimited events behind one another: the wire form of EventFrame { repeated Event events = 1 }. */
export function encodeFrame(events: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const bytes of events) {
    const head = [0x0a];
    let length = bytes.length;
    for (; length > 0x7f; length = Math.floor(length / 128)) head.push((length % 128) | 0x80);
    head.push(length);
    parts.push(Uint8Array.from(head), bytes);
  }
  return Buffer.concat(parts);
}

/** The outbox over a store. `clock` stamps events; nothing else depends on time here. */
export function createOutbox(identity: OutboxIdentity, store: EventStore, clock: Clock): Outbox {
  const listeners = new Set<(event: FleetEvent) => void>();
  let seq = 0;
  let stateSeq = 0;
  let open: Frame | undefined;

  function record(draft: EventDraft): FleetEvent {
    seq += 1;
    if (seq > Number.MAX_SAFE_INTEGER) throw new Error('outbox: seq reached 2^53');
    const event: FleetEvent = {
      ...draft,
      ...identity,
      seq,
      prev: stateSeq,
      wallMs: Math.round(clock.wallMs()),
      monoMs: Math.max(0, Math.round(clock.nowMs())),
      body: numberBody(draft.body, seq),
    };
    if (isStateEvent(event)) stateSeq = seq;
    store.append(identity.epoch, seq, WireEvent.encode(eventToWire(event)).finish());
    for (const listener of listeners) listener(event);
    return event;
  }

  /** The gap stands in the place of the last event it names. */
  function gapBytes(lost: LostRun): Uint8Array {
    return WireEvent.encode(
      eventToWire({
        ...identity,
        epoch: lost.epoch,
        seq: lost.last,
        prev: lost.first - 1,
        class: 'P0',
        wallMs: lost.wallMs,
        monoMs: 0,
        type: 'spool.gap',
        group: '',
        process: '',
        cause: '',
        body: {
          kind: 'spool-gap',
          firstSeq: lost.first,
          lastSeq: lost.last,
          reason: lost.reason,
        },
      }),
    ).finish();
  }

  function nextFrame(): Frame | undefined {
    if (open !== undefined) return open;
    const items = store.nextFrame();
    const head = items?.[0];
    const tail = items?.at(-1);
    if (items === undefined || head === undefined || tail === undefined) return undefined;
    const firstSeq = head.kind === 'event' ? head.seq : head.first;
    const lastSeq = tail.kind === 'event' ? tail.seq : tail.last;
    open = {
      id: `${identity.host}/${head.epoch}/${firstSeq}-${lastSeq}`,
      epoch: head.epoch,
      firstSeq,
      lastSeq,
      data: encodeFrame(items.map((item) => (item.kind === 'event' ? item.bytes : gapBytes(item)))),
    };
    return open;
  }

  return {
    identity,
    record,
    lastSeq: () => seq,
    lastStateSeq: () => stateSeq,
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    nextFrame,
    acknowledge(frame, streamSeq) {
      if (frame !== open) return;
      open = undefined;
      store.acknowledge(streamSeq);
    },
    rewind() {
      open = undefined;
      return store.rewind();
    },
    status: () => store.status(),
    close: () => store.close(),
  };
}
