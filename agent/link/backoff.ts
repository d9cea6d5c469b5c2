// How long to wait before trying a peer again: full jitter, so that a restart of a controller is no stampede.
// Pure: randomness comes in as a number.

/** Bound of the first attempt: the demo and an agent restart come up quickly (docs/decisions.md). */
const FIRST_MS = 500;
const STEP_MS = 500;
const DELAY_MS_MAX = 30_000;

/**
 * A delay within [0, min(30 s, 0.5 s x 2^attempt)), attempt 0 being the first (spec fleet 3).
 * `random` is in [0, 1).
 */
export function retryDelayMs(attempt: number, random: number): number {
  const bound =
    attempt === 0 ? FIRST_MS : Math.min(DELAY_MS_MAX, STEP_MS * 2 ** Math.min(attempt, 16));
  return random * bound;
}

/** `intervalMs` +-10 %, so that a thousand hosts do not beat in step (spec fleet 4). */
export function jitteredMs(intervalMs: number, random: number): number {
  return intervalMs * (0.9 + 0.2 * random);
}
