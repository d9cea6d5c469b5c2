// What an agent remembers between its lives: identity, epoch, spawn numbers, in a locked state directory.
// Invariants: the epoch is on disk before the first event; a spawn number is never handed out twice;
// one agent per state directory; where nothing can be written the agent runs from memory and says so.
import { createHash } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Random } from '../common/random.js';
import { makeFolder } from '../common/folders.js';
import { acquireLock } from '../common/lock.js';

/** The agent's memory and places. Paths are absolute. */
export interface AgentState {
  /** undefined: nothing can be written, everything lives in memory (`durable` is false then). */
  readonly dir: string | undefined;
  readonly durable: boolean;
  /** Sockets of this agent: short enough for a unix address (under 107 bytes with the longest name in it). */
  readonly runDir: string;
  /** 32 hex digits, made at the first start (spec fleet 2). */
  readonly hostUid: string;
  /** This life's number: max(stored + 1, wall milliseconds); below 2^53. */
  readonly epoch: number;
  /** The kernel's boot id. */
  readonly bootId: string;
  /** The first spawn number that no earlier life can have used. */
  readonly firstSpawn: number;
  /** Called before a spawn number is used; persists a block of numbers ahead. */
  reserveSpawn(spawn: number): void;
  /** Frees the lock. Idempotent. */
  release(): void;
}

/** Another agent holds the state directory. */
export class StateLockedError extends Error {
  constructor(
    readonly dir: string,
    readonly pid: number,
  ) {
    super(
      `another agent (pid ${pid}) runs with this configuration: it holds ${dir}; ` +
        'stop it first, or use another configuration file',
    );
    this.name = 'StateLockedError';
  }
}

export interface StateOptions {
  /** Absolute path of the configuration file: the agent's identity on this machine. */
  readonly configPath: string;
  /** `[fleet] state_dir`; undefined: the default place. */
  readonly stateDir: string | undefined;
  /** STATE_DIRECTORY and RUNTIME_DIRECTORY (systemd sets them), XDG_STATE_HOME, XDG_RUNTIME_DIR, HOME. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Who will run the agent once privileges are dropped; undefined: nobody else. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly isRoot: boolean;
  readonly wallMs: () => number;
  readonly random: Random;
  /** Says what could not be written and what that means. */
  readonly warn: (text: string) => void;
}

/** The longest socket name in a run directory, with its slash. */
const SOCKET_NAME_BYTES_MAX = '/keeper.sock'.length;
/** `sun_path` holds 108 bytes, one of them the terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;
/** How many spawn numbers one write sets aside. */
const SPAWN_BLOCK = 1_000;
const STATE_FILE = 'state.json';

interface Stored {
  readonly hostUid: string;
  readonly epoch: number;
  readonly nextSpawn: number;
}

/** First 12 hex digits of SHA-256 of the configuration's absolute path (design 7 State). */
export function stateId(configPath: string): string {
  return createHash('sha256').update(configPath).digest('hex').slice(0, 12);
}

/**
 * Makes, locks and reads the state directory, and stores the new epoch.
 * Throws StateLockedError when another agent has it; everything else that fails ends in memory and a warning.
 */
export function openState(options: StateOptions): AgentState {
  const id = stateId(options.configPath);
  const wanted = options.stateDir ?? join(stateRoot(options), id);
  let dir: string | undefined;
  let release = (): void => undefined;
  let stored: Stored | undefined;
  try {
    makePrivate(wanted, options.owner);
    const lock = acquireLock(join(wanted, 'agent.lock'));
    if (!lock.held) throw new StateLockedError(wanted, lock.pid);
    release = lock.release;
    stored = readStored(join(wanted, STATE_FILE));
    dir = wanted;
  } catch (error) {
    if (error instanceof StateLockedError) throw error;
    options.warn(
      `could not use state directory ${wanted}: ${(error as Error).message}; running from memory: ` +
        'children will not be found again after a crash of the agent',
    );
  }
  const hostUid = stored?.hostUid ?? Buffer.from(options.random.bytes(16)).toString('hex');
  const epoch = Math.max((stored?.epoch ?? 0) + 1, Math.floor(options.wallMs()));
  if (!Number.isSafeInteger(epoch)) throw new Error(`epoch ${epoch} is not below 2^53`);
  // From memory, spawn numbers begin at the clock: still larger than those of the life before.
  const firstSpawn = stored?.nextSpawn ?? (dir === undefined ? epoch : 1);
  let reserved = firstSpawn;
  let durable = dir !== undefined;
  const save = (nextSpawn: number): void => {
    reserved = nextSpawn;
    if (dir === undefined || !durable) return;
    try {
      writeDurably(dir, STATE_FILE, JSON.stringify({ hostUid, epoch, nextSpawn }), options.owner);
    } catch (error) {
      durable = false;
      options.warn(`could not write ${join(dir, STATE_FILE)}: ${(error as Error).message}`);
    }
  };
  save(firstSpawn + SPAWN_BLOCK);
  return {
    dir,
    get durable() {
      return durable;
    },
    runDir: openRunDir(dir, id, options),
    hostUid,
    epoch,
    bootId: readText('/proc/sys/kernel/random/boot_id').trim(),
    firstSpawn,
    reserveSpawn(spawn) {
      if (spawn >= reserved) save(spawn + SPAWN_BLOCK);
    },
    release,
  };
}

