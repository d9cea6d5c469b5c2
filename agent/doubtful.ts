// Watches processes whose parent is gone: nobody will tell their end, so the agent looks whether the pid is there.
// Invariant: costs nothing while there is no such process.
import type { Clock } from '../common/clock.js';
import { startTicks } from '../common/lock.js';
import type { Supervision } from './supervision.js';

const LOOK_EVERY_MS = 1_000;

/** Looks once a second while there is somebody to look for; returns the way to stop. */
export function watchDoubtful(core: Supervision, clock: Clock): () => void {
  let cancel: (() => void) | undefined;
  let stopped = false;
  const arm = (): void => {
    if (stopped || cancel !== undefined) return;
    cancel = clock.after(LOOK_EVERY_MS, look);
  };
  const look = (): void => {
    cancel = undefined;
    for (const { spawn, pid } of core.doubtful())
      if (startTicks(pid) === undefined) core.endUnobserved(spawn, pid);
    if (core.doubtful().length > 0) arm();
  };
  core.onDoubt(arm);
  return () => {
    stopped = true;
    cancel?.();
  };
}
