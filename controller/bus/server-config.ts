// The texts that make an embedded bus: nats-server's configuration and the private agent's supervisord.conf.
// Pure. Each identity may do only what spec fleet 13 grants it: a host speaks under its own token alone.
import { beatSubject, EVENTS_STREAM, eventSubject, inboxPrefix } from '../../common/subjects.js';

export interface BusServerPlan {
  /** Address nats-server listens on. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly storeDir: string;
  readonly storeBytesMax: number;
}

/** nats-server's own syntax is a superset of JSON, so strings are quoted as JSON does it. */
export function natsServerConfig(plan: BusServerPlan): string {
  const quoted = JSON.stringify;
  return [
    `listen: ${quoted(`${plan.listen.host}:${plan.listen.port}`)}`,
    'server_name: "fleetvisor"',
    'max_payload: 1048576',
    'ping_interval: "10s"',
    'jetstream {',
    `  store_dir: ${quoted(plan.storeDir)}`,
    `  max_file_store: ${plan.storeBytesMax}`,
    '  max_memory_store: 67108864',
    '}',
    'tls {',
    `  ca_file: ${quoted(plan.tls.ca)}`,
    `  cert_file: ${quoted(plan.tls.cert)}`,
    `  key_file: ${quoted(plan.tls.key)}`,
    '  verify_and_map: true',
    '  timeout: 5',
    '}',
    'include "users.conf"',
    '',
  ].join('\n');
}

/** The list of who may connect; rewritten and reloaded when a host is admitted for the first time. */
export function natsUsersConfig(
  fleet: string,
  controllers: readonly string[],
  hosts: readonly string[],
): string {
  const lines = ['authorization {', '  users: ['];
  for (const name of controllers) {
    lines.push(
      `    { user: ${JSON.stringify(`spiffe://${fleet}/controller/${name}`)}, permissions: { publish: ">", subscribe: ">" } }`,
    );
  }
  for (const host of [...hosts].sort()) {
    const publish = [
      eventSubject(fleet, host),
      beatSubject(fleet, host),
      `$JS.API.STREAM.INFO.${EVENTS_STREAM}`,
    ];
    const subscribe = [`${inboxPrefix('host', host)}.>`];
    lines.push(
      `    { user: ${JSON.stringify(`spiffe://${fleet}/host/${host}`)}, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} } }`,
    );
  }
  lines.push('  ]', '}', '');
  return lines.join('\n');
}

/** The private agent's configuration: one program, restarted for ever. */
export function privateAgentConfig(places: {
  readonly natsServer: string;
  readonly natsConfig: string;
  readonly socket: string;
  readonly dir: string;
}): string {
  const text = (path: string): string => path.replaceAll('%', '%%');
  return [
    '; Written by fleetvisor-controller at each start: changes here are lost.',
    '[unix_http_server]',
    `file=${text(places.socket)}`,
    'chmod=0700',
    '',
    '[supervisord]',
    `logfile=${text(places.dir)}/agent.log`,
    'logfile_maxbytes=1MB',
    'logfile_backups=2',
    `pidfile=${text(places.dir)}/agent.pid`,
    `childlogdir=${text(places.dir)}`,
    'nodaemon=true',
    'identifier=fleetvisor-bus',
    '',
    '[rpcinterface:supervisor]',
    'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface',
    '',
    '[program:nats-server]',
    `command=${quoteWord(text(places.natsServer))} -c ${quoteWord(text(places.natsConfig))}`,
    'autorestart=true',
    'startsecs=1',
    'startretries=1000000',
    'stopwaitsecs=10',
    'redirect_stderr=true',
    `stdout_logfile=${text(places.dir)}/nats-server.log`,
    'stdout_logfile_maxbytes=5MB',
    'stdout_logfile_backups=2',
    '',
  ].join('\n');
}

function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replaceAll(/(["\\])/g, '\\$1')}"`;
}
