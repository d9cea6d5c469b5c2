// Typed readers of configuration values: text in, value out, or a FieldError with Supervisor's words (spec config 5).
// Pure: what a reader must ask the machine (folders, users) it asks the FieldWorld that it is handed.
import { splitWords } from './lexer.js';
import { isLabelKey } from './names.js';
import { folderOf, normalizePath } from './paths.js';
import { FieldError } from './problems.js';
import { isSignalNumber, signalName, signalNumber } from './signals.js';
import { quoteText, trimBlanks } from './text.js';

/** The facts about the machine that values are checked against. */
export interface FieldWorld {
  /** Absolute; what relative paths are relative to. */
  readonly cwd: string;
  isDirectory(path: string): boolean;
  /** Home folder of a user; of undefined: what `~` alone means. undefined: no such user. */
  home(user: string | undefined): string | undefined;
  userByName(name: string): { readonly uid: number; readonly gid: number } | undefined;
  userById(uid: number): { readonly uid: number; readonly gid: number } | undefined;
  groupByName(name: string): number | undefined;
  hasGroup(gid: number): boolean;
}

/** Turns the text of a value into what it means; throws FieldError. */
export type Reader<T> = (text: string, world: FieldWorld) => T;

/** Any text. */
export const readText: Reader<string> = (text) => text;

const INTEGER = /^[+-]?\p{Nd}+(_\p{Nd}+)*$/u;
const DECIMAL_DIGIT = /^\p{Nd}$/u;

/** The value 0..9 of a decimal digit of any script: their blocks of ten begin with the zero. */
function digitValue(char: string): number {
  const code = char.codePointAt(0) as number;
  if (code < 0x80) return code - 0x30;
  let before = 0;
  while (DECIMAL_DIGIT.test(String.fromCodePoint(code - before - 1))) before++;
  return before % 10;
}

/** Decimal digits of any script as ASCII; the rest of the text stays. */
function plainDigits(text: string): string {
  return text.replace(/[^\0-\x7f]/gu, (char) =>
    DECIMAL_DIGIT.test(char) ? String(digitValue(char)) : char,
  );
}

/** Sign, digits, single underscores between digits, blanks around; undefined if the text is no integer. */
export function parseInteger(text: string): number | undefined {
  const trimmed = trimBlanks(text);
  if (!INTEGER.test(trimmed)) return undefined;
  const value = Number(plainDigits(trimmed.replace(/[+_-]/g, '')));
  if (!Number.isSafeInteger(value)) {
    throw new FieldError(`${quoteText(text)} is out of range`, 'give a number below 2^53');
  }
  return trimmed.startsWith('-') ? 0 - value : value;
}

/** An integer; negative ones and leading zeros are fine, `010` is ten. */
export const readInteger: Reader<number> = (text) => {
  const value = parseInteger(text);
  if (value !== undefined) return value;
  throw new FieldError(
    `invalid literal for int() with base 10: ${quoteText(text)}`,
    'give a whole number, e.g. 10',
  );
};

/** An integer within bounds (inclusive). */
export function readIntegerBetween(min: number, max: number): Reader<number> {
  return (text, world) => {
    const value = readInteger(text, world);
    if (value < min) throw new FieldError(`${value} is below lower bound (${min})`);
    if (value > max) throw new FieldError(`${value} is above upper bound (${max})`);
    return value;
  };
}

/** A TCP port, 1..65535. */
export const readPort = readIntegerBetween(1, 65535);

const TRUE_WORDS: ReadonlySet<string> = new Set(['yes', 'true', 'on', '1']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['no', 'false', 'off', '0']);

/** `yes true on 1` or `no false off 0` in any case. */
export const readBoolean: Reader<boolean> = (text) => {
  const word = text.toLowerCase();
  if (TRUE_WORDS.has(word)) return true;
  if (FALSE_WORDS.has(word)) return false;
  throw new FieldError(`not a valid boolean value: ${quoteText(text)}`, 'write true or false');
};

