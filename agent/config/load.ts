// The one place that reads configuration files and the environment; all else about configuration is pure.
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { FieldError } from '../../common/problems.js';
import { folderOf, joinPath } from '../../common/paths.js';
import { quoteText } from '../../common/text.js';
import { openUserDatabase } from '../users.js';
import type { DaemonOverrides } from './daemon.js';
import { matchPaths, type Listing } from './glob.js';
import { parseConfig } from './parse.js';
import { readDocument, type ConfigFiles } from './read.js';
import { DAEMON } from './schema.js';
import type { ConfigResult, ConfigWorld } from './types.js';

/** What may be given when a configuration is loaded; what is left out comes from this machine. */
export interface LoadOptions {
  /** The daemon's environment at its start; default: this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of the command line, as text; they win over the file's `[supervisord]` keys. */
  readonly overrides?: DaemonOverrides;
  /** The machine as values see it, and its files; replaced in tests. */
  readonly world?: ConfigWorld;
  readonly files?: ConfigFiles;
}

/**
 * Reads and checks a configuration with everything it includes: either the whole meaning or all its problems.
 * Never throws for what is in the files. `path` is taken relative to the current directory.
 */
export function loadConfig(path: string, options: LoadOptions = {}): ConfigResult {
  const world = options.world ?? machineWorld(options.env ?? processEnvironment());
  const files = options.files ?? machineFiles;
  const { problems, ...read } = readDocument(path, world, files);
  if (problems.length > 0) return { ok: false, problems };
  return parseConfig({ ...read, file: path, world, overrides: options.overrides ?? {} });
}

/** This process's environment without undefined values. */
export function processEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** This machine, as values of a configuration are checked against it. Accounts are remembered: use it once. */
export function machineWorld(env: Readonly<Record<string, string>>): ConfigWorld {
  const users = openUserDatabase();
  const uid = process.getuid?.() ?? 0;
  const cwd = process.cwd();
  return {
    env,
    cwd,
    uid,
    hostName: hostname(),
    tempDir: temporaryFolder(env, cwd),
    isDirectory: (path) => listing.isDirectory(path),
    home: (user) =>
      user === undefined
        ? (env['HOME'] ?? users.userById(uid)?.home)
        : users.userByName(user)?.home,
    userByName: (name) => users.userByName(name),
    userById: (id) => users.userById(id),
    groupByName: (name) => users.groupByName(name),
    hasGroup: (gid) => users.hasGroup(gid),
  };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

const listing: Listing = {
  names(folder) {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  },
  exists(path) {
    try {
      return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    } catch {
      return false;
    }
  },
  isDirectory(path) {
    try {
      return isDirectory(path);
    } catch {
      return false;
    }
  },
};

/** This machine's files. */
export const machineFiles: ConfigFiles = {
  exists: (path) => existsSync(path),
  read: (path) => readFileSync(path),
  match: (pattern) => matchPaths(pattern, listing),
};

/** The first of the usual folders that can be written to, as Python chooses it (spec config 7.3, childlogdir). */
function temporaryFolder(env: Readonly<Record<string, string>>, cwd: string): string {
  const named = ['TMPDIR', 'TEMP', 'TMP'].flatMap((name) => env[name] || []);
  for (const folder of [...named, '/tmp', '/var/tmp', '/usr/tmp']) {
    try {
      accessSync(folder, constants.W_OK | constants.X_OK);
      if (isDirectory(folder)) return resolve(cwd, folder);
    } catch {
      // Not this one; the next may do.
    }
  }
  return cwd;
}

/**
 * Where a configuration is looked for without `-c`, in order (spec config 1). `program` is argv[0] as invoked,
 * symlinks not resolved.
 */
export function searchPaths(program: string): readonly string[] {
  const parent = folderOf(folderOf(program));
  return [
    joinPath(parent, 'etc/supervisord.conf'),
    joinPath(parent, 'supervisord.conf'),
    'supervisord.conf',
    'etc/supervisord.conf',
    '/etc/supervisord.conf',
    '/etc/supervisor/supervisord.conf',
  ];
}

/** The first search path that exists, or Supervisor's words for why there is none. */
export function findConfigFile(
  program: string,
): { readonly ok: true; readonly path: string } | { readonly ok: false; readonly text: string } {
  const paths = searchPaths(program);
  const path = paths.find((candidate) => existsSync(candidate));
  if (path !== undefined) return { ok: true, path };
  const text =
    `No config file found at default paths (${paths.join(', ')}); use the -c option to specify a ` +
    'config file at a different path';
  return { ok: false, text };
}

/**
 * Checks one option of the command line by the rule of its key. Returns Supervisor's error text, or undefined if it
 * is fine. `option` is the option as written, e.g. `-e` (spec config 10).
 */
export function checkOption(
  option: string,
  key: keyof typeof DAEMON,
  text: string,
  world: ConfigWorld,
): string | undefined {
  try {
    DAEMON[key].read(text, world);
    return undefined;
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return `invalid value for ${option} ${quoteText(text)}: ${error.message}`;
  }
}
