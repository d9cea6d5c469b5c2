// Brings the outbox's frames to the bus, one in flight, each retried byte for byte until it is acknowledged.
// Invariants: frames leave in order; nothing waits here (the outbox is the buffer); a bus that is away, full or hung
// costs an attempt now and then and nothing else (spec fleet D16-D18).
import { BusError, type Bus } from '../../common/bus.js';
import type { Clock } from '../../common/clock.js';
import type { Random } from '../../common/random.js';
import { eventSubject } from '../../common/subjects.js';
import type { ActivityLog } from '../logs/activity.js';
import type { Frame, Outbox } from '../outbox.js';
import { retryDelayMs } from './backoff.js';

/** How long a first event waits for company when nothing is in flight (spec fleet D17). */
const GATHER_MS = 20;

export interface PublisherOptions {
  readonly outbox: Outbox;
  readonly bus: Pick<Bus, 'publishStored' | 'onStatus' | 'status'>;
  readonly fleet: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ActivityLog;
}

/** Publishes from construction until `close`. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #subject: string;
  #state: 'idle' | 'waiting' | 'publishing' | 'closed' = 'idle';
  #cancelTimer: (() => void) | undefined;
  #failures = 0;
  #isConnected: boolean;
  /** The highest place in the stream that an acknowledgement named. */
  #streamSeq = 0;
  #unsubscribe: () => void;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { outbox, bus, fleet } = options;
    this.#subject = eventSubject(fleet, outbox.identity.host);
    this.#isConnected = bus.status().kind === 'connected';
    this.#unsubscribe = outbox.onEvent(() => this.#wake(GATHER_MS));
    bus.onStatus((status) => {
      this.#isConnected = status.kind === 'connected';
      if (this.#isConnected) this.#retryNow();
    });
    this.#wake(0);
  }

  /** The bus came back: what waits for a later attempt is tried now. */
  #retryNow(): void {
    if (this.#state === 'waiting') this.#idle();
    this.#wake(0);
  }

  #idle(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#state = 'idle';
  }

  #wake(delayMs: number): void {
    if (this.#state !== 'idle' || !this.#isConnected) return;
    this.#state = 'waiting';
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      if (this.#state !== 'waiting') return;
      this.#idle();
      void this.#publish();
    });
  }

  async #publish(): Promise<void> {
    const { outbox, bus, random } = this.#options;
    const frame = outbox.nextFrame();
    if (frame === undefined) return;
    this.#state = 'publishing';
    let nextMs = 0;
    try {
      const { streamSeq, duplicate } = await bus.publishStored(this.#subject, frame.data, frame.id);
      if (this.#isClosed()) return;
      this.#acknowledged(frame, streamSeq, duplicate);
    } catch (error) {
      if (this.#isClosed()) return;
      this.#failures += 1;
      nextMs = retryDelayMs(this.#failures, random.next());
      this.#complain(error);
    }
    this.#idle();
    this.#wake(nextMs);
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #acknowledged(frame: Frame, streamSeq: number, duplicate: boolean): void {
    const { outbox, log } = this.#options;
    if (this.#failures > 0) log.log('info', 'fleet: events reach the bus again');
    this.#failures = 0;
    outbox.acknowledge(frame, streamSeq);
    // A new message below one that was acknowledged: the bus has lost what it had promised to keep (spec fleet D18).
    const hasForgotten = !duplicate && streamSeq <= this.#streamSeq;
    if (!hasForgotten) {
      this.#streamSeq = Math.max(this.#streamSeq, streamSeq);
      return;
    }
    const detail = `stream sequence ${streamSeq} after ${this.#streamSeq}`;
    this.#streamSeq = streamSeq;
    const events = outbox.rewind();
    log.log(
      'warn',
      `fleet: the bus has lost acknowledged events (${detail}); sending ${events} again`,
    );
    outbox.record({
      type: 'bus.regressed',
      class: 'P0',
      group: '',
      process: '',
      cause: '',
      body: { kind: 'agent-changed', state: 'bus-regressed', detail },
    });
  }

  #complain(error: unknown): void {
    if (this.#failures !== 1) return;
    const reason = error instanceof BusError ? error.message : String(error);
    const text = `fleet: events cannot be published: ${reason}; they wait on this host`;
    this.#options.log.log('warn', text);
  }

  /** Gives up what is in flight; the outbox still has it. Idempotent. */
  close(): void {
    this.#unsubscribe();
    this.#idle();
    this.#state = 'closed';
  }
}