const OCTAL = /^([+-]?)(?:0o_?)?([0-7]+(?:_[0-7]+)*)$/i;

/** Octal digits with an optional `0o`; a sign is accepted too, as Supervisor does by accident. */
export const readOctal: Reader<number> = (text) => {
  const match = OCTAL.exec(plainDigits(trimBlanks(text)));
  if (match === null) {
    throw new FieldError(
      `${text} can not be converted to an octal type`,
      'write a mode, e.g. 0700',
    );
  }
  const value = parseInt((match[2] as string).replaceAll('_', ''), 8);
  return match[1] === '-' ? 0 - value : value;
};

const BYTE_UNITS: Readonly<Record<string, number>> = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

/** Bytes: an integer, or one followed by KB, MB or GB in any case. */
export const readBytes: Reader<number> = (text, world) => {
  const lower = text.toLowerCase();
  const unit = BYTE_UNITS[lower.slice(-2)];
  try {
    return unit === undefined
      ? readInteger(lower, world)
      : readInteger(lower.slice(0, -2), world) * unit;
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new FieldError(error.message, 'give bytes as a number, or with KB, MB or GB, e.g. 50MB');
  }
};

/** Whole seconds -> milliseconds. */
export const readSeconds: Reader<number> = (text, world) => readInteger(text, world) * 1000;

const DURATION = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?$/;
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `2`, `2s`, `500ms`, `10m`, `24h`, `5d` -> milliseconds; a bare number is seconds. Ours, never negative. */
export const readDuration: Reader<number> = (text) => {
  const match = DURATION.exec(text);
  if (match === null) {
    throw new FieldError(
      `not a length of time: ${quoteText(text)}`,
      'write e.g. 2s, 500ms, 10m, 24h',
    );
  }
  return Math.round(Number(match[1]) * (DURATION_UNITS_MS[match[2] ?? 's'] as number));
};

/** A signal by number or by name, in any case, with or without SIG. */
export const readSignal: Reader<{ number: number; name: string | undefined }> = (text) => {
  let number = parseInteger(text);
  if (number === undefined) {
    const upper = trimBlanks(text).toUpperCase();
    number = signalNumber(upper.startsWith('SIG') ? upper : `SIG${upper}`);
    if (number === undefined) {
      throw new FieldError(
        `value ${quoteText(text)} is not a valid signal name`,
        'write e.g. TERM, HUP, INT, QUIT, KILL, USR1 or USR2',
      );
    }
  }
  if (!isSignalNumber(number)) {
    throw new FieldError(
      `value ${quoteText(text)} is not a valid signal number`,
      'use 1 to 31, 34 or 64',
    );
  }
  return { number, name: signalName(number) };
};

/** `true` or `false` as booleans are written, or `unexpected`. */
export const readAutoRestart: Reader<'always' | 'never' | 'unexpected'> = (text) => {
  const word = text.toLowerCase();
  if (TRUE_WORDS.has(word)) return 'always';
  if (FALSE_WORDS.has(word)) return 'never';
  if (word === 'unexpected') return 'unexpected';
  throw new FieldError(
    `invalid 'autorestart' value ${quoteText(word)}`,
    'write true, false or unexpected',
  );
};

/** Comma separated integers 0..255; empty: none. */
export const readExitCodes: Reader<readonly number[]> = (text) => {
  if (text === '') return [];
  const codes = text.split(',').map((item) => parseInteger(item));
  if (codes.every((code): code is number => code !== undefined && code >= 0 && code <= 255)) {
    return codes;
  }
  throw new FieldError(
    `not a valid list of exit codes: ${quoteText(text)}`,
    'write numbers from 0 to 255 with commas between, e.g. 0,2',
  );
};

/** Items between commas, trimmed; empty items are kept, an empty text is no items. */
export const readList: Reader<readonly string[]> = (text) =>
  text === '' ? [] : text.split(',').map(trimBlanks);

const LOG_LEVELS = ['critical', 'error', 'warn', 'info', 'debug', 'trace', 'blather'] as const;

