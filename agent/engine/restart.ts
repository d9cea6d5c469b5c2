// Whether and when supervision restarts a process that ended by itself (spec process 3).
// A first crash costs nothing: restarts are immediate until children in a row have ended fast.
import type { ExitStatus, ProcessPolicy } from './types.js';

/** A child that ran shorter than this ended fast. */
const FAST_EXIT_MS = 1000;
/** So many fast ends in a row are restarted at once; after them, starts are FAST_EXIT_MS apart. */
const FAST_EXITS_MAX = 10;

/** Whether supervision itself starts a process after this exit (spec process 3). */
export function isRestartDue(policy: ProcessPolicy, exit: ExitStatus | undefined): boolean {
  if (policy.autorestart === 'unexpected') return !isExpected(policy, exit);
  return policy.autorestart === 'always';
}

/** Whether the exit code is among `exitcodes`; death by signal and unseen exits never are. */
export function isExpected(policy: ProcessPolicy, exit: ExitStatus | undefined): boolean {
  return exit?.kind === 'code' && policy.exitCodes.includes(exit.code);
}

/** How many children in a row have now ended fast. */
export function countFastExits(before: number, livedMs: number): number {
  return livedMs < FAST_EXIT_MS ? before + 1 : 0;
}

/** When the restart may happen: now, or a second after the start of the child that ended fast once too often. */
export function restartAtMs(fastExits: number, startedAtMs: number, nowMs: number): number {
  if (fastExits <= FAST_EXITS_MAX) return nowMs;
  return Math.max(nowMs, startedAtMs + FAST_EXIT_MS);
}
