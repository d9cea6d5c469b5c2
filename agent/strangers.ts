// Children of an earlier life that nobody is configured for: left alone while the agent runs, stopped when it ends.
// Invariant: bounded; what resists SIGKILL stays with the keeper and is said.
import type { Clock } from '../common/clock.js';
import type { Stranger } from './adopt.js';
import type { ActivityLog } from './logs/activity.js';
import type { Spawner } from './spawner.js';

const SIGTERM = 15;
const SIGKILL = 9;
const TERM_WAIT_MS = 10_000;
const KILL_WAIT_MS = 2_000;
const LOOK_EVERY_MS = 50;

/** Stops those that still live, with their process groups: SIGTERM, then SIGKILL. Never rejects. */
export async function stopStrangers(
  spawner: Spawner,
  strangers: readonly Stranger[],
  clock: Clock,
  log: ActivityLog,
): Promise<void> {
  let left = strangers.map(({ record }) => record.spawn);
  for (const [signal, waitMs] of [
    [SIGTERM, TERM_WAIT_MS],
    [SIGKILL, KILL_WAIT_MS],
  ] as const) {
    if (left.length === 0) return;
    await Promise.all(left.map((spawn) => spawner.signal(spawn, signal, 'group')));
    const untilMs = clock.nowMs() + waitMs;
    do {
      left = await stillAlive(spawner, left);
      if (left.length > 0)
        await new Promise<void>((resolve) => clock.after(LOOK_EVERY_MS, resolve));
    } while (left.length > 0 && clock.nowMs() < untilMs);
  }
  if (left.length > 0) log.log('warn', `${left.length} unconfigured children would not end`);
}

async function stillAlive(spawner: Spawner, spawns: readonly number[]): Promise<number[]> {
  try {
    const records = await spawner.list();
    for (const record of records) {
      if (record.exit === undefined || !spawns.includes(record.spawn)) continue;
      spawner.acknowledgeExit(record.spawn);
      spawner.releaseOutput(record.spawn);
    }
    const alive = records.filter((record) => record.exit === undefined);
    return alive.map((record) => record.spawn).filter((spawn) => spawns.includes(spawn));
  } catch {
    return [];
  }
}
