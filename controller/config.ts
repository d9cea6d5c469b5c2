// controller.conf -> ControllerConfig, or every problem of the file with its place (design: names, files).
// Same dialect and same reporting as supervisord.conf, but strict: unknown sections and keys are problems.
// Relative paths are relative to the file's folder; `%(here)s` and `%(ENV_X)s` work everywhere.
import type { Matcher } from './alerts/matchers.js';
import { HOST_RULES, PROCESS_RULES } from './alerts/rules.js';
import { LIMITS, parseLimits, type Limits } from './limits.js';
import {
  ALERT,
  CONTROLLER,
  CONTROLLER_KINDS,
  NATS,
  RECEIVER,
  ROUTE,
  TLS,
  USER,
  type Grant,
} from './schema.js';
import { environmentNames } from '../common/expand.js';
import { expandHome, readIntegerBetween, readPath } from '../common/fields.js';
import type { IniDocument, IniSection } from '../common/ini.js';
import { plainWorld, readIniFile } from '../common/inifile.js';
import { folderOf, normalizePath } from '../common/paths.js';
import { Problems, type ConfigProblem } from '../common/problems.js';
import {
  refuseUnknown,
  SectionReader,
  type SectionContext,
  type SectionTable,
} from '../common/sections.js';

/** An address to listen on or to dial. */
export interface Address {
  /** Without brackets, lower case. */
  readonly host: string;
  readonly port: number;
}

/** Everything a controller is told by its file. */
export interface ControllerConfig {
  readonly file: string;
  /** gRPC, for agents and ctl. */
  readonly listen: Address;
  /** Page and metrics. */
  readonly httpListen: Address;
  /** Absolute; undefined: the default state directory. */
  readonly stateDir: string | undefined;
  /** The other replicas; empty: this is the only one. */
  readonly peers: readonly Address[];
  /** undefined: plaintext, accepted on loopback addresses only. */
  readonly tls: TlsConfig | undefined;
  readonly nats: NatsConfig;
  /** By alert name, e.g. `HostDown`. */
  readonly alerts: ReadonlyMap<string, AlertOverride>;
  readonly receivers: readonly ReceiverConfig[];
  /** In the order in which they are tried. */
  readonly routes: readonly RouteConfig[];
  /** By user name. */
  readonly users: ReadonlyMap<string, UserConfig>;
  readonly limits: Limits;
}

