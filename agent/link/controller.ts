// One controller of the fleet, dialled until closed: one session after another, with growing random pauses.
// Invariant: each controller is tried for ever and on its own; one that is away costs nothing but attempts (spec fleet 3).
import type { Accepted, Rejected } from '../../proto/gen/fleetvisor/v1/session.js';
import { retryDelayMs } from './backoff.js';
import type { ControllerPeer, DialController } from './dial.js';
import { oneLine } from './host.js';
import { Session, type SessionOptions } from './session.js';

/** A refusal that names no time. */
const REFUSED_MS = 30_000;

export interface ControllerLinkOptions extends SessionOptions {
  /** HOST:PORT. */
  readonly address: string;
  readonly dial: DialController;
}

/** Dials one controller until closed. */
export class ControllerLink {
  readonly #options: ControllerLinkOptions;
  readonly #closed = new AbortController();
  #attempt = 0;
  #notBeforeMs = 0;
  #cancelRetry: (() => void) | undefined;
  #live: Session | undefined;
  #lastProblem = '';

  constructor(options: ControllerLinkOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed.signal.aborted) return;
    const { clock, random } = this.#options;
    const jitterMs = retryDelayMs(this.#attempt, random.next());
    const delayMs = jitterMs + Math.max(0, this.#notBeforeMs - clock.nowMs());
    this.#attempt += 1;
    this.#cancelRetry = clock.after(delayMs, () => void this.#connect());
  }

  async #connect(): Promise<void> {
    const { address, dial } = this.#options;
    let peer: ControllerPeer | undefined;
    let problem = 'the controller ended the session';
    try {
      peer = dial(address);
      const live = new Session(
        { ...this.#options, onAccepted: (accepted) => this.#joined(accepted) },
        peer,
      );
      this.#live = live;
      const rejected = await live.run();
      if (rejected !== undefined) problem = this.#rejected(rejected);
    } catch (error) {
      problem = oneLine(error);
    } finally {
      this.#live = undefined;
      peer?.close();
    }
    this.#complain(problem);
    this.#schedule();
  }

  #joined(accepted: Accepted): void {
    this.#attempt = 1;
    this.#notBeforeMs = 0;
    this.#lastProblem = '';
    const { address, log, onAccepted } = this.#options;
    log.log(
      'info',
      `fleet: joined ${accepted.fleet} at controller ${accepted.replica} (${address})`,
    );
    onAccepted(accepted);
  }

  #rejected(rejected: Rejected): string {
    const retryMs = rejected.retryAfterMs > 0 ? rejected.retryAfterMs : REFUSED_MS;
    this.#notBeforeMs = this.#options.clock.nowMs() + retryMs;
    return `refused: ${rejected.reason}: ${rejected.message}`;
  }

  /** Says each new problem once, not at every attempt. */
  #complain(problem: string): void {
    if (this.#closed.signal.aborted || problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    const { address, log } = this.#options;
    log.log('warn', `fleet: controller ${address}: ${problem}; trying again, supervision goes on`);
  }

  /** Ends for good. `leaving`: says goodbye, so that the host counts as left and not as lost. */
  async close(leaving: boolean): Promise<void> {
    this.#closed.abort();
    this.#cancelRetry?.();
    await this.#live?.close(leaving);
  }
}
