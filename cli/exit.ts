// What ctl's exit code says, decided in one place (spec fleet 8). Pure.
// Invariant: of several reasons the first of this order counts: 2, denied, locked, unknown outcome, then partly or not at all.
import type { Outcome } from '../common/rows.js';
import { STOPPED_STATES, type Freshness, type ProcessState } from '../common/states.js';

export const EXIT = {
  ok: 0,
  nothingSucceeded: 1,
  usage: 2,
  stopped: 3,
  /** status: not fresh or not there; other verbs: denied. */
  doubtful: 4,
  denied: 4,
  partly: 20,
  outcomeUnknown: 21,
  rolloutPaused: 22,
  rolloutFailed: 23,
  locked: 24,
  noController: 25,
} as const;

/** How many targets came to each outcome. */
export type Tally = Readonly<Partial<Record<Outcome, number>>>;

/** Exit code of a verb that acted. `problems`: selectors that matched nothing. */
export function exitOfResults(tally: Tally, problems: number): number {
  const count = (...outcomes: readonly Outcome[]): number =>
    outcomes.reduce((sum, outcome) => sum + (tally[outcome] ?? 0), 0);
  const all = Object.values(tally).reduce((sum, n) => sum + n, 0);
  const good = count('ok', 'already');
  if (problems > 0 || all === 0) return EXIT.usage;
  if (count('denied') > 0) return EXIT.denied;
  if (count('locked') > 0) return EXIT.locked;
  if (count('timeout', 'interrupted') > 0) return EXIT.outcomeUnknown;
  if (good === all) return EXIT.ok;
  return good > 0 ? EXIT.partly : EXIT.nothingSucceeded;
}

/** What `status` saw: the states shown, how fresh each host is, and selectors that matched nothing. */
export interface StatusSeen {
  readonly states: readonly ProcessState[];
  readonly freshness: readonly Freshness[];
  readonly problems: number;
}

/** Exit code of `status`: doubt about what is shown comes before what is shown. */
export function exitOfStatus(seen: StatusSeen): number {
  if (seen.problems > 0 || seen.freshness.some((freshness) => freshness !== 'fresh')) {
    return EXIT.doubtful;
  }
  return seen.states.some((state) => STOPPED_STATES.has(state)) ? EXIT.stopped : EXIT.ok;
}

/** Exit code when a rollout stands still or has ended; undefined while it goes on. */
export function exitOfRollout(state: string): number | undefined {
  switch (state) {
    case 'completed':
      return EXIT.ok;
    case 'paused':
      return EXIT.rolloutPaused;
    case 'aborted':
    case 'failed':
    case 'rolled_back':
      return EXIT.rolloutFailed;
    default:
      return undefined;
  }
}