/** Supervisor's levels by their long names. */
export const readLogLevel: Reader<(typeof LOG_LEVELS)[number]> = (text) => {
  const level = LOG_LEVELS.find((name) => name === text.toLowerCase());
  if (level !== undefined) return level;
  throw new FieldError(
    `bad logging level name ${quoteText(text)}`,
    `one of ${LOG_LEVELS.join(', ')}`,
  );
};

/** `~` and `~user` at the start replaced; unknown users leave the text as it is. */
export function expandHome(path: string, world: FieldWorld): string {
  if (!path.startsWith('~')) return path;
  const slash = path.indexOf('/');
  const end = slash < 0 ? path.length : slash;
  const home = world.home(end === 1 ? undefined : path.slice(1, end));
  if (home === undefined) return path;
  return home.replace(/\/+$/, '') + path.slice(end) || '/';
}

/** A path made absolute against the current directory, `~` expanded; it need not exist. */
export const readPath: Reader<string> = (text, world) =>
  normalizePath(world.cwd, expandHome(text, world));

/** A directory that exists; kept as written but for `~`. */
export const readDirectory: Reader<string> = (text, world) => {
  const path = expandHome(text, world);
  if (world.isDirectory(path)) return path;
  throw new FieldError(`${text} is not an existing directory`, 'create it or name another');
};

/** A file whose directory exists; a bare name is always fine. Kept as written but for `~`. */
export const readFileInDirectory: Reader<string> = (text, world) => {
  const path = expandHome(text, world);
  const folder = folderOf(path);
  if (folder === '' || world.isDirectory(folder)) return path;
  throw new FieldError(
    `The directory named as part of the path ${text} does not exist`,
    `create ${folder}`,
  );
};

/** The log file of a child's stream as written. */
export type LogFileField =
  | { readonly kind: 'auto' | 'none' | 'empty' | 'syslog' }
  | { readonly kind: 'path'; readonly path: string };

/** NONE, OFF, AUTO, SYSLOG in any case, or a path in an existing directory. */
export const readLogFile: Reader<LogFileField> = (text, world) => {
  switch (text.toLowerCase()) {
    case 'none':
    case 'off':
      return { kind: 'none' };
    case 'auto':
      return { kind: 'auto' };
    case 'syslog':
      return { kind: 'syslog' };
    case '':
      return { kind: 'empty' };
    default:
      return { kind: 'path', path: readFileInDirectory(text, world) };
  }
};

/** A user of this machine, by name or number. */
export const readUser: Reader<{ text: string; uid: number; gid: number }> = (text, world) => {
  const uid = parseInteger(text);
  const user = uid === undefined ? world.userByName(text) : world.userById(uid);
  if (user !== undefined) return { text, uid: user.uid, gid: user.gid };
  throw new FieldError(
    `Invalid user ${uid === undefined ? 'name' : 'id'} ${text}`,
    'name a user of this machine; getent passwd lists them',
  );
};

/** `user` or `user:group`, by name or number. */
export const readOwner: Reader<{
  user: { text: string; id: number };
  group: { text: string; id: number } | undefined;
}> = (text, world) => {
  const colon = text.indexOf(':');
  const { text: name, uid } = readUser(colon < 0 ? text : text.slice(0, colon), world);
  const user = { text: name, id: uid };
  if (colon < 0) return { user, group: undefined };
  const group = text.slice(colon + 1);
  const number = parseInteger(group);
  const gid = number === undefined ? world.groupByName(group) : number;
  if (gid !== undefined && (number === undefined || world.hasGroup(gid))) {
    return { user, group: { text: group, id: gid } };
  }
  throw new FieldError(`Invalid group ${number === undefined ? 'name' : 'id'} ${group}`);
};

