// What changes between the configuration that runs and the one that is wanted (spec config 12). Pure.
// A change is either one that a live process can go on under, or one that needs a new process.
import type { GroupConfig, ProcessConfig, StreamConfig } from './types.js';

/** What `reread` tells and `update` does. Names are in the order of the wanted configuration. */
export interface ConfigDiff {
  readonly added: readonly string[];
  readonly changed: readonly GroupDiff[];
  readonly removed: readonly string[];
}

/** How one group differs. */
export interface GroupDiff {
  readonly name: string;
  /** What about the group itself differs: `kind`, `priority`, `order`, `events`, `buffer_size`, `socket`. */
  readonly keys: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly ProcessDiff[];
}

/** How one process differs. */
export interface ProcessDiff {
  readonly name: string;
  /** Keys of the configuration, e.g. `stopwaitsecs`. */
  readonly keys: readonly string[];
  /** A running process must be replaced; false: it goes on under the new values. */
  readonly isRestartNeeded: boolean;
}

interface KeyEffect {
  /** The key as it is written. */
  readonly key: string;
  readonly isRestartNeeded: boolean;
}

const restart = (key: string): KeyEffect => ({ key, isRestartNeeded: true });
const live = (key: string): KeyEffect => ({ key, isRestartNeeded: false });

type StreamKeys = 'stdout' | 'stderr';
/** Not settings of a process: its place, and what is derived from other fields. */
type Ignored = 'name' | 'group' | 'program' | 'source' | 'words' | StreamKeys;

/** Every setting of a process; a new one must say here what its change means. */
const PROCESS_KEYS: Readonly<Record<Exclude<keyof ProcessConfig, Ignored>, KeyEffect>> = {
  command: restart('command'),
  directory: restart('directory'),
  umask: restart('umask'),
  user: restart('user'),
  redirectStderr: restart('redirect_stderr'),
  environment: restart('environment'),
  serverUrl: restart('serverurl'),
  priority: live('priority'),
  autostart: live('autostart'),
  autorestart: live('autorestart'),
  startMs: live('startsecs'),
  startRetries: live('startretries'),
  exitCodes: live('exitcodes'),
  stopSignal: live('stopsignal'),
  stopWaitMs: live('stopwaitsecs'),
  stopAsGroup: live('stopasgroup'),
  killAsGroup: live('killasgroup'),
};

/** The agent reads the pipes itself, so where their bytes go can change under a live process. */
const STREAM_KEYS: Readonly<Record<keyof StreamConfig, string>> = {
  logfile: 'logfile',
  logBytesMax: 'logfile_maxbytes',
  logBackups: 'logfile_backups',
  captureBytesMax: 'capture_maxbytes',
  eventsEnabled: 'events_enabled',
  syslog: 'syslog',
};

/** Compares the groups that run with those that are wanted. */
export function diffConfig(
  running: readonly GroupConfig[],
  wanted: readonly GroupConfig[],
): ConfigDiff {
  const before = new Map(running.map((group) => [group.name, group]));
  const after = new Set(wanted.map((group) => group.name));
  return {
    added: wanted.filter(({ name }) => !before.has(name)).map(({ name }) => name),
    changed: wanted.flatMap((group) => {
      const old = before.get(group.name);
      return old === undefined ? [] : (diffGroup(old, group) ?? []);
    }),
    removed: running.filter(({ name }) => !after.has(name)).map(({ name }) => name),
  };
}

/** How a group differs; undefined when it does not. */
export function diffGroup(old: GroupConfig, wanted: GroupConfig): GroupDiff | undefined {
  const before = new Map(old.processes.map((process) => [process.name, process]));
  const after = new Map(wanted.processes.map((process) => [process.name, process]));
  const keys = groupKeys(old, wanted);
  // A new socket, or another kind of group, is nothing that a live process could notice.
  const isReplaced = keys.includes('socket') || keys.includes('kind');
  const changed = wanted.processes.flatMap((process) => {
    const was = before.get(process.name);
    const diff = was === undefined ? undefined : diffProcess(was, process);
    if (was === undefined || (diff === undefined && !isReplaced)) return [];
    const own = diff ?? { name: process.name, keys: [], isRestartNeeded: false };
    return [{ ...own, isRestartNeeded: own.isRestartNeeded || isReplaced }];
  });
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  const isSame = [keys, added, removed, changed].every((list) => list.length === 0);
  return isSame ? undefined : { name: wanted.name, keys, added, removed, changed };
}

function groupKeys(old: GroupConfig, wanted: GroupConfig): string[] {
  const keys: string[] = [];
  if (familyOf(old) !== familyOf(wanted)) keys.push('kind');
  if (old.priority !== wanted.priority) keys.push('priority');
  const order = (group: GroupConfig): string[] => group.processes.map(({ name }) => name);
  const before = new Set(order(old));
  const after = new Set(order(wanted));
  const oldOrder = order(old).filter((name) => after.has(name));
  const newOrder = order(wanted).filter((name) => before.has(name));
  if (!isSame(oldOrder, newOrder)) keys.push('order');
  if (old.kind === 'eventlistener' && wanted.kind === 'eventlistener') {
    if (!isSame(old.events, wanted.events)) keys.push('events');
    if (old.bufferSize !== wanted.bufferSize) keys.push('buffer_size');
  }
  if (old.kind === 'fcgi' && wanted.kind === 'fcgi' && !isSame(old.socket, wanted.socket)) {
    keys.push('socket');
  }
  return keys;
}

/** A program that becomes the member of a group of its own name is no other thing. */
function familyOf(group: GroupConfig): string {
  return group.kind === 'group' ? 'program' : group.kind;
}

function diffProcess(old: ProcessConfig, wanted: ProcessConfig): ProcessDiff | undefined {
  const effects: KeyEffect[] = [];
  for (const [field, effect] of entriesOf(PROCESS_KEYS)) {
    if (!isSame(old[field], wanted[field])) effects.push(effect);
  }
  for (const channel of ['stdout', 'stderr'] as const) {
    for (const [field, key] of entriesOf(STREAM_KEYS)) {
      const isEqual = isSame(old[channel][field], wanted[channel][field]);
      if (!isEqual) effects.push(live(`${channel}_${key}`));
    }
  }
  if (effects.length === 0) return undefined;
  return {
    name: wanted.name,
    keys: effects.map(({ key }) => key),
    isRestartNeeded: effects.some((effect) => effect.isRestartNeeded),
  };
}

function entriesOf<Key extends string, Value>(
  record: Readonly<Record<Key, Value>>,
): [Key, Value][] {
  return Object.entries(record) as [Key, Value][];
}

/** Equal as data; the order of keys has no meaning. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const left = Object.entries(a);
  const right = new Map<string, unknown>(Object.entries(b));
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && isSame(value, right.get(key)))
  );
}
