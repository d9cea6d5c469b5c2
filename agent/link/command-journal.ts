// The command memory on disk: one JSON object a line, appended before the act and after it, rewritten when it has grown.
// Invariants: a torn last line is ignored; a disk that refuses is reported to the caller and never stops a command.
import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import type { Outcome } from '../../common/rows.js';
import type { CommandMemory, MemoryRecord } from './command-memory.js';

/** Rewritten when it has this many lines more than twice what is still known. */
const SLACK_LINES = 2_000;

/** Appends lines to one file. A line is on its way to the disk, so safe from the agent's death, when `append` returns. */
export class CommandJournal {
  readonly #path: string;
  #fd: number | undefined;
  #lines = 0;
  /** The file may end in half a line. */
  #torn = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Reads what an earlier life left; a missing file is an empty one. Lines that are no records are passed over. */
  load(visit: (record: MemoryRecord) => void): void {
    let text = '';
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#torn = text !== '' && !text.endsWith('\n');
    for (const line of text.split('\n')) {
      const record = parseRecord(line);
      if (record === undefined) continue;
      this.#lines += 1;
      visit(record);
    }
  }

  /** false: the disk refused, so a restarted agent will not know. */
  append(record: MemoryRecord): boolean {
    try {
      this.#fd ??= openSync(this.#path, 'a', 0o600);
      const line = Buffer.from(`${this.#torn ? '\n' : ''}${JSON.stringify(record)}\n`, 'utf8');
      this.#torn = true;
      if (writeSync(this.#fd, line) < line.length) return false;
      this.#torn = false;
      this.#lines += 1;
      return true;
    } catch {
      return false;
    }
  }

  /** Rewrites the file when most of it is history. */
  compact(memory: CommandMemory, wallMsOf: (atMs: number) => number): void {
    if (this.#lines < 2 * memory.size + SLACK_LINES) return;
    const records = memory.records(wallMsOf);
    const next = `${this.#path}.new`;
    try {
      const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
      writeFileSync(next, text, { mode: 0o600, flush: true });
      renameSync(next, this.#path);
      this.close();
      this.#lines = records.length;
      this.#torn = false;
    } catch {
      // The long file is as good; the next command tries again.
      this.#lines = 0;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : 0;

function parseRecord(line: string): MemoryRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const key = {
    id: text(fields['id']),
    group: text(fields['group']),
    process: text(fields['process']),
  };
  const wallMs = number(fields['wallMs']);
  switch (fields['kind']) {
    case 'intent':
      return {
        kind: 'intent',
        ...key,
        action: text(fields['action']),
        actor: text(fields['actor']),
        wallMs,
      };
    case 'result': {
      const outcome = text(fields['outcome']) as Outcome;
      return {
        kind: 'result',
        ...key,
        outcome,
        fault: text(fields['fault']),
        message: text(fields['message']),
        wallMs,
      };
    }
    case 'forget':
      return { kind: 'forget', ...key };
    case 'fence':
      return {
        kind: 'fence',
        id: key.id,
        fence: number(fields['fence']),
        step: number(fields['step']),
      };
    default:
      return undefined;
  }
}
