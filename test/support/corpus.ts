// The world in which golden answers were made, and the shape of those answers: lets any *.conf with a golden be
// compared with what our reader makes of it. The folder's README is the contract.
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { matchPaths } from '../../agent/config/glob.js';
import { loadConfig } from '../../agent/config/load.js';
import type { ConfigFiles } from '../../agent/config/read.js';
import type {
  AgentConfig,
  ConfigResult,
  ConfigWorld,
  FcgiSocketConfig,
  GroupConfig,
  IdRef,
  LogFileConfig,
  OwnerRef,
  ProcessConfig,
  ServerConfig,
} from '../../agent/config/types.js';
import { loadLocalConfig } from '../../cli/config.js';
import { parseInteger } from '../../common/fields.js';

const HOST = 'supervisor-test-host';
const ID_MAX = 2 ** 32 - 2;
/** Ids of accounts that exist by name only begin here. */
const NAMED_FROM = 100_000;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Accounts of the corpus world: every name and every number exists. */
class Accounts {
  readonly #ids = new Map<string, number>([['root', 0]]);
  readonly #names = new Map<number, string>();

  byName(name: string): number | undefined {
    if (name === '') return undefined;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = NAMED_FROM + this.#ids.size;
    this.#ids.set(name, id);
    this.#names.set(id, name);
    return id;
  }

  has(id: number): boolean {
    return id >= 0 && id <= ID_MAX;
  }

  /** As the answers print an account: the name where a name was given. */
  show({ text, id }: IdRef): Json {
    return this.#names.get(id) ?? (parseInteger(text) === undefined ? text : id);
  }
}

function corpusWorld(file: string, env: Record<string, string>, accounts: Accounts): ConfigWorld {
  const entry = (id: number | undefined): { uid: number; gid: number } | undefined =>
    id === undefined ? undefined : { uid: id, gid: id };
  return {
    env,
    cwd: dirname(file),
    hostName: HOST,
    uid: 0,
    tempDir: '/tmp',
    isDirectory: (path) => path !== '',
    home: (user) => (user === undefined ? (env['HOME'] as string) : `/home/${user}`),
    userByName: (name) => entry(accounts.byName(name)),
    userById: (uid) => (accounts.has(uid) ? entry(uid) : undefined),
    groupByName: (name) => accounts.byName(name),
    hasGroup: (gid) => accounts.has(gid),
  };
}

function corpusFiles(file: string): ConfigFiles {
  const here = dirname(file);
  const root = file.replace(/\.(conf|ini)$/, '.d');
  const quietly = <T>(read: () => T, fallback: T): T => {
    try {
      return read();
    } catch {
      return fallback;
    }
  };
  return {
    exists: (path) => existsSync(path),
    read: (path) => readFileSync(path),
    match(pattern) {
      const below = pattern.startsWith(`${here}/`) ? pattern.slice(here.length) : pattern;
      if (below.split('/').includes('..')) return [];
      return matchPaths(root + below, {
        names: (folder) => quietly(() => readdirSync(folder), []),
        exists: (path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined,
        isDirectory: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
      });
    },
  };
}

/** What a comparison found: one line a difference, none when equal. */
export interface Comparison {
  readonly differences: readonly string[];
  /** We refuse on purpose what Supervisor accepts: why. */
  readonly deliberate: string | undefined;
}

/** The one refusal of ours: Supervisor pastes its whole table of names, environment included (spec config 4). */
const REFUSED_ON_PURPOSE = /%[sra] needs a name/;

/** Reads `file` (absolute) in the corpus world and compares with the text of its golden answer. */
export function compareWithGolden(file: string, goldenText: string): Comparison {
  const golden = JSON.parse(goldenText) as Record<string, Json>;
  const env = golden['env'] as Record<string, string>;
  const accounts = new Accounts();
  const world = corpusWorld(file, env, accounts);
  const result = loadConfig(file, { world, files: corpusFiles(file) });
  const daemon = describeResult(result, accounts);
  const local = loadLocalConfig(file, env, world);
  const ctl: Json = local.ok
    ? {
        serverurl: local.config.serverUrl,
        username: local.config.username ?? null,
        password: local.config.password ?? null,
        prompt: local.config.prompt,
        history_file: local.config.historyFile ?? null,
      }
    : { error: local.problems[0]?.text ?? '' };
  const answer = neutral({ env, ...daemon, ctl }, dirname(file)) as Record<string, Json>;
  // Crashes of the control program need not be imitated, only refused.
  const wantedCtl = golden['ctl'] as Record<string, Json>;
  if ('crash' in wantedCtl && !local.ok) answer['ctl'] = wantedCtl;
  const differences: string[] = [];
  compare('', golden, answer, differences);
  const refusal = result.ok ? undefined : REFUSED_ON_PURPOSE.exec(result.problems[0]?.text ?? '');
  const deliberate = 'error' in golden ? undefined : refusal?.[0];
  return { differences, deliberate };
}

function compare(
  path: string,
  wanted: Json | undefined,
  got: Json | undefined,
  out: string[],
): void {
  if (isDeepStrictEqual(wanted, got)) return;
  const bothObjects =
    typeof wanted === 'object' && wanted !== null && typeof got === 'object' && got !== null;
  if (!bothObjects || Array.isArray(wanted) !== Array.isArray(got)) {
    out.push(`${path || '/'}: wanted ${brief(wanted)}, got ${brief(got)}`);
    return;
  }
  const left = wanted as Record<string, Json>;
  const right = got as Record<string, Json>;
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    compare(`${path}/${key}`, left[key], right[key], out);
  }
}

