// Which file each stream of each process goes to: configured paths, AUTO names and their clean-up (spec process 13).
// Invariant: processes that name the same path share one LogFile, so that rotation happens once.
import { closeSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nameKey, type NameSpec } from '../../common/names.js';
import type { Random } from '../../common/random.js';
import { quoteText } from '../../common/text.js';
import type { ProcessConfig, StreamConfig } from '../config/types.js';
import type { LogChannel } from '../core.js';
import type { ActivityLog } from './activity.js';
import { LogFile } from './rotate.js';

/** The log files of one process; undefined: that stream is not logged to a file. */
export interface ProcessLogs {
  readonly stdout: LogFile | undefined;
  readonly stderr: LogFile | undefined;
}

export interface LogFilesOptions {
  readonly childlogdir: string;
  readonly identifier: string;
  readonly random: Random;
  /** Hears of files that cannot be written. */
  readonly log: ActivityLog;
}

const AUTO_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789_';
const AUTO_RANDOM_LENGTH = 8;
/** Tries to find an AUTO name that is free. */
const AUTO_TRIES_MAX = 100;

/** All log files of the agent's processes. */
export class LogFiles {
  readonly #options: LogFilesOptions;
  readonly #byPath = new Map<string, LogFile>();
  readonly #byProcess = new Map<string, ProcessLogs>();

  constructor(options: LogFilesOptions) {
    this.#options = options;
  }

  /**
   * Prepares the files of one process; `kept` are the AUTO paths an earlier life of the agent gave it.
   * Throws the system's error when an AUTO file cannot be made.
   */
  add(config: ProcessConfig, kept: Partial<Record<LogChannel, string>>): ProcessLogs {
    const logs = {
      stdout: this.#file(config, 'stdout', kept.stdout),
      stderr: config.redirectStderr ? undefined : this.#file(config, 'stderr', kept.stderr),
    };
    this.#byProcess.set(nameKey({ group: config.group, process: config.name }), logs);
    return logs;
  }

  get(name: NameSpec): ProcessLogs | undefined {
    return this.#byProcess.get(nameKey(name));
  }

  remove(name: NameSpec): void {
    const key = nameKey(name);
    const logs = this.#byProcess.get(key);
    this.#byProcess.delete(key);
    const used = new Set(
      [...this.#byProcess.values()].flatMap((each) => [each.stdout, each.stderr]),
    );
    for (const file of [logs?.stdout, logs?.stderr]) {
      if (file === undefined || used.has(file)) continue;
      file.close();
      this.#byPath.delete(file.path);
    }
  }

  /** Every file that is open, reopened under its path (SIGUSR2). Calls back for each that fails. */
  reopenAll(onFailure: (path: string, error: Error) => void): void {
    for (const file of this.#byPath.values()) {
      try {
        file.reopen();
      } catch (error) {
        onFailure(file.path, error as Error);
      }
    }
  }

  #file(config: ProcessConfig, channel: LogChannel, kept: string | undefined): LogFile | undefined {
    const stream: StreamConfig = config[channel];
    switch (stream.logfile.kind) {
      case 'none':
      case 'empty':
        return undefined;
      case 'path':
        return this.#shared(stream.logfile.path, stream, 0o666);
      case 'auto':
        return this.#shared(kept ?? this.#autoPath(config.name, channel), stream, 0o600);
    }
  }

  #shared(path: string, stream: StreamConfig, mode: number): LogFile {
    const present = this.#byPath.get(path);
    if (present !== undefined) return present;
    const file = new LogFile({
      path,
      bytesMax: stream.logBytesMax,
      backups: stream.logBackups,
      mode,
      onTrouble: (error) => this.#options.log.log('error', troubleText(file, error)),
    });
    this.#byPath.set(path, file);
    return file;
  }

  /** Creates the file empty, so that its name is taken. */
  #autoPath(process: string, channel: LogChannel): string {
    const prefix = `${process}-${channel}---${this.#options.identifier}-`;
    for (let i = 0; ; i++) {
      const letters = [...this.#options.random.bytes(AUTO_RANDOM_LENGTH)];
      const text = letters.map((byte) => AUTO_ALPHABET[byte % AUTO_ALPHABET.length]).join('');
      const path = join(this.#options.childlogdir, `${prefix}${text}.log`);
      try {
        closeSync(openSync(path, 'wx', 0o600));
        return path;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || i >= AUTO_TRIES_MAX) throw error;
      }
    }
  }
}

function troubleText({ path, lostBytes }: LogFile, error: Error | undefined): string {
  return error === undefined
    ? `${path} is written again; ${lostBytes} bytes were lost since the agent started`
    : `could not write ${path}: ${error.message}; what its programs write is lost until that is mended`;
}

/**
 * Deletes AUTO logs of earlier lives, backups included, except those in `keep` and what was rotated from them.
 * `warn` gets Supervisor's lines.
 */
export function clearAutoLogs(
  options: { readonly childlogdir: string; readonly identifier: string },
  keep: ReadonlySet<string>,
  warn: (text: string) => void,
): void {
  const id = options.identifier.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`^.+?---${id}-\\S+\\.log\\.?\\d{0,4}`);
  let names: string[];
  try {
    names = readdirSync(options.childlogdir);
  } catch {
    warn('Could not clear childlog dir');
    return;
  }
  for (const name of names) {
    if (!pattern.test(name)) continue;
    const path = join(options.childlogdir, name);
    if (keep.has(path) || keep.has(path.replace(/\.\d+$/, ''))) continue;
    try {
      rmSync(path);
    } catch {
      warn(`Failed to clean up ${quoteText(path)}`);
    }
  }
}
