// Wiring of one controller: ports, view, sessions, services, bus, alerts, rollouts, in the order of their needs.
// Invariant: every check that can fail runs before anything listens or is started; what was started is undone.
import { hostname } from 'node:os';
import type { Clock } from '../common/clock.js';
import type { Daemon } from '../common/daemon.js';
import { FleetError } from '../common/errors.js';
import { reasonOf, type Logger } from '../common/log.js';
import type { Random } from '../common/random.js';
import { Handlers, serve } from '../common/rpc.js';
import { readTls, type TlsMaterial } from '../common/tls.js';
import { allBeatsSubject, COORD_BUCKET, hostOfSubject, META_BUCKET } from '../common/subjects.js';
import { VERSION } from '../common/version.js';
import { Heartbeat, SessionsService } from '../proto/gen/fleetvisor/v1/session.js';
import { Access } from './access.js';
import { AGENT_LIMITS, Agents } from './agents.js';
import { Alerting } from './alerting.js';
import { matchLabels } from './alerts/matchers.js';
import { bucketRecords, recordLease } from './bus/records.js';
import { BusSide, checkBus } from './bus-side.js';
import type { ControllerConfig, TlsConfig } from './config.js';
import { EventHub } from './events.js';
import { FleetExecutor } from './execute.js';
import { Feed } from './feed.js';
import { HEALTH_TIMES } from './fleet/health.js';
import { openHttp } from './http.js';
import { KnownHosts } from './known-hosts.js';
import { logReceiver } from './notify/log.js';
import type { Receiver } from './notify/receiver.js';
import type { Route } from './alerts/pipeline.js';
import { webhookReceiver } from './notify/webhook.js';
import type { Executor } from './ports.js';
import { Rollouts } from './rollouts.js';
import { CONTROL_SERVICE, controlService } from './server.js';
import { sessionsService } from './sessions.js';
import { claimStateDir } from './state-dir.js';

const CLOSE_GRACE_MS = 1_000;