function stateRoot({ env, isRoot }: StateOptions): string {
  const given = env['STATE_DIRECTORY']?.split(':')[0];
  if (given !== undefined && given !== '') return given;
  if (isRoot) return '/var/lib/fleetvisor';
  const xdg = env['XDG_STATE_HOME'];
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'fleetvisor');
  return join(env['HOME'] ?? '/nonexistent', '.local', 'state', 'fleetvisor');
}

/** A private folder for sockets whose paths fit into a unix address. */
function openRunDir(dir: string | undefined, id: string, options: StateOptions): string {
  const given = options.env['RUNTIME_DIRECTORY']?.split(':')[0];
  const wanted = [
    ...(given !== undefined && given !== '' ? [join(given, id)] : []),
    // A state directory of one's own choice (a demo, a test) keeps its sockets to itself.
    ...(options.isRoot &&
    options.stateDir === undefined &&
    options.env['STATE_DIRECTORY'] === undefined
      ? [join('/run/fleetvisor', id)]
      : []),
    ...(dir === undefined ? [] : [join(dir, 'run')]),
    // A path that depends only on user and configuration, so that the next life finds the keeper.
    ...(dir === undefined ? [] : [join(tmpdir(), `fleetvisor-${process.getuid?.() ?? 0}-${id}`)]),
  ];
  for (const path of wanted) {
    if (Buffer.byteLength(path) + SOCKET_NAME_BYTES_MAX >= SOCKET_PATH_BYTES_MAX) continue;
    try {
      makePrivate(path, options.owner);
      return path;
    } catch {
      continue;
    }
  }
  const path = mkdtempSync(join(tmpdir(), 'fleetvisor-'));
  chownTo(path, options.owner);
  return path;
}

/** Creates a folder of mode 0700 with its parents; refuses one that belongs to somebody else. */
function makePrivate(path: string, owner: StateOptions['owner']): void {
  makeFolder(dirname(path), 0o755);
  makeFolder(path, 0o700);
  chownTo(path, owner);
  const stat = statSync(path);
  const uid = owner?.uid ?? process.getuid?.() ?? 0;
  if (stat.uid !== uid) throw new Error(`it belongs to uid ${stat.uid}, not to ${uid}`);
}

function chownTo(path: string, owner: StateOptions['owner']): void {
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** undefined: no file yet. A damaged one counts as none: the wall clock keeps the epoch growing. */
function readStored(path: string): Stored | undefined {
  const text = readText(path);
  if (text === '') return undefined;
  try {
    const value = JSON.parse(text) as Partial<Record<keyof Stored, unknown>>;
    const { hostUid, epoch, nextSpawn } = value;
    if (typeof hostUid !== 'string' || !/^[0-9a-f]{32}$/.test(hostUid)) return undefined;
    if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(nextSpawn)) return undefined;
    return { hostUid, epoch: epoch as number, nextSpawn: nextSpawn as number };
  } catch {
    return undefined;
  }
}

/** Replaces a file so that after a crash either the old or the new text is there. */
function writeDurably(dir: string, name: string, text: string, owner: StateOptions['owner']): void {
  const path = join(dir, name);
  const fresh = `${path}.new`;
  const fd = openSync(fresh, 'w', 0o600);
  try {
    writeSync(fd, `${text}\n`);
    fsyncSync(fd);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  chownTo(fresh, process.getuid?.() === 0 ? owner : undefined);
  renameSync(fresh, path);
  const folder = openSync(dir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
