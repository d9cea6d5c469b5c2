// The agent's own log in Supervisor's format and levels, with rotation; in the foreground also on stdout.
// Invariant: logging never throws and never stops supervision; lines that cannot be written are counted.
import { writeSync } from 'node:fs';
import type { LogLevel } from '../config/types.js';
import type { LogFile } from './rotate.js';
import type { Syslog } from './syslog.js';

/** What everyone in the agent logs to. */
export interface ActivityLog {
  log(level: LogLevel, text: string): void;
  /** Whether lines of this level are written at all; lets callers skip building them. */
  wants(level: LogLevel): boolean;
}

const LEVELS: Readonly<Record<LogLevel, { readonly value: number; readonly mark: string }>> = {
  critical: { value: 50, mark: 'CRIT' },
  error: { value: 40, mark: 'ERRO' },
  warn: { value: 30, mark: 'WARN' },
  info: { value: 20, mark: 'INFO' },
  debug: { value: 10, mark: 'DEBG' },
  trace: { value: 5, mark: 'TRAC' },
  blather: { value: 3, mark: 'BLAT' },
};

const two = (value: number): string => String(value).padStart(2, '0');

/** `YYYY-MM-DD HH:MM:SS,mmm <LVL> <text>` in local time, without newline (spec process 11). */
export function formatActivity(level: LogLevel, text: string, wallMs: number): string {
  const at = new Date(wallMs);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time},${String(at.getMilliseconds()).padStart(3, '0')} ${LEVELS[level].mark} ${text}`;
}

export interface ActivityLogOptions {
  readonly level: LogLevel;
  /** undefined: no file (its opening failed, or syslog). */
  readonly file: LogFile | undefined;
  /** With `logfile=syslog`. */
  readonly syslog: Syslog | undefined;
  /** Copies each line to stdout (foreground without `silent`). */
  readonly stdout: boolean;
  readonly wallMs: () => number;
}

/** The activity log. `lostLines` counts what neither file nor stdout took. */
export class FileActivityLog implements ActivityLog {
  lostLines = 0;
  readonly #options: ActivityLogOptions;
  #stdout: boolean;

  constructor(options: ActivityLogOptions) {
    this.#options = options;
    this.#stdout = options.stdout;
  }

  get file(): LogFile | undefined {
    return this.#options.file;
  }

  wants(level: LogLevel): boolean {
    return LEVELS[level].value >= LEVELS[this.#options.level].value;
  }

  log(level: LogLevel, text: string): void {
    if (!this.wants(level)) return;
    const formatted = formatActivity(level, text, this.#options.wallMs());
    this.#options.syslog?.write(formatted);
    const line = Buffer.from(`${formatted}\n`, 'utf8');
    if (this.#options.file !== undefined && !this.#options.file.append(line)) this.lostLines += 1;
    if (!this.#stdout) return;
    try {
      writeSync(1, line);
    } catch (error) {
      // A full pipe may drain again; a closed one never will.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.#stdout = false;
      this.lostLines += 1;
    }
  }
}
