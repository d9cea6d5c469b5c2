// `[supervisord]`: the daemon's own options, and its plug-ins (spec config 7.3, 7.9). Pure.
// Keys are read in Supervisor's order, because the first problem is the one it reports.
import { expand } from '../../common/expand.js';
import { readEnvironment, readPath, readUser } from '../../common/fields.js';
import type { IniSection } from '../../common/ini.js';
import { FieldError } from '../../common/problems.js';
import type { SectionReader } from '../../common/sections.js';
import { nameAfterColon, type ParseContext } from './context.js';
import { DAEMON, RPC_INTERFACE } from './schema.js';
import type { DaemonConfig, RpcInterfaceConfig, ServerConfig, UserRef } from './types.js';

/** Options of the command line, as text, by the key that they override; flags are `true`. */
export type DaemonOverrides = Readonly<Partial<Record<keyof typeof DAEMON, string>>>;

/** The daemon's options before the servers are known and the user is looked up. */
export type DaemonDraft = Omit<DaemonConfig, 'user' | 'serverUrl'> & {
  readonly userText: string | undefined;
};

/** Reads `[supervisord]`; afterwards its `environment` is part of the context's `ENV_*` names. */
export function parseDaemon(
  context: ParseContext,
  section: IniSection,
  overrides: DaemonOverrides,
): DaemonDraft {
  const { world } = context;
  const reader = context.reader(section, DAEMON, [context.hereNames]);
  /** The command line wins, but the file's value must be valid all the same. */
  const get = <Key extends keyof typeof DAEMON>(
    key: Key,
  ): ReturnType<(typeof DAEMON)[Key]['read']> => {
    type Value = ReturnType<(typeof DAEMON)[Key]['read']>;
    const fromFile = reader.get(key) as Value;
    const override = overrides[key];
    return override === undefined
      ? fromFile
      : reader.attempt(key, fromFile, () => DAEMON[key].read(override, world) as Value);
  };
  const optional = <T>(value: T | undefined): T | undefined => value;

  const minfds = get('minfds');
  const minprocs = get('minprocs');
  const directory = optional<string>(get('directory'));
  const userText = optional<string>(get('user'));
  const umask = get('umask');
  const logfile = get('logfile');
  const logBytesMax = get('logfile_maxbytes');
  const logBackups = get('logfile_backups');
  const loglevel = get('loglevel');
  const pidfile = get('pidfile');
  const identifier = get('identifier');
  const nodaemon = get('nodaemon');
  const silent = get('silent');
  const childlogdir = optional<string>(get('childlogdir')) ?? world.tempDir;
  const nocleanup = get('nocleanup');
  const stripAnsi = get('strip_ansi');
  const environment = parseEnvironment(context, reader);
  for (const [key, value] of Object.entries(environment)) {
    context.envNames.set(`ENV_${key}`, value);
  }
  return {
    logfile:
      logfile === 'syslog' ? { kind: 'syslog' } : { kind: 'file', path: readPath(logfile, world) },
    logBytesMax,
    logBackups,
    loglevel,
    pidfile: readPath(pidfile, world),
    identifier,
    umask,
    directory,
    userText,
    environment,
    minfds,
    minprocs,
    childlogdir,
    nodaemon,
    silent,
    nocleanup,
    stripAnsi,
  };
}

/** Expanded twice, and `host_node_name` is known the second time only: so did 4.2.5 (spec config 4). */
function parseEnvironment(
  context: ParseContext,
  reader: SectionReader<typeof DAEMON>,
): Readonly<Record<string, string>> {
  const once = reader.get('environment');
  const names = [
    context.envNames,
    context.hereNames,
    new Map([['host_node_name', context.world.hostName]]),
  ];
  return reader.attempt('environment', {}, () =>
    readEnvironment(expand(once, names, 'environment'), context.world),
  );
}

/** Looks the daemon's user up: Supervisor's very last check. */
export function parseDaemonUser(
  context: ParseContext,
  section: IniSection,
  text: string | undefined,
): UserRef | undefined {
  if (text === undefined) return undefined;
  const reader = context.reader(section, DAEMON);
  return reader.attempt('user', undefined, () => readUser(text, context.world));
}

/** The automatic SUPERVISOR_SERVER_URL: the first unix server, else the last TCP server (spec config 11). */
export function automaticServerUrl(servers: readonly ServerConfig[]): string | undefined {
  let url: string | undefined;
  for (const server of servers) {
    if (server.family === 'unix') return `unix://${server.file}`;
    url = `http://${server.host === '' ? 'localhost' : server.host}:${server.port}`;
  }
  return url;
}

/** The one factory that exists: Supervisor's own methods. */
export const MAIN_RPC_FACTORY = 'supervisor.rpcinterface:make_main_rpcinterface';

const FACTORY_KEY = 'supervisor.rpcinterface_factory';

/** Reads all `[rpcinterface:x]` sections. */
export function parseRpcInterfaces(context: ParseContext): RpcInterfaceConfig[] {
  return context.sectionsWith('rpcinterface:').flatMap((section) => {
    const reader = context.reader(section, RPC_INTERFACE);
    const factory = reader.get(FACTORY_KEY);
    if (factory === undefined) {
      if (!reader.failed) {
        reader.fail(
          undefined,
          `section [${section.name}] does not specify a ${FACTORY_KEY}`,
          `add ${FACTORY_KEY} = ${MAIN_RPC_FACTORY}`,
        );
      }
      return [];
    }
    if (normalizeFactory(factory) !== MAIN_RPC_FACTORY) {
      reader.fail(
        FACTORY_KEY,
        `${factory} cannot be resolved within [${section.name}]`,
        `only ${MAIN_RPC_FACTORY} is built in`,
      );
    }
    const options: [string, string][] = [];
    const keys = new Set([...section.fields.keys(), ...context.document.defaults.keys()]);
    for (const key of keys) {
      if (key === FACTORY_KEY) continue;
      const field = section.fields.get(key) ?? context.document.defaults.get(key);
      if (field === undefined) continue;
      try {
        options.push([key, expand(field.value, [context.envNames], `${section.name}.${key}`)]);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        context.problems.add({
          file: field.file,
          line: field.line,
          section: section.name,
          key,
          text: error.message,
          advice: error.advice,
        });
      }
    }
    const name = nameAfterColon(section.name) ?? '';
    return [{ name, factory: MAIN_RPC_FACTORY, options: Object.fromEntries(options) }];
  });
}

const FACTORY = /^([\w.]+)\s*:\s*([\w.]+)\s*$/;

/** `module : attribute` without the blanks that are allowed around the colon. */
export function normalizeFactory(text: string): string {
  const match = FACTORY.exec(text);
  return match === null ? text : `${match[1]}:${match[2]}`;
}
