// The agent's command line: supervisord's options with getopt's rules and texts (spec config 10). Pure.
// Options of ours have no short form that supervisord could have given another meaning.
import type { DaemonOverrides } from './config/daemon.js';
import { quoteText } from '../common/text.js';

/** What the command line asks for. */
export interface AgentOptions {
  /** `-c`, as written; undefined: search for it. */
  readonly configPath: string | undefined;
  /** Values that win over the file's, by the file's key. */
  readonly overrides: DaemonOverrides;
  /** The options behind the overrides as written, with their key, in order: each value is checked by its type. */
  readonly typed: readonly {
    readonly option: string;
    readonly key: keyof DaemonOverrides;
    readonly text: string;
  }[];
  readonly mode: 'run' | 'check' | 'help' | 'version';
}

export type OptionsResult =
  | { readonly ok: true; readonly options: AgentOptions }
  /** `text` comes after `Error: `. */
  | { readonly ok: false; readonly text: string };

interface OptionRow {
  readonly short: string | undefined;
  readonly long: string;
  readonly hasValue: boolean;
  /** The key of [supervisord] that it overrides. */
  readonly key?: keyof DaemonOverrides;
  readonly help: string;
}

const OPTIONS: readonly OptionRow[] = [
  { short: 'c', long: 'configuration', hasValue: true, help: 'FILE  configuration file' },
  { short: 'n', long: 'nodaemon', hasValue: false, key: 'nodaemon', help: 'run in the foreground' },
  { short: 's', long: 'silent', hasValue: false, key: 'silent', help: 'no log on stdout' },
  { short: 'u', long: 'user', hasValue: true, key: 'user', help: 'USER  run as this user or uid' },
  { short: 'm', long: 'umask', hasValue: true, key: 'umask', help: 'UMASK  umask when daemonised' },
  { short: 'd', long: 'directory', hasValue: true, key: 'directory', help: 'DIR  chdir to it' },
  { short: 'l', long: 'logfile', hasValue: true, key: 'logfile', help: 'FILE  activity log' },
  { short: 'y', long: 'logfile_maxbytes', hasValue: true, key: 'logfile_maxbytes', help: 'BYTES' },
  { short: 'z', long: 'logfile_backups', hasValue: true, key: 'logfile_backups', help: 'NUM' },
  {
    short: 'e',
    long: 'loglevel',
    hasValue: true,
    key: 'loglevel',
    help: 'LEVEL  debug, info, ...',
  },
  { short: 'j', long: 'pidfile', hasValue: true, key: 'pidfile', help: 'FILE  pid file' },
  { short: 'i', long: 'identifier', hasValue: true, key: 'identifier', help: 'NAME  of this host' },
  { short: 'q', long: 'childlogdir', hasValue: true, key: 'childlogdir', help: 'DIR  AUTO logs' },
  { short: 'k', long: 'nocleanup', hasValue: false, key: 'nocleanup', help: 'keep old AUTO logs' },
  { short: 'a', long: 'minfds', hasValue: true, key: 'minfds', help: 'NUM  descriptors needed' },
  { short: undefined, long: 'minprocs', hasValue: true, key: 'minprocs', help: 'NUM' },
  { short: 't', long: 'strip_ansi', hasValue: false, key: 'strip_ansi', help: 'from child output' },
  { short: undefined, long: 'profile_options', hasValue: true, help: 'LIST  accepted, ignored' },
  { short: undefined, long: 'check', hasValue: false, help: 'report every problem of the file' },
  { short: 'h', long: 'help', hasValue: false, help: 'this text' },
  { short: '?', long: 'help', hasValue: false, help: 'this text' },
  { short: 'v', long: 'version', hasValue: false, help: 'print the version' },
];

