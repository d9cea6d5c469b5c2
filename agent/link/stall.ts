// Notices that this program itself was stopped or wedged, so that a command read afterwards is not taken as fresh.
// Pure; errs on the long side: what may have waited in the socket counts as having waited (spec fleet D33).

/** A callback later than this was not ordinary lateness. */
const LATE_MS = 500;
/** How long after a stall the commands read count as having waited through it. */
const AFTER_MS = 2_000;

/** Fed by everything that happens on one session. Times are monotonic milliseconds. */
export class StallWatch {
  #lastMs: number;
  #dueMs = Infinity;
  #stallMs = 0;
  #untilMs = -Infinity;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  /** When the next timer of the session should fire at the latest. */
  expect(dueMs: number): void {
    this.#dueMs = dueMs;
  }

  /** Something happened now. Returns how long what is read now may have waited, in milliseconds; 0: no stall. */
  observe(nowMs: number): number {
    if (nowMs - this.#dueMs > LATE_MS) {
      const silentMs = nowMs - this.#lastMs;
      this.#stallMs = nowMs < this.#untilMs ? Math.max(this.#stallMs, silentMs) : silentMs;
      this.#untilMs = nowMs + AFTER_MS;
    }
    this.#lastMs = nowMs;
    return nowMs < this.#untilMs ? this.#stallMs : 0;
  }
}
