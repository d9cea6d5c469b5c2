// Text -> sections with file and line, in exactly the dialect in which Supervisor reads its files (spec config 2).
// We own the dialect; `ini` reads the normal form that we hand it, and decodes, merges and lets the last key win.
// This is the one importer of `ini`.
import { parse } from 'ini';
import { fileProblem, FieldError, type Problems } from './problems.js';
import { isBlank, quoteText, trimBlanks, trimBlanksEnd } from './text.js';
import { decodeUtf8 } from './utf8.js';

/** One key of a section, with the place where its last definition begins. */
export interface IniField {
  /** Lower case. */
  readonly key: string;
  /** Continuation lines are joined by a newline. */
  readonly value: string;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** The line of each newline-separated part of the value; [line] for most. */
  readonly partLines: readonly number[];
}

/** A section with its keys in the order of their first appearance. */
export interface IniSection {
  readonly name: string;
  /** The file in which the section first appeared. */
  readonly file: string;
  /** Line of its first header, 1-based. */
  readonly line: number;
  readonly fields: Map<string, IniField>;
}

/** Sections of one or more files, merged in reading order; `defaults` is `[DEFAULT]`. */
export interface IniDocument {
  readonly sections: Map<string, IniSection>;
  readonly defaults: Map<string, IniField>;
}

/** A file that is not in the dialect at all. `message` has Supervisor's wording; `badLines` all lines to blame. */
export class IniError extends FieldError {
  constructor(
    message: string,
    readonly badLines: readonly number[],
  ) {
    super(message, 'write [section] headers and key=value lines');
  }
}

/** An empty document, to merge files into. */
export function emptyIni(): IniDocument {
  return { sections: new Map(), defaults: new Map() };
}

/** The value of a key, falling back to `[DEFAULT]`. */
export function findField(
  document: IniDocument,
  section: IniSection,
  key: string,
): IniField | undefined {
  return section.fields.get(key) ?? document.defaults.get(key);
}

/** The section whose keys every other section falls back to. */
export const DEFAULT_SECTION = 'DEFAULT';
const DELIMITER = /[=:]/;
const HEADER = /^\[(.+)\]/s;

interface Place {
  line: number;
  partLines: number[];
}

interface Scan {
  /** The text in the normal form: `[s0]` headers, then `k0="=VALUE"` with VALUE as JSON text. */
  normal: string[];
  sectionNames: string[];
  sectionIds: Map<string, number>;
  sectionLines: number[];
  keyNames: string[];
  keyIds: Map<string, number>;
  /** By `section id/key id`: the last definition. */
  places: Map<string, Place>;
}

/**
 * Reads one file's text into `document`: sections merge, later keys win.
 * Returns the names of the sections it found, `DEFAULT` included.
 * Throws IniError with Supervisor's text for lines that fit nowhere; the document is then unchanged.
 */
export function readIni(document: IniDocument, text: string, file: string): readonly string[] {
  const scan = scanLines(text, file);
  const parsed = parse(scan.normal.join('\n')) as Record<string, Record<string, unknown>>;
  scan.sectionNames.forEach((name, id) => {
    const fields =
      name === DEFAULT_SECTION ? document.defaults : openSection(document, scan, id, file);
    for (const [keyName, value] of Object.entries(parsed[`s${id}`] ?? {})) {
      const keyId = Number(keyName.slice(1));
      const key = scan.keyNames[keyId] as string;
      const place = scan.places.get(`${id}/${keyId}`) as Place;
      fields.set(key, {
        key,
        value: (value as string).slice(1),
        file,
        ...place,
      });
    }
  });
  return scan.sectionNames;
}

/** Merges one file's bytes into `document`; returns the names of its sections, or undefined and problems. */
export function readIniBytes(
  document: IniDocument,
  bytes: Uint8Array,
  file: string,
  problems: Problems,
): readonly string[] | undefined {
  try {
    return readIni(document, decodeUtf8(bytes), file);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const lines = error instanceof IniError ? error.badLines : [undefined];
    lines.forEach((line, index) => {
      const text = index === 0 ? error.message : 'this line has no key before a = or :';
      problems.add({ ...fileProblem(file, text), line, advice: error.advice });
    });
    return undefined;
  }
}

function openSection(
  document: IniDocument,
  scan: Scan,
  id: number,
  file: string,
): Map<string, IniField> {
  const name = scan.sectionNames[id] as string;
  const known = document.sections.get(name);
  if (known !== undefined) return known.fields;
  const fields = new Map<string, IniField>();
  document.sections.set(name, {
    name,
    file,
    line: scan.sectionLines[id] as number,
    fields,
  });
  return fields;
}