/** The text of `-h`. */
export function usage(program: string): string {
  const lines = OPTIONS.filter((row) => row.short !== '?').map((row) => {
    const short = row.short === undefined ? '    ' : `-${row.short}, `;
    return `  ${short}--${row.long}`.padEnd(28) + row.help;
  });
  return [
    `${program} -- run a set of applications as daemons, alone or as part of a fleet.`,
    '',
    `Usage: ${program} [options]`,
    '',
    ...lines,
    '',
  ].join('\n');
}

/** Reads the arguments after the program's name. */
export function parseOptions(args: readonly string[]): OptionsResult {
  const given: { row: OptionRow; option: string; value: string }[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    // getopt stops at the first argument that is no option.
    if (arg === '--' || arg === '-' || !arg.startsWith('-')) {
      rest.push(...args.slice(arg === '--' ? i + 1 : i));
      break;
    }
    const taken = arg.startsWith('--')
      ? parseLong(arg.slice(2), args[i + 1])
      : parseShort(arg.slice(1), args[i + 1]);
    if (typeof taken === 'string') return { ok: false, text: taken };
    given.push(...taken.options);
    if (taken.tookNext) i += 1;
  }
  if (rest.length > 0) {
    const list = rest.map(quoteText).join(', ');
    return { ok: false, text: `positional arguments are not supported: [${list}]` };
  }
  return collect(given);
}

interface Taken {
  readonly options: readonly { row: OptionRow; option: string; value: string }[];
  readonly tookNext: boolean;
}

function parseLong(text: string, next: string | undefined): Taken | string {
  const equals = text.indexOf('=');
  const word = equals < 0 ? text : text.slice(0, equals);
  const matches = OPTIONS.filter((row) => row.short !== '?' && row.long.startsWith(word));
  const row = matches.find((each) => each.long === word) ?? matches[0];
  if (row === undefined) return `option --${word} not recognized`;
  if (row.long !== word && matches.length > 1) return `option --${word} not a unique prefix`;
  const option = `--${row.long}`;
  if (!row.hasValue) {
    if (equals >= 0) return `option ${option} must not have an argument`;
    return { options: [{ row, option, value: 'true' }], tookNext: false };
  }
  if (equals >= 0)
    return { options: [{ row, option, value: text.slice(equals + 1) }], tookNext: false };
  if (next === undefined) return `option ${option} requires argument`;
  return { options: [{ row, option, value: next }], tookNext: true };
}

function parseShort(letters: string, next: string | undefined): Taken | string {
  const options: { row: OptionRow; option: string; value: string }[] = [];
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i] as string;
    const row = OPTIONS.find((each) => each.short === letter);
    const option = `-${letter}`;
    if (row === undefined) return `option ${option} not recognized`;
    if (!row.hasValue) {
      options.push({ row, option, value: 'true' });
      continue;
    }
    const value = letters.slice(i + 1);
    if (value !== '') return { options: [...options, { row, option, value }], tookNext: false };
    if (next === undefined) return `option ${option} requires argument`;
    return { options: [...options, { row, option, value: next }], tookNext: true };
  }
  return { options, tookNext: false };
}

function collect(
  given: readonly { row: OptionRow; option: string; value: string }[],
): OptionsResult {
  const seen = new Set<string>();
  const overrides: Partial<Record<keyof DaemonOverrides, string>> = {};
  const typed: { option: string; key: keyof DaemonOverrides; text: string }[] = [];
  let configPath: string | undefined;
  let mode: AgentOptions['mode'] = 'run';
  for (const { row, option, value } of given) {
    if (row.long === 'help' || row.long === 'version') {
      // Whichever comes first ends the program at once.
      if (mode === 'run' || mode === 'check') mode = row.long;
      continue;
    }
    if (seen.has(row.long))
      return { ok: false, text: `conflicting command line option ${quoteText(option)}` };
    seen.add(row.long);
    if (row.long === 'configuration') configPath = value;
    if (row.long === 'check' && mode === 'run') mode = 'check';
    if (row.key === undefined) continue;
    overrides[row.key] = value;
    typed.push({ option, key: row.key, text: value });
  }
  return { ok: true, options: { configPath, overrides, typed, mode } };
}
