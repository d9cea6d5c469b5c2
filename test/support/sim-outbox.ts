// The simulated outbox: the real numbering and framing over a store that keeps everything in an array. A crash is
// `simOutbox` called again with the same store and a higher epoch.
import type { Clock } from '../../common/clock.js';
import {
  compareRevisions,
  createOutbox,
  type EventStore,
  type Outbox,
  type OutboxIdentity,
  type StoredItem,
  type StoreStatus,
} from '../../agent/outbox.js';

type EventItem = Extract<StoredItem, { kind: 'event' }>;

/** A disk that never fails and outlives its agents. */
export class SimStore implements EventStore {
  readonly stored: EventItem[] = [];
  /** Highest stream sequence acknowledged. */
  streamSeq = 0;
  private acked = 0;
  /** How many events the open frame has; 0: none is open. */
  private open = 0;
  private readonly frames = new Map<string, number>();

  constructor(private readonly frameEventsMax = 128) {}

  append(epoch: number, seq: number, bytes: Uint8Array): void {
    this.stored.push({ kind: 'event', epoch, seq, bytes });
  }

  nextFrame(): readonly StoredItem[] | undefined {
    const head = this.stored[this.acked];
    if (head === undefined) return undefined;
    const id = `${head.epoch}/${head.seq}`;
    const known = this.frames.get(id);
    const run = this.stored
      .slice(this.acked, this.acked + (known ?? this.frameEventsMax))
      .filter((item) => item.epoch === head.epoch);
    this.frames.set(id, run.length);
    this.open = run.length;
    return run;
  }

  acknowledge(streamSeq: number): void {
    this.acked += this.open;
    this.open = 0;
    this.streamSeq = Math.max(this.streamSeq, streamSeq);
  }

  rewind(): number {
    const again = this.acked;
    this.acked = 0;
    this.open = 0;
    return again;
  }

  status(): StoreStatus {
    return { mode: 'disk', depth: this.stored.length - this.acked, bytes: 0, problem: '' };
  }

  /** In the order in which a reader must see them. */
  isOrdered(): boolean {
    return this.stored.every((item, index) => {
      const before = this.stored[index - 1];
      return before === undefined || compareRevisions(before, item) < 0;
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export const SIM_IDENTITY: OutboxIdentity = {
  host: 'web1',
  hostUid: '00112233445566778899aabbccddeeff',
  epoch: 1_000,
};

/** An outbox over a simulated store. */
export function simOutbox(
  clock: Clock,
  store: EventStore = new SimStore(),
  identity: OutboxIdentity = SIM_IDENTITY,
): Outbox {
  return createOutbox(identity, store, clock);
}
