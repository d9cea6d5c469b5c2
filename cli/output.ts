// Where a command writes: lines to stdout, complaints to stderr, as fast as the reader takes them.
// Invariants: colour and width only on a terminal (and colour not with NO_COLOR); a reader that leaves ends us quietly.

/** A place for text; a test collects what is written. */
export interface Output {
  /** Resolves when the reader has room again. */
  write(text: string | Uint8Array): Promise<void>;
  line(text: string): Promise<void>;
  /** A line on stderr. */
  complain(text: string): void;
  /** One JSON object on a line of stdout. */
  json(value: Readonly<Record<string, unknown>>): Promise<void>;
  /** Is stdout a terminal? Then control characters in logs are shown, not obeyed. */
  readonly terminal: boolean;
  /** Columns of the terminal; undefined: no limit. */
  readonly width: number | undefined;
  readonly color: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The program's own stdout and stderr. `onGone` is called when stdout's reader has left. */
export function standardOutput(env: Environment, onGone: () => void): Output {
  const { stdout, stderr } = process;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') onGone();
    else throw error;
  });
  stderr.on('error', () => undefined);
  const terminal = stdout.isTTY;
  const write = (text: string | Uint8Array): Promise<void> => {
    if (stdout.write(text)) return Promise.resolve();
    return new Promise((resolve) => stdout.once('drain', resolve));
  };
  return {
    write,
    line: (text) => write(`${text}\n`),
    complain: (text) => void stderr.write(`${text}\n`),
    json: (value) => write(`${JSON.stringify(value)}\n`),
    terminal,
    width: terminal ? stdout.columns : undefined,
    color: terminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  };
}

/** Do these words ask for JSON? For errors that come before they are parsed. */
export function asksForJson(argv: readonly string[]): boolean {
  return argv.some(
    (word, i) =>
      ['--json', '-ojson', '--output=json'].includes(word) ||
      (word === 'json' && ['-o', '--output'].includes(argv[i - 1] ?? '')),
  );
}
