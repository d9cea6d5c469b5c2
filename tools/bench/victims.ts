// Programs that are killed to be started again, in turn: each has lived for more than a second when its turn comes,
// so that nobody takes it for one that ends fast (our engine spaces the starts of those).
import { nowMs, poll } from './clock.js';
import type { Stamps } from './follow.js';

/** Enough that a turn takes seconds. */
export const VICTIMS = 40;
const LIVES_MS = 1_200;

interface Victim {
  readonly pid: number;
  readonly atMs: number;
}

export interface Kill {
  readonly killedAtMs: number;
  /** Stamped by the successor itself, first thing in main(). */
  readonly startedAtMs: number;
}

export class Victims {
  private readonly queue: Victim[] = [];

  /** `count` programs run `load stamp` with the same stamps. */
  constructor(
    private readonly stamps: Stamps,
    private readonly count: number,
  ) {}

  /** Kills the one that has lived longest and waits for its successor. */
  async killNext(): Promise<Kill> {
    const isFull = (): boolean => {
      this.queue.push(...this.stamps.next());
      return this.queue.length >= this.count;
    };
    await poll('every program to run', isFull, { everyMs: 1 });
    const victim = this.queue.shift();
    if (victim === undefined) throw new Error('no program to kill');
    await poll('a program to be old enough', () => nowMs() > victim.atMs + LIVES_MS);
    const killedAtMs = nowMs();
    process.kill(victim.pid, 'SIGKILL');
    await poll('a successor', isFull, { everyMs: 1 });
    return { killedAtMs, startedAtMs: this.queue.at(-1)?.atMs ?? NaN };
  }
}
