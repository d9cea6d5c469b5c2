// A lock file that dies with its holder: it names a process by pid, kernel start time and boot id.
// Invariant: of two takers at most one holds it; a holder that is gone never keeps it.
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';

export type LockResult =
  | { readonly held: true; readonly release: () => void }
  | { readonly held: false; readonly pid: number };

/** Kernel start time of a process in clock ticks since boot; undefined when there is no such process. */
export function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the name in parentheses, which may hold blanks and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    if (fields[0] === 'Z') return undefined;
    return Number(fields[19]);
  } catch {
    return undefined;
  }
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** How often a stale lock is broken before the taker gives up to another. */
const TRIES_MAX = 10;

/** Takes the lock, or says who has it. Throws the system's error when the folder cannot be written. */
export function acquireLock(path: string): LockResult {
  const mine = `${process.pid} ${startTicks(process.pid) ?? 0} ${bootId()}\n`;
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, mine, { mode: 0o600 });
  try {
    for (let i = 0; i < TRIES_MAX; i++) {
      if (linked(fresh, path)) return { held: true, release: () => releaseLock(path, mine) };
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (isAlive(holder)) return { held: false, pid: holder.pid };
      breakLock(path, holder.text);
    }
    return { held: false, pid: readHolder(path)?.pid ?? 0 };
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** `link` is atomic: the lock appears with its content, or not at all. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

interface Holder {
  readonly text: string;
  readonly pid: number;
  readonly ticks: number;
  readonly boot: string;
}

function readHolder(path: string): Holder | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    const [pid, ticks, boot] = text.trim().split(' ');
    return { text, pid: Number(pid), ticks: Number(ticks), boot: boot ?? '' };
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  return holder.boot === bootId() && startTicks(holder.pid) === holder.ticks;
}

/** Moves the stale lock aside; if another taker was quicker and we moved its lock, puts that back. */
function breakLock(path: string, stale: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== stale) linked(aside, path);
    unlinkSync(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function releaseLock(path: string, mine: string): void {
  try {
    if (readFileSync(path, 'utf8') === mine) unlinkSync(path);
  } catch {
    // Gone already: nothing is held.
  }
}
