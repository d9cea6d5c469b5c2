// The events that the spool had to give up, until the bus has been told of them. Pure.
// Invariants: runs are sorted and never touch each other within an epoch; what was told once is not told again.
import { compareRevisions, type LostRun, type Revision } from './outbox.js';

/** Beyond it the oldest are forgotten; within an epoch they still show as a hole in the seqs. */
const RUNS_MAX = 1_000;

export const endOf = (run: LostRun): Revision => ({ epoch: run.epoch, seq: run.last });

export class Losses {
  #runs: LostRun[] = [];

  get runs(): readonly LostRun[] {
    return this.#runs;
  }

  /** Runs of one epoch that touch or overlap become one. */
  add(run: LostRun): void {
    const joined: LostRun[] = [];
    for (const next of [...this.#runs, run].sort((a, b) => compareRevisions(endOf(a), endOf(b)))) {
      const before = joined.at(-1);
      if (before?.epoch !== next.epoch || next.first > before.last + 1) joined.push(next);
      else {
        const first = Math.min(before.first, next.first);
        joined[joined.length - 1] = { ...before, first, last: next.last };
      }
    }
    if (joined.length > RUNS_MAX) joined.shift();
    this.#runs = joined;
  }

  /** The first loss behind `last`, without what was told of it already. */
  after(last: Revision): LostRun | undefined {
    const run = this.#runs.find((lost) => compareRevisions(endOf(lost), last) > 0);
    if (run?.epoch !== last.epoch) return run;
    return { ...run, first: Math.max(run.first, last.seq + 1) };
  }

  forgetUpTo(acked: Revision): void {
    this.#runs = this.#runs.filter((run) => compareRevisions(endOf(run), acked) > 0);
  }
}
