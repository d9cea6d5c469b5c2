// What one session still has to send. A controller that reads slowly costs a bounded queue, never memory or a stop.
// Invariants: messages leave in the order in which they came; when events overflow they are all replaced by one
// snapshot, which says the same (spec fleet 6: the view is a snapshot and what changed since).
import type { MessageStream } from '../../common/rpc.js';

/** Messages handed to the transport and not taken yet, beyond which we keep the rest ourselves. */
const IN_FLIGHT_MAX = 8;
const EVENTS_MAX = 1_000;

interface Queued<Out> {
  readonly message: Out;
  readonly isEvent: boolean;
}

/** `makeSnapshot` is asked when events had to be dropped, once there is room again. */
export class Outgoing<Out> {
  readonly #stream: Pick<MessageStream<never, Out>, 'send' | 'pending'>;
  readonly #makeSnapshot: () => readonly Out[];
  #queue: Queued<Out>[] = [];
  #events = 0;
  #overflowed = false;

  constructor(
    stream: Pick<MessageStream<never, Out>, 'send' | 'pending'>,
    makeSnapshot: () => readonly Out[],
  ) {
    this.#stream = stream;
    this.#makeSnapshot = makeSnapshot;
  }

  /** The other end takes nothing at present. */
  get isBlocked(): boolean {
    return this.#queue.length > 0 || this.#stream.pending >= IN_FLIGHT_MAX;
  }

  /** Must arrive: registration, snapshots, results. Their number is bounded by who asks for them. */
  put(message: Out): void {
    this.#take({ message, isEvent: false });
  }

  putEvent(message: Out): void {
    if (this.#overflowed) return;
    if (this.#events >= EVENTS_MAX) {
      this.#queue = this.#queue.filter((queued) => !queued.isEvent);
      this.#events = 0;
      this.#overflowed = true;
      return;
    }
    this.#take({ message, isEvent: true });
  }

  #take(queued: Queued<Out>): void {
    if (this.isBlocked) {
      this.#queue.push(queued);
      if (queued.isEvent) this.#events += 1;
    } else this.#send(queued.message);
  }

  #send(message: Out): void {
    void this.#stream.send(message).then((taken) => {
      if (taken) this.#drain();
    });
  }

  #drain(): void {
    while (this.#stream.pending < IN_FLIGHT_MAX) {
      const queued = this.#queue.shift();
      if (queued === undefined) break;
      if (queued.isEvent) this.#events -= 1;
      this.#send(queued.message);
    }
    if (!this.#overflowed || this.isBlocked) return;
    this.#overflowed = false;
    for (const message of this.#makeSnapshot()) this.put(message);
  }
}
