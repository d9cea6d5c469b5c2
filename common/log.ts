// The log of a daemon: one JSON object a line, with a constant message and the rest in fields.
// Invariants: logging never throws; a line is cut at LINE_BYTES_MAX; times are for reading only.

/** `error` needs a person, `warn` may, `info` is a change of state, `debug` is for developers. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** What a line says beyond its message, in the words of the product: host, group, process, epoch ... */
export type LogFields = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  with(fields: LogFields): Logger;
}

const LINE_BYTES_MAX = 16_384;
const RANK: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

export interface LoggerOptions {
  /** Lines of this level and the more urgent ones are written. */
  readonly level: LogLevel;
  /** Gets whole lines with their newline; what it throws is swallowed. */
  readonly write: (line: string) => void;
  /** Wall clock in milliseconds, for the stamp. */
  readonly wallMs: () => number;
}

/** A log that writes JSON lines: `{"at":"2026-01-31T10:00:00.000Z","level":"info","message":...}`. */
export function createLogger(options: LoggerOptions, common: LogFields = {}): Logger {
  const log = (level: LogLevel, message: string, fields: LogFields | undefined): void => {
    if (RANK[level] > RANK[options.level]) return;
    try {
      const at = new Date(options.wallMs()).toISOString();
      const line = JSON.stringify({ at, level, message, ...common, ...fields });
      options.write(`${line.length > LINE_BYTES_MAX ? cut(line) : line}\n`);
    } catch {
      // A log that cannot be written must not stop what it tells of.
    }
  };
  return {
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
    with: (fields) => createLogger(options, { ...common, ...fields }),
  };
}

/** Still one JSON object: the head of the line as text. */
function cut(line: string): string {
  return JSON.stringify({ message: 'log line cut', head: line.slice(0, LINE_BYTES_MAX / 2) });
}

/** Says nothing; for tests and for parts run without a daemon. */
export const silentLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  with: () => silentLogger,
};

/** Text of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
