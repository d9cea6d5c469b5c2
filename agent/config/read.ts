// A configuration file and the files it includes -> one merged document (spec config 1, 3).
// Reads through a port, so that the same code runs on the real machine and in the corpus world.
import { environmentNames, expand } from '../../common/expand.js';
import {
  DEFAULT_SECTION,
  emptyIni,
  findField,
  readIniBytes,
  type IniDocument,
  type IniField,
  type IniSection,
} from '../../common/ini.js';
import { folderOf, joinPath, normalizePath } from '../../common/paths.js';
import { FieldError, fileProblem, Problems } from '../../common/problems.js';
import { compareText, splitBlanks } from '../../common/text.js';
import type { ConfigHint, ConfigProblem, ConfigWorld } from './types.js';

/** The files of a machine. */
export interface ConfigFiles {
  exists(path: string): boolean;
  /** Throws any error when the file cannot be read. */
  read(path: string): Uint8Array;
  /** Paths that match an absolute pattern, in any order. */
  match(pattern: string): readonly string[];
}

/** What reading gives besides the document. */
export interface ReadResult {
  readonly document: IniDocument;
  /** Absolute folder of the main file. */
  readonly here: string;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly hints: readonly ConfigHint[];
  /** Not empty: the document must not be used. */
  readonly problems: readonly ConfigProblem[];
}

const HERE = '%(here)s';

/** Reads `file` (as given, relative to the world's current directory) and its includes. */
export function readDocument(file: string, world: ConfigWorld, files: ConfigFiles): ReadResult {
  const here = normalizePath(world.cwd, folderOf(file));
  const reading = new Reading(file, here, world, files);
  reading.readMain();
  const { document, warnings, infos, hints, problems } = reading;
  return { document, here, warnings, infos, hints, problems: problems.list };
}

class Reading {
  readonly document = emptyIni();
  readonly warnings: string[] = [];
  readonly infos: string[] = [];
  readonly hints: ConfigHint[] = [];
  readonly problems = new Problems();

  constructor(
    private readonly file: string,
    private readonly here: string,
    private readonly world: ConfigWorld,
    private readonly files: ConfigFiles,
  ) {}

  readMain(): void {
    if (!this.files.exists(this.file)) {
      this.#refuse(this.file, `could not find config file ${this.file}`, 'check the path');
      return;
    }
    let bytes: Uint8Array;
    try {
      bytes = this.files.read(this.file);
    } catch (error) {
      this.#refuse(this.file, `could not read config file ${this.file}`, reasonOf(error));
      return;
    }
    if (this.#readText(this.file, bytes) === undefined) return;
    const include = this.document.sections.get('include');
    if (include !== undefined) this.#readIncludes(include);
  }

  #readIncludes(include: IniSection): void {
    this.#replaceHere(this.document.sections.values(), this.here);
    const field = findField(this.document, include, 'files');
    const place = field ?? include;
    const blame = { file: place.file, line: place.line, section: 'include', key: 'files' };
    if (field === undefined) {
      const text = '.ini file has [include] section, but no files setting';
      this.problems.add({ ...blame, text, advice: 'add files = conf.d/*.conf' });
      return;
    }
    for (const pattern of this.#patterns(field, blame)) {
      const matches = this.files.match(pattern);
      if (matches.length === 0) {
        this.warnings.push(`No file matches via include "${pattern}"`);
      }
      for (const path of [...matches].sort(compareText)) this.#readIncluded(path, field);
    }
  }

  #patterns(
    field: IniField,
    blame: Pick<ConfigProblem, 'file' | 'line' | 'section' | 'key'>,
  ): string[] {
    const names = [
      new Map([
        ['here', this.here],
        ['host_node_name', this.world.hostName],
      ]),
      environmentNames(this.world.env),
    ];
    try {
      const text = expand(field.value, names, 'include.files');
      return splitBlanks(text).map((pattern) => joinPath(this.here, pattern));
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.problems.add({ ...blame, text: error.message, advice: error.advice });
      return [];
    }
  }

  #readIncluded(path: string, include: IniField): void {
    this.infos.push(`Included extra file "${path}" during parsing`);
    let bytes: Uint8Array;
    try {
      bytes = this.files.read(path);
    } catch (error) {
      // Supervisor says nothing at all, and the programs are missing.
      const { file, line, key } = include;
      const text = `${path} matches but cannot be read and is left out: ${reasonOf(error)}`;
      this.hints.push({ file, line, section: 'include', key, text });
      return;
    }
    const names = this.#readText(path, bytes);
    if (names === undefined) return;
    const { sections } = this.document;
    const touched = names.includes(DEFAULT_SECTION)
      ? [...sections.values()]
      : names.flatMap((name) => sections.get(name) ?? []);
    this.#replaceHere(touched, normalizePath(this.world.cwd, folderOf(path)));
  }

  /** Merges one file's text; undefined (and problems) when it is not in the dialect. */
  #readText(path: string, bytes: Uint8Array): readonly string[] | undefined {
    return readIniBytes(this.document, bytes, path, this.problems);
  }

  /** Replaces the literal text, keys from [DEFAULT] included, which thereby become the section's own. */
  #replaceHere(sections: Iterable<IniSection>, here: string): void {
    const defaults = [...this.document.defaults.values()].filter(({ value }) =>
      value.includes(HERE),
    );
    for (const section of sections) {
      for (const field of section.fields.values()) {
        if (field.value.includes(HERE)) section.fields.set(field.key, replaceHere(field, here));
      }
      for (const field of defaults) {
        if (!section.fields.has(field.key)) section.fields.set(field.key, replaceHere(field, here));
      }
    }
  }

  #refuse(file: string, text: string, advice: string): void {
    this.problems.add({ ...fileProblem(file, text), advice });
  }
}

function replaceHere(field: IniField, here: string): IniField {
  return { ...field, value: field.value.replaceAll(HERE, () => here) };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
