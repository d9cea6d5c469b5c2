// Finds the keeper program, starts it in the background when none runs, and connects.
// Invariants: at most one keeper a state directory (its lock decides); a failed start says what to do.
import { execFile } from 'node:child_process';
import { access, constants, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectKeeper, type KeeperClient, type KeeperOptions } from './client.js';
import { KeeperError } from './errors.js';

/** Exit status of a keeper that found another one holding the lock. */
const EXIT_LOCKED = 11;
/** The longest path that fits a unix socket's address, in bytes. */
const SOCKET_PATH_BYTES_MAX = 107;
const START_WAIT_MS = 10_000;
const ATTEMPTS_MAX = 50;
const ATTEMPT_DELAY_MS = 20;

export interface KeeperPaths {
  readonly socketPath: string;
  readonly lockPath: string;
  /** Where output goes while no agent is connected. */
  readonly spillDir: string;
}

export interface StartOptions extends KeeperPaths, Omit<KeeperOptions, 'socketPath'> {
  /** The keeper program; default: `keeperProgram()`. */
  readonly program?: string;
  /** How long a keeper without children and agent stays, in milliseconds. Default 60,000. */
  readonly idleMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * The keeper program: beside the agent's own file, or in dist/bin of the source tree it runs from.
 * Rejects with a sentence that names what to install when there is none.
 */
export async function keeperProgram(): Promise<string> {
  // Built, this file's URL is that of dist/bin/fleetvisor-agent; in the source tree it is its own.
  const own = fileURLToPath(import.meta.url);
  const candidates = [
    path.join(path.dirname(own), 'fleetvisor-keeper'),
    path.join(path.dirname(own), '..', '..', 'dist', 'bin', 'fleetvisor-keeper'),
  ];
  for (const candidate of candidates) {
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // The next place is tried; both are named below.
    }
  }
  throw new KeeperError(
    `cannot find the program fleetvisor-keeper (looked at ${candidates.join(', ')}); ` +
      'build it: apt-get install gcc libc6-dev && npm run build',
    0,
    'ENOENT',
  );
}

/**
 * Connects to the keeper of this state directory; starts one first when none answers.
 * Rejects with a KeeperError that says what failed and on which path.
 */
export async function startKeeper(options: StartOptions): Promise<KeeperClient> {
  if (Buffer.byteLength(options.socketPath) > SOCKET_PATH_BYTES_MAX) {
    throw new KeeperError(
      `cannot use ${options.socketPath}: a socket's path has at most ${SOCKET_PATH_BYTES_MAX} bytes; ` +
        'choose a shorter state directory',
      0,
      'ENAMETOOLONG',
    );
  }
  let last: unknown;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await connectKeeper(options);
    } catch (error) {
      // A keeper that answered and refused will refuse again.
      if (error instanceof KeeperError && error.code !== 0) throw error;
      last = error;
    }
    // Locked: another keeper is starting, or ending with its socket gone; either is over soon.
    if (!(await launch(options))) await delay(ATTEMPT_DELAY_MS);
  }
  throw last;
}

/** Starts a keeper and waits until it listens; false when another one holds the lock. */
async function launch(options: StartOptions): Promise<boolean> {
  const program = options.program ?? (await keeperProgram());
  for (const file of [options.socketPath, options.lockPath, options.spillDir]) {
    await makeFolder(path.dirname(file));
  }
  const args = [
    '--socket',
    options.socketPath,
    '--lock',
    options.lockPath,
    '--spill',
    options.spillDir,
  ];
  if (options.idleMs !== undefined) args.push('--idle-ms', String(options.idleMs));
  return await new Promise((resolve, reject) => {
    // The keeper goes to the background itself: this process ends once its socket listens.
    execFile(program, args, { timeout: START_WAIT_MS }, (error, _stdout, stderr) => {
      if (error === null) resolve(true);
      else if (error.code === EXIT_LOCKED) resolve(false);
      else {
        const reason = stderr.trim() === '' ? error.message : stderr.trim();
        reject(new KeeperError(`cannot start ${program}: ${reason}`, 0, undefined));
      }
    });
  });
}

async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new KeeperError(
      `cannot make the keeper's folder ${dir}: ${code ?? String(error)}`,
      0,
      code,
    );
  }
}

async function delay(delayMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
}
