// Reading one section by its table: each key's reader, default and description stand in one place, and everything
// that is wrong is collected with file, line and key instead of thrown. Used for all three programs' files.
import { expand, type ExpansionNames } from './expand.js';
import type { FieldWorld, Reader } from './fields.js';
import { findField, type IniDocument, type IniField, type IniSection } from './ini.js';
import { FieldError, type Problems } from './problems.js';
import { quoteText } from './text.js';

/** One key: how its text is read, what holds when it is absent, and what the documentation says. */
export interface KeySpec<T> {
  readonly read: Reader<T>;
  readonly fallback: T;
  /** The default as documented, in the file's own notation; empty: none. */
  readonly shown: string;
  /** One line for docs/configuration.md. */
  readonly what: string;
  /** Ours, unknown to Supervisor. */
  readonly ours: boolean;
}

/** All keys of one kind of section. */
export type SectionTable = Readonly<Record<string, KeySpec<unknown>>>;

type ValueOf<Spec> = Spec extends KeySpec<infer T> ? T : never;

/** A row of a table. `shown` is the default as text; `what` one line of documentation. */
export function field<T>(read: Reader<T>, fallback: T, shown: string, what: string): KeySpec<T> {
  return { read, fallback, shown, what, ours: false };
}

/** A row whose key may be absent; then its value is undefined. */
export function optional<T>(read: Reader<T>, what: string, shown = ''): KeySpec<T | undefined> {
  return { read, fallback: undefined, shown, what, ours: false };
}

/** The same row, marked as ours. */
export function ours<T>(spec: KeySpec<T>): KeySpec<T> {
  return { ...spec, ours: true };
}

/** A kind of section: its name, or how its name begins. */
export interface SectionKind {
  /** As written in documentation, e.g. `program:NAME`. */
  readonly title: string;
  readonly table: SectionTable;
  /** Keys that are not in the table have a meaning too. */
  readonly open: boolean;
  matches(section: string): boolean;
}

/** The one section of this name. */
export function exactly(name: string, table: SectionTable): SectionKind {
  return { title: name, table, open: false, matches: (section) => section === name };
}

/** Sections `PREFIX` + any name; `prefix` ends in a colon. */
export function prefixed(prefix: string, table: SectionTable, open = false): SectionKind {
  return { title: `${prefix}NAME`, table, open, matches: (section) => section.startsWith(prefix) };
}

/** Sections whose name begins with `name`, with or without a colon after it. */
export function beginning(name: string, table: SectionTable): SectionKind {
  return { ...exactly(name, table), matches: (section) => section.startsWith(name) };
}

/** What reading sections needs besides the section itself. */
export interface SectionContext {
  readonly document: IniDocument;
  readonly world: FieldWorld;
  readonly problems: Problems;
}

/** Reads the keys of one section; never throws for what the file says. */
export class SectionReader<Table extends SectionTable> {
  /** Did any read of this reader fail? Then what it returned are placeholders. */
  failed = false;
  /** Appended to every problem's text, e.g. Supervisor's SUFFIX (spec config 13). */
  readonly #suffix: string;

  constructor(
    private readonly context: SectionContext,
    readonly section: IniSection,
    private readonly table: Table,
    private readonly names: ExpansionNames,
    suffix = '',
  ) {
    this.#suffix = suffix;
  }

  /** The unexpanded text of a key; undefined when absent. */
  raw(key: keyof Table & string): string | undefined {
    return this.#find(key)?.value;
  }

  /** The key's value, or its default when it is absent or wrong (then the problem is recorded). */
  get<Key extends keyof Table & string>(
    key: Key,
    names: ExpansionNames = this.names,
  ): ValueOf<Table[Key]> {
    const spec = this.table[key] as KeySpec<ValueOf<Table[Key]>>;
    const found = this.#find(key);
    if (found === undefined) return spec.fallback;
    return this.attempt(key, spec.fallback, () =>
      spec.read(expand(found.value, names, `${this.section.name}.${key}`), this.context.world),
    );
  }

  /** Runs `read` for a key; what it throws becomes a problem of that key and the answer is `fallback`. */
  attempt<T>(key: keyof Table & string, fallback: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.fail(key, error.message, error.advice);
      return fallback;
    }
  }

  /** Records a problem of a key, or of the whole section; of a key once, or once for each `item` of its value. */
  fail(
    key: (keyof Table & string) | undefined,
    text: string,
    advice?: string,
    item?: string,
  ): void {
    this.failed = true;
    const found = key === undefined ? undefined : this.#find(key);
    const problem = {
      file: found?.file ?? this.section.file,
      line: found?.line ?? this.section.line,
      section: this.section.name,
      key,
      text: text + this.#suffix,
      advice,
    };
    this.context.problems.add(problem, item);
  }

  #find(key: string): IniField | undefined {
    return findField(this.context.document, this.section, key);
  }
}

/** Supervisor's ` in section '…' (file: '…')`. */
export function sectionSuffix(section: IniSection): string {
  return ` in section ${quoteText(section.name)} (file: ${quoteText(section.file)})`;
}

/** What to say about a section that no kind matches; empty when nothing is near. */
export function suggestSection(name: string, kinds: readonly SectionKind[]): string | undefined {
  const [head = '', ...tail] = name.split(':');
  const heads = kinds.map(({ title }) => title.replace(/NAME$/, ''));
  // `[Program:x]` and `[ program:x]` are the usual slips: compare without case and blanks.
  const spoken = head.trim().toLowerCase();
  const near = nearestName(tail.length > 0 ? `${spoken}:` : spoken, heads);
  if (near === undefined) return undefined;
  return near.endsWith(':') ? near + tail.join(':').trim() : near;
}

/**
 * For our own files, where nothing old must keep loading: an unknown section or key is a problem, with the nearest
 * known name as advice.
 */
export function refuseUnknown(
  document: IniDocument,
  kinds: readonly SectionKind[],
  problems: Problems,
): void {
  for (const section of document.sections.values()) {
    const kind = kinds.find((candidate) => candidate.matches(section.name));
    if (kind === undefined) {
      const near = suggestSection(section.name, kinds);
      problems.add({
        file: section.file,
        line: section.line,
        section: section.name,
        key: undefined,
        text: `unknown section [${section.name}]`,
        advice: near === undefined ? undefined : `did you mean [${near}]?`,
      });
      continue;
    }
    const known = Object.keys(kind.table);
    for (const { key, file, line } of section.fields.values()) {
      if (kind.open || known.includes(key)) continue;
      const near = nearestName(key, known);
      const advice = near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}?`;
      problems.add({ file, line, section: section.name, key, text: 'unknown key', advice });
    }
  }
}

/** The name from `known` that a misspelt one is closest to; undefined if none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(Math.max(1, Math.floor(name.length / 3)) + 1, name.length);
  for (const candidate of known) {
    const distance = editDistance(name, candidate, bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two short names; stops counting at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] as number) + 1);
      }
      next.push(cost);
    }
    [before, row] = [row, next];
  }
  return row[b.length] as number;
}
