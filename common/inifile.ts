// A program's own configuration file -> a document; and the small world in which programs without a user database
// read theirs.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import type { FieldWorld } from './fields.js';
import { emptyIni, readIniBytes, type IniDocument } from './ini.js';
import { fileProblem, type Problems } from './problems.js';

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