/** `port`, `:port`, `*:port` or `host:port`; an empty host means all interfaces. */
export const readInetAddress: Reader<{ host: string; port: number }> = (text, world) => {
  const advice = 'write PORT or HOST:PORT, e.g. 127.0.0.1:9001';
  const colon = text.lastIndexOf(':');
  try {
    if (colon < 0) return { host: '', port: readPort(text, world) };
    const port = text.slice(colon + 1);
    if (port === '') throw new FieldError("no port number specified in ''");
    const host = text.slice(0, colon).toLowerCase();
    return { host: host === '*' ? '' : host, port: readPort(port, world) };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const message = colon < 0 ? `not a valid port number: ${quoteText(text)} ` : error.message;
    throw new FieldError(message, advice);
  }
};

/** A program, group or process name: trimmed, without blanks, colons and slashes. */
export const readName: Reader<string> = (text) => {
  const name = trimBlanks(text);
  for (const char of [' ', ':', '/']) {
    if (name.includes(char)) {
      throw new FieldError(
        `Invalid name: ${quoteText(name)} because of character: ${quoteText(char)}`,
        'names have no blank, colon or slash',
      );
    }
  }
  return name;
};

/** `KEY=value,KEY2="value 2"` as Supervisor 4.2.5 reads it; later keys win (spec config 9). */
export const readEnvironment: Reader<Readonly<Record<string, string>>> = (text) => {
  const words = splitWords(text);
  const environment = new Map<string, string>();
  for (let at = 0; at < words.length; at += 4) {
    const [key, equals, value] = words.slice(at, at + 3);
    if (key === undefined || equals !== '=' || value === undefined) {
      throw new FieldError(
        `Unexpected end of key/value pairs in value '${text}'`,
        'write KEY="value",KEY2="value 2", with quotes around every value',
      );
    }
    environment.set(key, value.replace(/^['"]+|['"]+$/g, ''));
  }
  // fromEntries defines own properties, so that a key like __proto__ is a key.
  return Object.fromEntries(environment);
};

const HOST_PORT = /^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):([0-9]+)$/;

/** One HOST:PORT; an IPv6 host stands in brackets. */
export const readHostPort: Reader<{ host: string; port: number }> = (text, world) => {
  const match = HOST_PORT.exec(text);
  if (match === null) {
    throw new FieldError(`not an address: ${quoteText(text)}`, 'write HOST:PORT, e.g. ctl1:9500');
  }
  const host = (match[1] as string).replace(/^\[|\]$/g, '').toLowerCase();
  return { host, port: readPort(match[2] as string, world) };
};

/** HOST:PORT,HOST:PORT,…; at least one. */
export const readHostPorts: Reader<readonly { host: string; port: number }[]> = (text, world) => {
  const items = readList(text, world);
  if (items.length === 0) throw new FieldError('no address is given', 'write HOST:PORT,HOST:PORT');
  return items.map((item) => readHostPort(item, world));
};

const LABELS_MAX = 64;
const LABEL_BYTES_MAX = 128;

/** `role=web,dc=fra`: at most 64 labels, values without commas, up to 128 bytes (spec fleet D10). */
export const readLabels: Reader<Readonly<Record<string, string>>> = (text, world) => {
  const labels = new Map<string, string>();
  for (const item of readList(text, world)) {
    const equals = item.indexOf('=');
    const key = trimBlanks(item.slice(0, Math.max(0, equals)));
    const value = trimBlanks(item.slice(equals + 1));
    if (equals < 0 || !isLabelKey(key) || Buffer.byteLength(value) > LABEL_BYTES_MAX) {
      throw new FieldError(
        `not a label: ${quoteText(item)}`,
        `write key=value,key=value; keys of a-z 0-9 . _ / -, values up to ${LABEL_BYTES_MAX} bytes`,
      );
    }
    labels.set(key, value);
  }
  if (labels.size > LABELS_MAX) throw new FieldError(`more than ${LABELS_MAX} labels`);
  return Object.fromEntries(labels);
};

/** One of the given words, exactly. */
export function readOneOf<T extends string>(words: readonly T[]): Reader<T> {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new FieldError(`unknown value ${quoteText(text)}`, `one of ${words.join(', ')}`);
  };
}
