// Every key of every section of a controller.conf: how it is read, its default, what it is for.
// The reader (config.ts), the refusal of unknown names and docs/configuration.md all come from these tables.
import { parseMatchers, type Matcher } from './alerts/matchers.js';
import { LIMITS } from './limits.js';
import {
  readBoolean,
  readDuration,
  readHostPort,
  readHostPorts,
  readList,
  readOneOf,
  readPort,
  readText,
  type Reader,
} from '../common/fields.js';
import { FieldError } from '../common/problems.js';
import {
  exactly,
  field,
  optional,
  prefixed,
  type SectionKind,
  type SectionTable,
} from '../common/sections.js';

const LISTEN: { host: string; port: number } = { host: '0.0.0.0', port: 9500 };
const HTTP_LISTEN: { host: string; port: number } = { host: '127.0.0.1', port: 9580 };
const NATS_PORT = 9522;
const BUILT_RECEIVERS = ['webhook', 'log'] as const;
const PLANNED_RECEIVERS: readonly string[] = ['slack', 'smtp', 'exec', 'alertmanager'];

/** `[controller]` */
export const CONTROLLER = {
  listen: field(readHostPort, LISTEN, '0.0.0.0:9500', 'address for agents and ctl (gRPC)'),
  http_listen: field(readHostPort, HTTP_LISTEN, '127.0.0.1:9580', 'address of page and metrics'),
  state_dir: optional(readText, 'where state is kept', '/var/lib/fleetvisor/ID'),
  peers: field(
    readHostPorts,
    [],
    '',
    'the other replicas, HOST:PORT,…; then [nats] servers is required',
  ),
} satisfies SectionTable;

/** `[tls]` */
export const TLS = {
  ca: optional(readText, "certificate of the fleet's authority, PEM; required", 'required'),
  cert: optional(readText, "the controller's certificate, PEM; required", 'required'),
  key: optional(readText, "the controller's private key, PEM; required", 'required'),
} satisfies SectionTable;

const readServers: Reader<readonly string[]> = (text, world) => {
  const servers = readList(text, world);
  for (const server of servers) {
    if (!/^(nats|tls):\/\/[^\s/]+$/.test(server)) {
      throw new FieldError(
        `not a bus address: ${server}`,
        'write tls://HOST:PORT or nats://HOST:PORT',
      );
    }
  }
  return servers;
};

/** `[nats]` */
export const NATS = {
  servers: field(readServers, [], 'embedded', 'existing NATS servers, tls://HOST:PORT,…'),
  store_dir: optional(readText, 'JetStream files of the embedded server', 'STATE/nats'),
  port: field(readPort, NATS_PORT, '9522', 'port of the embedded server'),
} satisfies SectionTable;

/** `[alert:NAME]` */
export const ALERT = {
  enabled: field(readBoolean, true, 'true', 'evaluate this alert'),
  for: optional(
    readDuration,
    'how long the condition must hold before the alert fires',
    'built in',
  ),
  keep: optional(readDuration, 'how long it must be clear before it is resolved', 'built in'),
  severity: optional(
    readOneOf(['critical', 'warning', 'info'] as const),
    'its severity',
    'built in',
  ),
} satisfies SectionTable;

const readReceiverType: Reader<(typeof BUILT_RECEIVERS)[number]> = (text) => {
  const type = BUILT_RECEIVERS.find((candidate) => candidate === text);
  if (type !== undefined) return type;
  const known = `use ${BUILT_RECEIVERS.join(' or ')}`;
  if (PLANNED_RECEIVERS.includes(text)) {
    throw new FieldError(`receivers of type ${text} are not supported by this version`, known);
  }
  throw new FieldError(`unknown receiver type ${text}`, known);
};

/** `[receiver:NAME]` */
export const RECEIVER = {
  type: optional(readReceiverType, 'webhook or log; required', 'required'),
  url: optional(readText, 'webhook: where to POST; required there'),
  secret: optional(readText, 'webhook: key that signs the body'),
} satisfies SectionTable;

const readMatch: Reader<readonly Matcher[]> = (text) => {
  const matchers = parseMatchers(text);
  if (typeof matchers !== 'string') return matchers;
  throw new FieldError(matchers, 'write e.g. severity=critical,host!=db1');
};

/** `[route:NAME]` */
export const ROUTE = {
  match: field(readMatch, [], '', 'labels an alert must have; empty: every alert'),
  receiver: optional(readText, 'name of a [receiver:NAME]; required', 'required'),
} satisfies SectionTable;

/** What a user may do, and to what (spec fleet 13). */
export interface Grant {
  readonly role: Role;
  readonly selector: string;
}

export type Role = 'viewer' | 'logs' | 'operator' | 'admin';

const GRANT = /^(viewer|logs|operator|admin)\s+on\s+(\S+)$/;

const readGrants: Reader<readonly Grant[]> = (text) => {
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length === 0) throw new FieldError('no grant is given', 'write e.g. viewer on *:*:*');
  return lines.map((line) => {
    const [, role, selector] = GRANT.exec(line) ?? [];
    if (role !== undefined && selector !== undefined) return { role: role as Role, selector };
    throw new FieldError(
      `not a grant: ${line}`,
      'write viewer, logs, operator or admin, then: on SELECTOR; one grant a line',
    );
  });
};

/** `[user:NAME]` */
export const USER = {
  grant: optional(
    readGrants,
    'ROLE on SELECTOR; further grants on indented lines; required',
    'required',
  ),
} satisfies SectionTable;

/** All sections of a controller.conf, in the order of the documentation. */
export const CONTROLLER_KINDS: readonly SectionKind[] = [
  exactly('controller', CONTROLLER),
  exactly('tls', TLS),
  exactly('nats', NATS),
  exactly('limits', LIMITS),
  prefixed('alert:', ALERT),
  prefixed('receiver:', RECEIVER),
  prefixed('route:', ROUTE),
  prefixed('user:', USER),
];