/** What a controller runs on. */
export interface ControllerWorld {
  readonly config: ControllerConfig;
  /** Absolute. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Starts an agent, for the embedded bus. */
  readonly agentCommand: readonly string[];
  /** For nats-server's place, and for what the embedded bus starts. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

/** Who this controller is. Throws FleetError CONFIG_INVALID naming the file that is wrong. */
export function checkIdentity(
  config: ControllerConfig,
  clock: Clock,
): { readonly files: TlsConfig; readonly tls: TlsMaterial } {
  const { tls: files } = config;
  if (files === undefined) {
    throw new FleetError('CONFIG_INVALID', `${config.file} has no section [tls]`, {
      hint: "name ca, cert and key there; 'ctl certs init' and 'ctl certs issue controller NAME' make them",
    });
  }
  const tls = readTls(files, clock.wallMs());
  if (tls.identity.kind !== 'controller') {
    throw new FleetError(
      'CONFIG_INVALID',
      `${files.cert} is the certificate of a ${tls.identity.kind}, not of a controller`,
      { hint: "make one with 'ctl certs issue controller NAME'" },
    );
  }
  return { files, tls };
}

/** Starts everything; resolves when agents and ctl are served. What is registered with `daemon` undoes it. */
export async function startController(world: ControllerWorld, daemon: Daemon): Promise<void> {
  const { clock, config, env, log, random, stateDir } = world;
  const { signal } = daemon;
  const { files, tls } = checkIdentity(config, clock);
  checkBus(config.nats, env);
  const release = claimStateDir(stateDir);
  daemon.onExit('state directory', release);

  const { fleet, name: replica } = tls.identity;
  const { limits } = config;
  const busSide = new BusSide({
    ...{ fleet, controller: replica, stateDir, nats: config.nats, listen: config.listen },
    ...{ hostName: hostname(), tls: files, agentCommand: world.agentCommand, env },
    ...{ clock, log, signal },
  });
  daemon.onExit('bus', () => busSide.close());
  const { bus } = busSide;

  const feed = new Feed(clock, {
    ...HEALTH_TIMES,
    heartbeatMs: limits.heartbeatMs,
    suspectMs: limits.suspectMs,
    downMs: limits.downMs,
  });
  feed.hearsBus = () => bus.status().kind === 'connected';
  const agents = new Agents(feed, clock, log, { ...AGENT_LIMITS, hostsMax: limits.hostsMax });
  const known = new KnownHosts(bucketRecords(bus, META_BUCKET), clock, log, signal);
  const coordination = bucketRecords(bus, COORD_BUCKET);
  const lease = recordLease(coordination, replica, clock);
  const events = new EventHub({ feed, bus, clock, log, fleet, replica, signal });

  const executor: Executor = new FleetExecutor({
    agents,
    feed,
    clock,
    holderOf: (target): string | undefined => rollouts.holderOf(target),
  });
  const records = coordination;
  const rollouts = new Rollouts({
    ...{ records, lease, executor, feed, clock, log, signal },
    activeMax: limits.rolloutsMax,
  });
  const receivers = receiversOf(config, clock, log);
  const alerts = new Alerting({
    ...{ fleet, feed, clock, random, log, signal, records, lease },
    routes: routesOf(config, receivers),
    receivers,
    rolloutOf: (host, group, process) => rollouts.holderOf({ host, group, process }),
  });

  const handlersFor = (...peers: ('host' | 'user')[]): Handlers =>
    new Handlers({
      fleet,
      peers,
      onBug: (error, method) => log.error('call failed', { method, reason: stackOf(error) }),
    });
  const server = await serve({
    listen: `${config.listen.host}:${config.listen.port}`,
    tls,
    services: [
      {
        definition: SessionsService,
        handlers: sessionsService(handlersFor('host'), {
          ...{ agents, feed, clock, log, fleet, replica },
          processesMax: limits.processesPerHostMax,
          silenceMs: () => feed.downMs(),
          busUrls: () => busSide.urls,
          onAdmitted: (host) => busSide.admit(host.name),
          onRegistered: (facts) => known.remember(facts),
        }),
      },
      {
        definition: CONTROL_SERVICE,
        handlers: controlService(handlersFor('user'), {
          ...{ feed, agents, executor, events, alerts, rollouts, replica },
          access: new Access(config.users),
          streamsMax: limits.logStreamsMax,
          busProblem: () => busSide.problem(),
        }),
      },
    ],
  });
  daemon.onExit('gRPC', async () => {
    agents.closeAll();
    await server.close(CLOSE_GRACE_MS);
  });
  const http = await openHttp({
    ...{ listen: config.httpListen, limits, feed, version: VERSION },
    sessions: () => agents.count,
    busProblem: () => busSide.problem(),
  });
  daemon.onExit('HTTP', () => http.close());

  feed.start(signal);
  alerts.start();
  log.info('listening', { port: server.port, http_port: http.port, fleet, replica });
  await busSide.start();
  followBus({ busSide, events, feed, known, rollouts, log, signal }, daemon);
  log.info('ready', { fleet, replica, version: VERSION });
}

interface BusUsers {
  readonly busSide: BusSide;
  readonly events: EventHub;
  readonly feed: Feed;
  readonly known: KnownHosts;
  readonly rollouts: Rollouts;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** What can begin only when the bus answers; until then the controller serves without it. */
function followBus(users: BusUsers, daemon: Daemon): void {
  const { busSide, events, feed, known, log, rollouts, signal } = users;
  const { bus } = busSide;
  bus.onStatus((status) => {
    if (status.kind === 'connected') {
      log.info('bus connected', { server: status.server });
      events.busIsBack();
    } else if (!signal.aborted) log.warn('bus is away', { reason: status.reason });
  });
  bus.subscribe(allBeatsSubject(busSide.fleet), (message) => {
    const host = hostOfSubject(message.subject);
    try {
      const beat = Heartbeat.decode(message.data);
      if (beat.host === host) feed.beat(beat, 'bus');
    } catch (error) {
      log.warn('heartbeat cannot be read', { host, reason: reasonOf(error) });
    }
  });
  const begin = async (): Promise<void> => {
    if (!(await busSide.provision())) return;
    await Promise.all([
      known.follow((facts) => feed.know(facts)),
      events.ingest(),
      rollouts.resume(),
    ]);
  };
  begin().catch((error: unknown) => daemon.fail('the bus', error));
}

/** Without any `[receiver:NAME]` alerts go to the controller's own log. */
function receiversOf(config: ControllerConfig, clock: Clock, log: Logger): Receiver[] {
  if (config.receivers.length === 0) return [logReceiver('log', log)];
  return config.receivers.map((receiver) =>
    receiver.type === 'log'
      ? logReceiver(receiver.name, log)
      : webhookReceiver({ ...receiver, wallMs: () => clock.wallMs() }),
  );
}

/** Without any `[route:NAME]` every receiver gets every alert. */
function routesOf(config: ControllerConfig, receivers: readonly Receiver[]): Route[] {
  if (config.routes.length === 0) {
    return receivers.map(({ name }) => ({ receiver: name, matches: () => true, continues: true }));
  }
  return config.routes.map(({ match, receiver }) => ({
    receiver,
    matches: (labels) => matchLabels(match, labels),
  }));
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
