// What the agent knew of each process, for its next life after a crash: a small journal in the state directory.
// Invariants: valid only within one boot of the machine; a clean shutdown empties it, so that a start after one
// begins afresh; it is advice beside the keeper's list, never proof that a child lives.
import { closeSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { nameKey } from '../common/names.js';
import { PROCESS_STATES, type ProcessState } from '../common/states.js';
import type { ExitStatus, ProcessFacts } from './engine/types.js';

/** One process as the last life saw it. Times are monotonic milliseconds of the same boot. */
export interface Remembered {
  readonly state: ProcessState;
  readonly spawn: number;
  readonly pid: number;
  readonly attempts: number;
  readonly reason: string;
  readonly exit: ExitStatus | undefined;
  readonly lastStartAtMs: number | undefined;
  readonly lastStopAtMs: number | undefined;
}

const FILE = 'processes.jsonl';
/** The journal is written anew when it has grown past this. */
const JOURNAL_BYTES_MAX = 1024 * 1024;

/** The journal. Without a directory it remembers nothing. */
export class ProcessMemory {
  /** By `group:process`: what the life before this one noted last. */
  readonly previous: ReadonlyMap<string, Remembered>;
  readonly #path: string | undefined;
  readonly #bootId: string;
  readonly #warn: (text: string) => void;
  readonly #present = new Map<string, Remembered>();
  #fd: number | undefined;
  #bytes = 0;

  constructor(dir: string | undefined, bootId: string, warn: (text: string) => void) {
    this.#path = dir === undefined ? undefined : join(dir, FILE);
    this.#bootId = bootId;
    this.#warn = warn;
    this.previous = this.#path === undefined ? new Map() : readJournal(this.#path, bootId);
    // Until the first compaction both lives stand in the journal: a crash now loses nothing.
    for (const [key, remembered] of this.previous) this.#present.set(key, remembered);
    this.#compact();
  }

  /** Notes how a process stands now. Survives the agent's death, not the machine's, which needs none of it. */
  note(facts: ProcessFacts): void {
    const key = nameKey(facts.name);
    const { state, spawn, pid, attempts, reason, exit, lastStartAtMs, lastStopAtMs } = facts;
    this.#present.set(key, {
      state,
      spawn,
      pid,
      attempts,
      reason,
      exit,
      lastStartAtMs,
      lastStopAtMs,
    });
    this.#append(key);
  }

  /** Drops everything: what stands configured next time starts as if for the first time. */
  forget(): void {
    this.#present.clear();
    this.#compact();
  }

  /** Drops one process, which is configured no longer. */
  remove(key: string): void {
    if (this.#present.delete(key)) this.#compact();
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #append(key: string): void {
    if (this.#fd === undefined) return;
    const line = `${JSON.stringify([key, this.#present.get(key)])}\n`;
    try {
      this.#bytes += writeSync(this.#fd, line);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (this.#bytes > JOURNAL_BYTES_MAX + 512 * this.#present.size) this.#compact();
  }

  #compact(): void {
    if (this.#path === undefined) return;
    this.close();
    try {
      const fresh = `${this.#path}.new`;
      const fd = openSync(fresh, 'w', 0o600);
      this.#fd = fd;
      const lines = [...this.#present].map((entry) => `${JSON.stringify(entry)}\n`);
      this.#bytes = writeSync(fd, `${JSON.stringify({ boot: this.#bootId })}\n${lines.join('')}`);
      renameSync(fresh, this.#path);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    this.close();
    this.#warn(
      `could not write ${this.#path ?? FILE}: ${error.message}; after a crash of the agent processes ` +
        'that were stopped by hand may start again',
    );
  }
}

/** The last entry of each process; nothing from another boot. A torn last line is passed over. */
function readJournal(path: string, bootId: string): Map<string, Remembered> {
  const found = new Map<string, Remembered>();
  let lines: string[];
  try {
    lines = readFileSync(path, 'utf8').split('\n');
  } catch {
    return found;
  }
  const head = parseLine(lines[0]);
  if (!isRecord(head) || head['boot'] !== bootId) return found;
  for (const line of lines.slice(1)) {
    const entry = parseLine(line);
    if (!Array.isArray(entry) || typeof entry[0] !== 'string') continue;
    const remembered = toRemembered(entry[1]);
    if (remembered !== undefined) found.set(entry[0], remembered);
  }
  return found;
}

function parseLine(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? '') as unknown;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const optionalNumber = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined;

function toRemembered(value: unknown): Remembered | undefined {
  if (!isRecord(value)) return undefined;
  const { state, spawn, pid, attempts, reason } = value;
  if (!PROCESS_STATES.includes(state as ProcessState)) return undefined;
  if (typeof spawn !== 'number' || typeof pid !== 'number') return undefined;
  return {
    state: state as ProcessState,
    spawn,
    pid,
    attempts: optionalNumber(attempts) ?? 0,
    reason: typeof reason === 'string' ? reason : '',
    exit: toExitStatus(value['exit']),
    lastStartAtMs: optionalNumber(value['lastStartAtMs']),
    lastStopAtMs: optionalNumber(value['lastStopAtMs']),
  };
}

function toExitStatus(value: unknown): ExitStatus | undefined {
  if (!isRecord(value)) return undefined;
  if (value['kind'] === 'code' && typeof value['code'] === 'number')
    return { kind: 'code', code: value['code'] };
  if (value['kind'] === 'signal' && typeof value['signal'] === 'number')
    return {
      kind: 'signal',
      signal: value['signal'],
      name: typeof value['name'] === 'string' ? value['name'] : undefined,
      coreDumped: value['coreDumped'] === true,
    };
  return value['kind'] === 'unobserved' ? { kind: 'unobserved' } : undefined;
}
