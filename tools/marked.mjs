// Finds and ends processes by a mark in their environment: whatever a fleet started, however deep, and nothing
// else. Children inherit the mark, so a crashed parent hides nobody. Linux only, like the keeper.
import { readFile, readdir } from 'node:fs/promises';

/** The variable that carries the mark; its value is a folder, so two fleets never touch one another. */
export const MARK = 'FLEETVISOR_MARK';

const POLL_MS = 50;

/** Living processes with `mark`, never ourselves: pid and command line. Zombies do not count. */
export async function listMarked(mark) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.filter((pid) => pid !== process.pid).map(look));
  return found.filter((entry) => entry !== undefined);

  async function look(pid) {
    const environ = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (!environ.split('\0').includes(`${MARK}=${mark}`)) return undefined;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command === '') return undefined;
    return { pid, command: command.replaceAll('\0', ' ').trim() };
  }
}

/** Sends a signal; a process that is gone already is as good. */
export function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Waits until `check` is true; false when `limitMs` passed first. */
export async function waitUntil(check, limitMs) {
  const endMs = performance.now() + limitMs;
  while (!(await check())) {
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** Ends every marked process: SIGTERM, after `graceMs` SIGKILL. Answers those that were still there. */
export async function endMarked(mark, graceMs = 3000) {
  const first = await listMarked(mark);
  for (const { pid } of first) send(pid, 'SIGTERM');
  const isGone = async () => (await listMarked(mark)).length === 0;
  // What dies may leave children behind that were not in the list, so it is read anew each time.
  for (let round = 0; !(await waitUntil(isGone, round === 0 ? graceMs : 1000)); round++) {
    if (round === 10) throw new Error(`processes of ${mark} survive SIGKILL`);
    for (const { pid } of await listMarked(mark)) send(pid, 'SIGKILL');
  }
  return first;
}
