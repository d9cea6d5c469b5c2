// supervisorctl's command line: its options, their errors and where its configuration is looked for (spec ctl 1).
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { quoteText } from '../../common/text.js';

/** Printed as `Error: ...` and exit 2. */
export class LocalUsageError extends Error {}

export interface LocalOptions {
  readonly configFile: string | undefined;
  readonly serverUrl: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly interactive: boolean;
  readonly help: boolean;
  /** The action and its arguments. */
  readonly words: readonly string[];
}

/** Long name -> short letter and whether a value follows. */
const LONG: Readonly<Record<string, { readonly short: string; readonly value: boolean }>> = {
  configuration: { short: 'c', value: true },
  help: { short: 'h', value: false },
  interactive: { short: 'i', value: false },
  serverurl: { short: 's', value: true },
  username: { short: 'u', value: true },
  password: { short: 'p', value: true },
  history_file: { short: 'r', value: true },
  local: { short: 'local', value: false },
};
const SHORT_WITH_VALUE = 'csupr';
const SHORT_ALONE = 'h?i';

/** Parses up to the first word that is no option. Throws LocalUsageError with Supervisor's text. */
export function parseLocalOptions(argv: readonly string[]): LocalOptions {
  const given = new Map<string, { flag: string; value: string }>();
  const set = (short: string, flag: string, value: string): void => {
    if (given.has(short)) {
      throw new LocalUsageError(`conflicting command line option ${quoteText(flag)}`);
    }
    given.set(short, { flag, value });
  };
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] as string;
    if (word === '--') {
      at++;
      break;
    }
    if (!word.startsWith('-') || word === '-') break;
    at = word.startsWith('--') ? readLong(argv, at, set) : readShort(argv, at, set);
  }
  const server = given.get('s');
  if (server !== undefined && !/^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(server.value)) {
    const shown = quoteText(server.value);
    throw new LocalUsageError(
      `invalid value for ${server.flag} ${shown}: value ${shown} is not a URL`,
    );
  }
  return {
    configFile: given.get('c')?.value,
    serverUrl: server?.value,
    username: given.get('u')?.value,
    password: given.get('p')?.value,
    interactive: given.has('i'),
    help: given.has('h') || given.has('?'),
    words: argv.slice(at),
  };
}

type SetOption = (short: string, flag: string, value: string) => void;

function readLong(argv: readonly string[], at: number, set: SetOption): number {
  const word = argv[at] as string;
  const equals = word.indexOf('=');
  const typed = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const matches = Object.keys(LONG).filter((name) => name.startsWith(typed));
  const name = matches.includes(typed) ? typed : matches[0];
  if (name === undefined) throw new LocalUsageError(`option --${typed} not recognized`);
  if (matches.length > 1 && name !== typed) {
    throw new LocalUsageError(`option --${typed} not a unique prefix`);
  }
  const option = LONG[name] as { short: string; value: boolean };
  if (!option.value) {
    if (equals >= 0) throw new LocalUsageError(`option --${name} must not have an argument`);
    set(option.short, `--${name}`, '');
    return at;
  }
  if (equals >= 0) {
    set(option.short, `--${name}`, word.slice(equals + 1));
    return at;
  }
  const value = argv[at + 1];
  if (value === undefined) throw new LocalUsageError(`option --${name} requires argument`);
  set(option.short, `--${name}`, value);
  return at + 1;
}

function readShort(argv: readonly string[], at: number, set: SetOption): number {
  const letters = (argv[at] as string).slice(1);
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i] as string;
    if (SHORT_ALONE.includes(letter)) {
      set(letter, `-${letter}`, '');
      continue;
    }
    if (!SHORT_WITH_VALUE.includes(letter)) {
      throw new LocalUsageError(`option -${letter} not recognized`);
    }
    const attached = letters.slice(i + 1);
    if (attached !== '') {
      set(letter, `-${letter}`, attached);
      return at;
    }
    const value = argv[at + 1];
    if (value === undefined) throw new LocalUsageError(`option -${letter} requires argument`);
    set(letter, `-${letter}`, value);
    return at + 1;
  }
  return at;
}

/** The supervisord.conf that holds when no `-c` is given; undefined: none is there. */
export function findConfiguration(program: string, cwd: string): string | undefined {
  const parent = dirname(dirname(resolve(cwd, program)));
  const candidates = [
    join(parent, 'etc/supervisord.conf'),
    join(parent, 'supervisord.conf'),
    join(cwd, 'supervisord.conf'),
    join(cwd, 'etc/supervisord.conf'),
    '/etc/supervisord.conf',
    '/etc/supervisor/supervisord.conf',
  ];
  return candidates.find((path) => existsSync(path));
}