function brief(value: Json | undefined): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** The same value without the names of this machine. */
function neutral(value: Json, here: string): Json {
  if (typeof value === 'string') return value.replaceAll(here, '$HERE').replaceAll(HOST, '$HOST');
  if (Array.isArray(value)) return value.map((item) => neutral(item, here));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [
    neutral(key, here) as string,
    neutral(item, here),
  ]);
  return Object.fromEntries(entries) as Json;
}

function describeResult(result: ConfigResult, accounts: Accounts): Record<string, Json> {
  return result.ok
    ? describeConfig(result.config, accounts)
    : { error: result.problems[0]?.text ?? '' };
}

function describeConfig(config: AgentConfig, accounts: Accounts): Record<string, Json> {
  const { daemon } = config;
  const { logfile } = daemon;
  return {
    supervisord: {
      user:
        daemon.user === undefined
          ? null
          : accounts.show({ text: daemon.user.text, id: daemon.user.uid }),
      nodaemon: daemon.nodaemon,
      silent: daemon.silent,
      umask: daemon.umask,
      directory: daemon.directory ?? null,
      logfile: logfile.kind === 'syslog' ? 'syslog' : logfile.path,
      logfile_maxbytes: daemon.logBytesMax,
      logfile_backups: daemon.logBackups,
      loglevel: daemon.loglevel,
      pidfile: daemon.pidfile,
      identifier: daemon.identifier,
      childlogdir: daemon.childlogdir,
      minfds: daemon.minfds,
      minprocs: daemon.minprocs,
      nocleanup: daemon.nocleanup,
      strip_ansi: daemon.stripAnsi,
      environment: { ...daemon.environment },
      serverurl: daemon.serverUrl ?? null,
    },
    servers: config.servers.map((server) => describeServer(server, accounts)),
    rpcinterfaces: config.rpcInterfaces.map(({ name, factory, options }) => ({
      name,
      factory,
      options: { ...options },
    })),
    groups: config.declaredGroups.map((group) => describeGroup(group, accounts)),
    warnings: [...config.warnings],
    infos: [...config.infos],
  };
}

function describeServer(server: ServerConfig, accounts: Accounts): Json {
  const common = { section: server.section, name: server.name ?? null };
  const credentials = {
    username: server.credentials?.username ?? null,
    password: server.credentials?.password ?? null,
  };
  return server.family === 'inet'
    ? { ...common, family: 'inet', host: server.host, port: server.port, ...credentials }
    : {
        ...common,
        family: 'unix',
        file: server.file,
        chmod: server.mode,
        chown: describeOwner(server.owner, accounts) ?? { user: null, group: null },
        ...credentials,
      };
}

function describeOwner(owner: OwnerRef | undefined, accounts: Accounts): Json {
  if (owner === undefined) return null;
  const group = owner.group === undefined ? null : accounts.show(owner.group);
  return { user: accounts.show(owner.user), group };
}

function describeGroup(group: GroupConfig, accounts: Accounts): Json {
  const described: Record<string, Json> = { name: group.name, priority: group.priority };
  described['kind'] = group.kind;
  if (group.kind === 'eventlistener') {
    described['events'] = [...group.events];
    described['buffer_size'] = group.bufferSize;
    described['result_handler'] = group.resultHandler;
  }
  if (group.kind === 'fcgi') described['socket'] = describeSocket(group.socket, accounts);
  described['programs'] = group.processes.map((process) => describeProcess(process, accounts));
  return described;
}

function describeSocket(socket: FcgiSocketConfig, accounts: Accounts): Json {
  const common = { url: socket.url, backlog: socket.backlog ?? null };
  return socket.family === 'inet'
    ? { ...common, host: socket.host, port: socket.port }
    : {
        ...common,
        path: socket.path,
        owner: describeOwner(socket.owner, accounts),
        mode: socket.mode,
      };
}

function describeProcess(process: ProcessConfig, accounts: Accounts): Json {
  const restart = { always: true, never: false, unexpected: 'unexpected' } as const;
  const { user, stopSignal } = process;
  const streams = (['stdout', 'stderr'] as const).flatMap((channel): [string, Json][] => {
    const stream = process[channel];
    return [
      [`${channel}_logfile`, describeLogFile(stream.logfile)],
      [`${channel}_logfile_maxbytes`, stream.logBytesMax],
      [`${channel}_logfile_backups`, stream.logBackups],
      [`${channel}_capture_maxbytes`, stream.captureBytesMax],
      [`${channel}_events_enabled`, stream.eventsEnabled],
      [`${channel}_syslog`, stream.syslog],
    ];
  });
  return {
    name: process.name,
    command: process.command,
    directory: process.directory ?? null,
    umask: process.umask ?? null,
    priority: process.priority,
    autostart: process.autostart,
    autorestart: restart[process.autorestart],
    startsecs: process.startMs / 1000,
    startretries: process.startRetries,
    exitcodes: [...process.exitCodes],
    stopsignal: { number: stopSignal.number, name: stopSignal.name ?? null },
    stopwaitsecs: process.stopWaitMs / 1000,
    stopasgroup: process.stopAsGroup,
    killasgroup: process.killAsGroup,
    user: user === undefined ? null : accounts.show({ text: user.text, id: user.uid }),
    redirect_stderr: process.redirectStderr,
    ...Object.fromEntries(streams),
    environment: { ...process.environment },
    serverurl: process.serverUrl ?? null,
  };
}

function describeLogFile(logfile: LogFileConfig): Json {
  switch (logfile.kind) {
    case 'path':
      return logfile.path;
    case 'empty':
      return '';
    default:
      return logfile.kind.toUpperCase();
  }
}