/** Absolute paths of PEM files. */
export interface TlsConfig {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export type NatsConfig =
  | { readonly kind: 'external'; readonly servers: readonly string[] }
  | {
      readonly kind: 'embedded';
      readonly port: number;
      /** Absolute; undefined: below the state directory. */
      readonly storeDir: string | undefined;
    };

/** What differs from the alert's built-in rule; undefined parts stay. */
export interface AlertOverride {
  readonly enabled: boolean;
  readonly forMs: number | undefined;
  readonly keepMs: number | undefined;
  readonly severity: 'critical' | 'warning' | 'info' | undefined;
}

export type ReceiverConfig =
  | { readonly name: string; readonly type: 'log' }
  | {
      readonly name: string;
      readonly type: 'webhook';
      readonly url: string;
      /** Signs the body; undefined: unsigned. */
      readonly secret: string | undefined;
    };

export interface RouteConfig {
  readonly name: string;
  readonly match: readonly Matcher[];
  readonly receiver: string;
}

export interface UserConfig {
  /** At least one. */
  readonly grants: readonly Grant[];
}

/** Five replicas in all. */
const PEERS_MAX = 4;

/** Either the configuration or all its problems, never both. */
export type ControllerConfigResult =
  | { readonly ok: true; readonly config: ControllerConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Reads a controller.conf. `path` is relative to the current directory. Never throws for what the file says. */
export function loadControllerConfig(
  path: string,
  env: Readonly<Record<string, string>>,
): ControllerConfigResult {
  const problems = new Problems();
  const document = readIniFile(path, problems);
  if (document === undefined) return { ok: false, problems: problems.list };
  refuseUnknown(document, CONTROLLER_KINDS, problems);
  const config = new ControllerParser(path, document, problems, env).parse();
  return problems.list.length > 0 ? { ok: false, problems: problems.list } : { ok: true, config };
}

class ControllerParser {
  private readonly context: SectionContext;
  private readonly here: string;
  private readonly names;

  constructor(
    private readonly file: string,
    private readonly document: IniDocument,
    problems: Problems,
    env: Readonly<Record<string, string>>,
  ) {
    const world = plainWorld(env);
    this.context = { document, world, problems };
    this.here = folderOf(readPath(file, world));
    this.names = [environmentNames(env), new Map([['here', this.here]])];
  }

  parse(): ControllerConfig {
    const main = this.reader('controller', CONTROLLER);
    const listen = main.get('listen');
    const httpListen = main.get('http_listen');
    const stateDir = this.path(main.get('state_dir'));
    const peers = main.get('peers');
    if (peers.length > PEERS_MAX) main.fail('peers', `more than ${PEERS_MAX} other replicas`);
    const tls = this.parseTls(listen);
    const receivers = this.all('receiver:', RECEIVER).flatMap((reader) => this.receiver(reader));
    return {
      file: this.file,
      listen,
      httpListen,
      stateDir,
      peers,
      tls,
      nats: this.parseNats(peers.length > 0),
      alerts: new Map(
        this.all('alert:', ALERT).map((reader) => [nameOf(reader.section), this.alert(reader)]),
      ),
      receivers,
      routes: this.parseRoutes(),
      users: new Map(
        this.all('user:', USER).map((reader) => [nameOf(reader.section), this.user(reader)]),
      ),
      limits: parseLimits(this.reader('limits', LIMITS)),
    };
  }

  private parseTls(listen: Address): TlsConfig | undefined {
    const reader = this.reader('tls', TLS);
    if (!this.document.sections.has('tls')) {
      if (!isLoopback(listen.host)) {
        const text = 'section [tls] is missing, and plaintext is for loopback addresses only';
        reader.fail(undefined, text, 'make certificates with: ctl certs init');
      }
      return undefined;
    }
    const path = (key: 'ca' | 'cert' | 'key'): string => {
      const text = reader.get(key);
      if (text === undefined) reader.fail(key, `section [tls] has no ${key} value`);
      return this.path(text) ?? '';
    };
    return { ca: path('ca'), cert: path('cert'), key: path('key') };
  }

  private parseNats(isReplicated: boolean): NatsConfig {
    const reader = this.reader('nats', NATS);
    const servers = reader.get('servers');
    const storeDir = this.path(reader.get('store_dir'));
    const port = reader.get('port');
    if (servers.length > 0) return { kind: 'external', servers };
    if (isReplicated && !reader.failed) {
      const text =
        'an embedded bus belongs to exactly one controller, but [controller] peers is set';
      reader.fail(undefined, text, 'name the servers in [nats] servers');
    }
    return { kind: 'embedded', port, storeDir };
  }

  private alert(reader: SectionReader<typeof ALERT>): AlertOverride {
    const name = nameOf(reader.section);
    const known = [...PROCESS_RULES, ...HOST_RULES].map((rule) => rule.name);
    if (!known.includes(name)) {
      reader.fail(undefined, `there is no alert ${name}`, `known: ${known.join(', ')}`);
    }
    return {
      enabled: reader.get('enabled'),
      forMs: reader.get('for'),
      keepMs: reader.get('keep'),
      severity: reader.get('severity'),
    };
  }

  private receiver(reader: SectionReader<typeof RECEIVER>): ReceiverConfig[] {
    const name = nameOf(reader.section);
    const type = reader.get('type');
    const url = reader.get('url');
    const secret = reader.get('secret');
    if (type === undefined) {
      if (reader.raw('type') === undefined) reader.fail('type', 'the receiver has no type');
      return [];
    }
    if (type === 'log') return [{ name, type }];
    if (url === undefined || !/^https?:\/\/[^\s/]/.test(url)) {
      const text = url === undefined ? 'the webhook has no url' : `not a URL: ${url}`;
      reader.fail('url', text, 'write http://… or https://…');
      return [];
    }
    return [{ name, type, url, secret }];
  }

  /** By their names as numbers where they are numbers, so that [route:10] comes after [route:9]. */
  private parseRoutes(): RouteConfig[] {
    const declared = this.all('receiver:', RECEIVER).map(({ section }) => nameOf(section));
    const order = readIntegerBetween(0, Number.MAX_SAFE_INTEGER);
    const routes = this.all('route:', ROUTE).flatMap((reader) => {
      const name = nameOf(reader.section);
      const rank = reader.attempt('match', 0, () => order(name, this.context.world));
      const match = reader.get('match');
      const receiver = reader.get('receiver');
      if (receiver === undefined) {
        reader.fail('receiver', 'the route has no receiver');
        return [];
      }
      if (!declared.includes(receiver)) {
        const text = `there is no section [receiver:${receiver}]`;
        reader.fail('receiver', text, `known: ${declared.join(', ') || 'none'}`);
      }
      return [{ rank, route: { name, match, receiver } }];
    });
    return routes.sort((a, b) => a.rank - b.rank).map(({ route }) => route);
  }

  private user(reader: SectionReader<typeof USER>): UserConfig {
    const grants = reader.get('grant');
    if (grants === undefined && !reader.failed) {
      reader.fail('grant', 'the user has no grant', 'write e.g. grant = viewer on *:*:*');
    }
    return { grants: grants ?? [] };
  }

  private reader<Table extends SectionTable>(name: string, table: Table): SectionReader<Table> {
    const found = this.document.sections.get(name);
    const section = found ?? { name, file: this.file, line: 1, fields: new Map() };
    return new SectionReader(this.context, section, table, this.names);
  }

  private all<Table extends SectionTable>(prefix: string, table: Table): SectionReader<Table>[] {
    return [...this.document.sections.values()]
      .filter(({ name }) => name.startsWith(prefix))
      .map((section) => new SectionReader(this.context, section, table, this.names));
  }

  private path(text: string | undefined): string | undefined {
    if (text === undefined) return undefined;
    return normalizePath(this.here, expandHome(text, this.context.world));
  }
}

function nameOf(section: IniSection): string {
  return section.name.slice(section.name.indexOf(':') + 1);
}

/** Is the host this machine, so that nobody else can listen in? */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
