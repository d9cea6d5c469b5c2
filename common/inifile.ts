// A file's bytes -> a document, with everything that is wrong collected; and the small world in which programs without
// a user database read their own configuration.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import type { FieldWorld } from './fields.js';
import { emptyIni, IniError, readIni, type IniDocument } from './ini.js';
import { FieldError, type ConfigProblem, type Problems } from './problems.js';
import { decodeUtf8 } from './utf8.js';

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

/** Reads a file without includes; undefined (and problems) when it is missing, unreadable or not in the dialect. */
export function readIniFile(file: string, problems: Problems): IniDocument | undefined {
  if (!existsSync(file)) {
    problems.add(fileProblem(file, `could not find config file ${file}`));
    return undefined;
  }
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const advice = error instanceof Error ? error.message : undefined;
    problems.add({ ...fileProblem(file, `could not read config file ${file}`), advice });
    return undefined;
  }
  const document = emptyIni();
  return readIniBytes(document, bytes, file, problems) === undefined ? undefined : document;
}

/** A problem of a whole file. */
export function fileProblem(file: string, text: string): ConfigProblem {
  return { file, line: undefined, section: undefined, key: undefined, text, advice: undefined };
}

/** The machine for readers that ask about neither folders nor other users. */
export function plainWorld(env: Readonly<Record<string, string | undefined>>): FieldWorld {
  return {
    cwd: process.cwd(),
    isDirectory: () => true,
    home: (user) => (user === undefined ? (env['HOME'] ?? homedir()) : undefined),
    userByName: () => undefined,
    userById: () => undefined,
    groupByName: () => undefined,
    hasGroup: () => false,
  };
}
