// What ctl reads: the `[supervisorctl]` section of a supervisord.conf (one host), and ctl.conf (the fleet).
// Included files are never read, as supervisorctl does not read them either (spec config 3).
import { homedir } from 'node:os';
import { CONTROL_PLUGIN, CONTROL_PROGRAM } from '../common/ctlsection.js';
import { environmentNames } from '../common/expand.js';
import { expandHome, readHostPorts, readList, readPath, readText } from '../common/fields.js';
import { plainWorld, readIniFile } from '../common/inifile.js';
import type { FieldWorld } from '../common/fields.js';
import type { IniDocument, IniSection } from '../common/ini.js';
import { folderOf, joinPath, normalizePath } from '../common/paths.js';
import { Problems, type ConfigProblem } from '../common/problems.js';
import {
  exactly,
  field,
  optional,
  refuseUnknown,
  SectionReader,
  type SectionContext,
  type SectionKind,
  type SectionTable,
} from '../common/sections.js';

/** How to reach one host's daemon (spec config 7.4). */
export interface LocalConfig {
  /** `http://…` or `unix://` and an absolute path. */
  readonly serverUrl: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly prompt: string;
  /** Absolute; undefined: no history is kept. */
  readonly historyFile: string | undefined;
}

/** How to reach the fleet. */
export interface CtlConfig {
  /** At least one. */
  readonly controllers: readonly { readonly host: string; readonly port: number }[];
  /** Paths of PEM files, absolute; undefined: not given. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Hosts that a command without host part means; empty: the command must say. */
  readonly defaultHosts: readonly string[];
}

/** Either what the file says or all its problems. */
export type Loaded<T> =
  | { readonly ok: true; readonly config: T }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** The defaults that hold when no supervisord.conf is found. */
export const LOCAL_DEFAULTS: LocalConfig = {
  serverUrl: CONTROL_PROGRAM.serverurl.fallback,
  username: undefined,
  password: undefined,
  prompt: CONTROL_PROGRAM.prompt.fallback,
  historyFile: undefined,
};

type Environment = Readonly<Record<string, string>>;

/** Reads `[supervisorctl]` of a supervisord.conf. `world` is replaced in tests. */
export function loadLocalConfig(
  file: string,
  env: Environment,
  world: FieldWorld = plainWorld(env),
): Loaded<LocalConfig> {
  const problems = new Problems();
  const document = readIniFile(file, problems);
  if (document === undefined) return { ok: false, problems: problems.list };
  const section = document.sections.get('supervisorctl');
  if (section === undefined) {
    problems.add({
      file,
      line: undefined,
      section: 'supervisorctl',
      key: undefined,
      text: '.ini file does not include supervisorctl section',
      advice: 'add a line [supervisorctl] and a serverurl',
    });
    return { ok: false, problems: problems.list };
  }
  const context = { document, world, problems };
  const config = parseLocal(context, section, folderOf(readPath(file, world)), env);
  refusePlugins(context, env);
  return problems.list.length > 0 ? { ok: false, problems: problems.list } : { ok: true, config };
}

function parseLocal(
  context: SectionContext,
  section: IniSection,
  here: string,
  env: Environment,
): LocalConfig {
  const { world } = context;
  const envNames = environmentNames(env);
  const withHere = [envNames, new Map([['here', here]])];
  const reader = new SectionReader(context, section, CONTROL_PROGRAM, [envNames]);
  const url = reader.get('serverurl', withHere);
  const prompt = reader.get('prompt');
  const username = reader.get('username');
  const password = reader.get('password');
  const history = reader.get('history_file', withHere);
  const scheme = 'unix://';
  return {
    serverUrl: url.startsWith(scheme) ? scheme + readPath(url.slice(scheme.length), world) : url,
    username,
    password,
    prompt,
    historyFile: history === undefined || history === '' ? undefined : readPath(history, world),
  };
}

/** supervisorctl refuses factories that it cannot import; for us these are all. */
function refusePlugins(context: SectionContext, env: Environment): void {
  const key = 'supervisor.ctl_factory';
  for (const section of context.document.sections.values()) {
    if (!section.name.startsWith('ctlplugin:')) continue;
    const reader = new SectionReader(context, section, CONTROL_PLUGIN, [environmentNames(env)]);
    const factory = reader.get(key);
    if (factory !== undefined) {
      const text = `${factory} cannot be resolved within [${section.name}]`;
      reader.fail(key, text, 'ctl has no plug-ins; remove the section');
    } else if (!reader.failed) {
      reader.fail(undefined, `section [${section.name}] does not specify a ${key}`);
    }
  }
}

/** `[ctl]` of ctl.conf. */
export const CTL = {
  controllers: optional(readHostPorts, 'controllers to ask, HOST:PORT,…; required', 'required'),
  ca: optional(readText, "certificate of the fleet's authority, PEM"),
  cert: optional(readText, "the user's certificate, PEM"),
  key: optional(readText, "the user's private key, PEM"),
  default_hosts: field(readList, [], '', 'hosts meant by a command that names none'),
} satisfies SectionTable;

/** The sections of a ctl.conf. */
export const CTL_KINDS: readonly SectionKind[] = [exactly('ctl', CTL)];

/** Reads a ctl.conf; relative paths are relative to its folder. Unknown keys are problems. */
export function loadCtlConfig(
  file: string,
  env: Environment,
  world: FieldWorld = plainWorld(env),
): Loaded<CtlConfig> {
  const problems = new Problems();
  const document = readIniFile(file, problems);
  if (document === undefined) return { ok: false, problems: problems.list };
  refuseUnknown(document, CTL_KINDS, problems);
  const config = parseAccess({ document, world, problems }, file, document, env);
  return config === undefined || problems.list.length > 0
    ? { ok: false, problems: problems.list }
    : { ok: true, config };
}

function parseAccess(
  context: SectionContext,
  file: string,
  document: IniDocument,
  env: Environment,
): CtlConfig | undefined {
  const section = document.sections.get('ctl') ?? { name: 'ctl', file, line: 1, fields: new Map() };
  const here = folderOf(readPath(file, context.world));
  const names = [environmentNames(env), new Map([['here', here]])];
  const reader = new SectionReader(context, section, CTL, names);
  const controllers = reader.get('controllers');
  if (controllers === undefined && reader.raw('controllers') === undefined) {
    reader.fail(undefined, 'section [ctl] has no controllers value', 'add controllers = HOST:9500');
  }
  const path = (key: 'ca' | 'cert' | 'key'): string | undefined => {
    const text = reader.get(key);
    return text === undefined ? undefined : normalizePath(here, expandHome(text, context.world));
  };
  const paths = { ca: path('ca'), cert: path('cert'), key: path('key') };
  const defaultHosts = reader.get('default_hosts');
  return controllers === undefined ? undefined : { controllers, ...paths, defaultHosts };
}

/** Where ctl.conf is when `-C` does not say: `$XDG_CONFIG_HOME` or `~/.config`. */
export function defaultCtlConf(env: Readonly<Record<string, string | undefined>>): string {
  const base = env['XDG_CONFIG_HOME'] || joinPath(env['HOME'] ?? homedir(), '.config');
  return joinPath(base, 'fleetvisor/ctl.conf');
}