/** Splits the text into lines, sections, keys and continued values. */
function scanLines(text: string, file: string): Scan {
  const scan: Scan = {
    normal: [],
    sectionNames: [],
    sectionIds: new Map(),
    sectionLines: [],
    keyNames: [],
    keyIds: new Map(),
    places: new Map(),
  };
  const bad: { line: number; text: string }[] = [];
  let section: number | undefined;
  let open: { key: string; parts: string[]; place: Place } | undefined;
  let indent = 0;

  const close = (): void => {
    if (open !== undefined && section !== undefined) emit(scan, section, open);
    open = undefined;
  };
  const lines = splitLines(text);
  for (let number = 1; number <= lines.length; number++) {
    const line = lines[number - 1] as string;
    const comment = commentStart(line);
    const value = trimBlanks(comment === undefined ? line : line.slice(0, comment));
    if (value === '') {
      if (comment === undefined && open !== undefined) {
        open.parts.push('');
        open.place.partLines.push(number);
      }
      continue;
    }
    const lineIndent = leadingBlanks(line);
    if (open !== undefined && lineIndent > indent) {
      open.parts.push(value);
      open.place.partLines.push(number);
      continue;
    }
    indent = lineIndent;
    const header = HEADER.exec(value);
    if (header !== null) {
      close();
      section = enterSection(scan, header[1] as string, number);
      continue;
    }
    if (section === undefined) {
      throw new IniError(
        `File contains no section headers.\nfile: ${quoteText(file)}, line: ${number}\n${quoteText(line)}`,
        [number],
      );
    }
    const delimiter = value.search(DELIMITER);
    if (delimiter <= 0) {
      // A line without a key does not end the value before it; one with an empty key does.
      if (delimiter === 0) close();
      bad.push({ line: number, text: line });
      continue;
    }
    close();
    const key = trimBlanksEnd(value.slice(0, delimiter)).toLowerCase();
    open = {
      key,
      parts: [trimBlanks(value.slice(delimiter + 1))],
      place: { line: number, partLines: [number] },
    };
  }
  close();
  if (bad.length > 0) throw badLinesError(bad, file);
  return scan;
}

function badLinesError(bad: readonly { line: number; text: string }[], file: string): IniError {
  const rows = bad.map(
    ({ line, text }) => `\n\t[line ${String(line).padStart(2)}]: ${quoteText(text)}`,
  );
  return new IniError(
    `Source contains parsing errors: ${quoteText(file)}${rows.join('')}`,
    bad.map(({ line }) => line),
  );
}

function enterSection(scan: Scan, name: string, line: number): number {
  let id = scan.sectionIds.get(name);
  if (id === undefined) {
    id = scan.sectionNames.push(name) - 1;
    scan.sectionIds.set(name, id);
    scan.sectionLines.push(line);
  }
  scan.normal.push(`[s${id}]`);
  return id;
}

function emit(
  scan: Scan,
  section: number,
  field: { key: string; parts: string[]; place: Place },
): void {
  let id = scan.keyIds.get(field.key);
  if (id === undefined) {
    id = scan.keyNames.push(field.key) - 1;
    scan.keyIds.set(field.key, id);
  }
  const value = trimBlanksEnd(field.parts.join('\n'));
  scan.places.set(`${section}/${id}`, field.place);
  scan.normal.push(`k${id}=${normalValue(value)}`);
}

/** A quoted JSON text; the `=` in front keeps `ini` from reading `true`, `null` or numbers into it. */
function normalValue(value: string): string {
  // Lone surrogates and the two separators would not pass a line-based reader.
  return JSON.stringify(`=${value}`).replace(/[\u2028\u2029]/g, (char) =>
    char === '\u2028' ? '\\u2028' : '\\u2029',
  );
}

/** Lines with their ends, which are `\n` after CRLF and lone CR were translated. */
function splitLines(text: string): string[] {
  const lines = (text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text).split('\n');
  const last = lines.pop() as string;
  const ended = lines.map((line) => `${line}\n`);
  if (last !== '') ended.push(last);
  return ended;
}

function leadingBlanks(line: string): number {
  let count = 0;
  // Counted in code points as the original does; blanks are all in the first plane.
  while (count < line.length && isBlank(line[count] as string)) count++;
  return count;
}

/** Where a comment begins, or undefined. */
function commentStart(line: string): number | undefined {
  if (!line.includes(';') && !line.includes('#')) return undefined;
  const first = line[leadingBlanks(line)];
  return first === ';' || first === '#' ? 0 : inlineCommentStart(line);
}

/**
 * Both prefixes are looked for in rounds, the n-th occurrence of each in round n; the earliest hit of the first round
 * that has one wins (spec config, Corrections).
 */
function inlineCommentStart(line: string): number | undefined {
  let places: (readonly [prefix: string, index: number])[] = [
    [';', -1],
    ['#', -1],
  ];
  while (places.length > 0) {
    const next: (readonly [string, number])[] = [];
    let start: number | undefined;
    for (const [prefix, after] of places) {
      const index = line.indexOf(prefix, after + 1);
      if (index < 0) continue;
      next.push([prefix, index]);
      if (index === 0 || isBlank(line[index - 1] as string))
        start = Math.min(start ?? index, index);
    }
    if (start !== undefined) return start;
    places = next;
  }
  return undefined;
}
