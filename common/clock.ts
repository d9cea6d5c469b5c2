// Time as a port: monotonic milliseconds drive behaviour, wall milliseconds are display only.

export interface Clock {
  /** Monotonic milliseconds since the machine started; never goes back, comparable between its processes. */
  nowMs(): number;
  /** Wall clock, milliseconds since 1970 UTC; may jump, so nothing may depend on it. */
  wallMs(): number;
  /** Calls `callback` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Resolves after `delayMs`, or at once when `signal` fires. Never rejects. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** The longest delay a Node timer takes before it wraps to 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's clocks and timers. */
export const systemClock: Clock = {
  // CLOCK_MONOTONIC, not performance.now(): the keeper stamps its notices on the same scale.
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};
