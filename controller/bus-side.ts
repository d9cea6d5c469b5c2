// The controller's bus: embedded or given, connected in the background, provisioned once it answers.
// Invariants: an embedded broker ends with an ordered end of the controller and survives anything else; hosts that
// may connect are remembered beside it, because the fleet's own records live inside it.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '../common/bus.js';
import { pause, type Clock } from '../common/clock.js';
import { reasonOf, type Logger } from '../common/log.js';
import { openNats } from '../common/nats/connection.js';
import { checkPeer } from '../common/tls.js';
import {
  allAuditSubject,
  allEventsSubject,
  AUDIT_STREAM,
  COORD_BUCKET,
  EVENTS_STREAM,
  inboxPrefix,
  META_BUCKET,
} from '../common/subjects.js';
import { EmbeddedBus, findNatsServer } from './bus/embedded.js';
import type { Address, NatsConfig, TlsConfig } from './config.js';

const MEGA = 1024 * 1024;
const DAY_MS = 86_400_000;
/** Streams and buckets together stay below 70 % of it (spec fleet 5). */
const STORE_BYTES_MAX = 2_048 * MEGA;
const RETRY_MS = 500;
/** How long an agent's admission waits for the broker to let it in. */
const ADMIT_MS = 2_000;

export interface BusSideOptions {
  readonly fleet: string;
  readonly controller: string;
  readonly stateDir: string;
  readonly nats: NatsConfig;
  /** An embedded broker listens on the same interface as the controller. */
  readonly listen: Address;
  /** The name agents reach this machine by when it listens on every interface. */
  readonly hostName: string;
  readonly tls: TlsConfig;
  readonly agentCommand: readonly string[];
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Throws FleetError when an embedded broker is wanted and nats-server is not on this machine. */
export function checkBus(nats: NatsConfig, env: Readonly<NodeJS.ProcessEnv>): void {
  if (nats.kind === 'embedded') findNatsServer(env['PATH'] ?? '');
}

export class BusSide {
  readonly bus: Bus;
  /** What agents are told. */
  readonly urls: readonly string[];
  private embedded: EmbeddedBus | undefined;
  private readonly admitted: Set<string>;

  constructor(private readonly options: BusSideOptions) {
    const { controller, fleet, hostName, listen, nats, tls } = options;
    if (nats.kind === 'embedded') {
      const any = listen.host === '0.0.0.0' || listen.host === '::';
      this.urls = [`tls://${bracketed(any ? hostName : listen.host)}:${nats.port}`];
    } else this.urls = nats.servers;
    const local = `${bracketed(loopbackOf(listen.host))}:${nats.kind === 'embedded' ? nats.port : 0}`;
    this.bus = openNats({
      servers: nats.kind === 'embedded' ? [local] : nats.servers,
      tls: { ...tls, checkServer: checkPeer(fleet, ['bus', 'controller']) },
      name: `controller ${controller}`,
      inboxPrefix: inboxPrefix('controller', controller),
    });
    this.admitted = new Set(readHosts(this.hostsFile()));
  }

  /** Starts an embedded broker. Rejects with FleetError; then nothing was left running. */
  async start(): Promise<void> {
    const { nats, listen, stateDir, ...rest } = this.options;
    if (nats.kind === 'external') return;
    const known = [...this.admitted];
    this.embedded = await EmbeddedBus.start({
      fleet: rest.fleet,
      controller: rest.controller,
      stateDir,
      storeDir: nats.storeDir ?? join(stateDir, 'nats', 'store'),
      storeBytesMax: STORE_BYTES_MAX,
      listen: { host: listen.host, port: nats.port },
      tls: rest.tls,
      agentCommand: rest.agentCommand,
      env: rest.env,
      hosts: known,
      log: rest.log,
    });
    // Hosts that came while the broker started found nobody to let them in.
    const late = [...this.admitted].filter((host) => !known.includes(host));
    await Promise.all(late.map((host) => this.letIn(host)));
  }

  /** Creates streams and buckets, COORD first; tries until it can or `signal`. False: `signal` came first. */
  async provision(): Promise<boolean> {
    const { clock, fleet, log, signal } = this.options;
    let told = false;
    for (;;) {
      if (signal.aborted) return false;
      try {
        await this.bus.ensureBucket(COORD_BUCKET, { bytesMax: 32 * MEGA, history: 1 });
        await this.bus.ensureBucket(META_BUCKET, { bytesMax: 64 * MEGA, history: 5 });
        await this.bus.ensureStream(EVENTS_STREAM, {
          subjects: [allEventsSubject(fleet)],
          ageMsMax: 7 * DAY_MS,
          bytesMax: 1_024 * MEGA,
          duplicateWindowMs: 600_000,
        });
        await this.bus.ensureStream(AUDIT_STREAM, {
          subjects: [allAuditSubject(fleet)],
          ageMsMax: 90 * DAY_MS,
          bytesMax: 256 * MEGA,
          duplicateWindowMs: 600_000,
        });
        log.info('bus is ready', { urls: this.urls });
        return true;
      } catch (error) {
        const connected = this.bus.status().kind === 'connected';
        if (connected && !told) log.warn('bus is not usable yet', { reason: reasonOf(error) });
        told ||= connected;
        await pause(clock, RETRY_MS, signal);
      }
    }
  }

  get fleet(): string {
    return this.options.fleet;
  }

  /** Empty: connected. */
  problem(): string {
    const status = this.bus.status();
    return status.kind === 'connected' ? '' : status.reason;
  }

  /** Lets a host connect to an embedded broker; waits a little for it, and never rejects. */
  async admit(host: string): Promise<void> {
    const { clock, log } = this.options;
    if (this.options.nats.kind === 'external' || this.admitted.has(host)) return;
    this.admitted.add(host);
    try {
      writeHosts(this.hostsFile(), this.admitted);
    } catch (error) {
      log.warn('host cannot be remembered as one of the bus', { host, reason: reasonOf(error) });
    }
    const stop = new AbortController();
    await Promise.race([this.letIn(host), pause(clock, ADMIT_MS, stop.signal)]);
    stop.abort();
  }

  private async letIn(host: string): Promise<void> {
    try {
      await this.embedded?.admit(host);
    } catch (error) {
      const { log } = this.options;
      log.warn('host could not be let onto the bus', { host, reason: reasonOf(error) });
    }
  }

  async close(): Promise<void> {
    await this.bus.close();
    await this.embedded?.stop();
  }

  private hostsFile(): string {
    return join(this.options.stateDir, 'bus-hosts');
  }
}

function readHosts(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    // None were admitted yet; those that come are let in again.
    return [];
  }
}

/** Whole or not at all. */
function writeHosts(file: string, hosts: ReadonlySet<string>): void {
  writeFileSync(`${file}.new`, [...hosts].sort().join('\n') + '\n', { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function loopbackOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
