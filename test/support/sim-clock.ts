// Virtual time: `advance` runs what is due, in order, and lets promises settle in between.
import type { Clock } from '../../common/clock.js';

/** Lets every promise that can settle now do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class SimClock implements Clock {
  private now = 0;
  private readonly timers = new Set<{ atMs: number; run: () => void }>();
  /** Wall minus monotonic; change it to make the wall clock jump. */
  wallOffsetMs = 1_700_000_000_000;

  nowMs(): number {
    return this.now;
  }

  wallMs(): number {
    return this.now + this.wallOffsetMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.now + Math.max(0, delayMs), run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Passes `ms`, stopping at each timer on the way. */
  async advance(ms: number): Promise<void> {
    const endMs = this.now + ms;
    await settle();
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.timers.delete(next);
      this.now = Math.max(this.now, next.atMs);
      next.run();
      await settle();
    }
    this.now = endMs;
    await settle();
  }
}
