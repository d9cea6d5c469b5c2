// The agent's membership in a fleet: outbox, sessions, commands and publisher wired together. Loaded only with [fleet].
// Invariant: whatever fails here is logged and tried again; supervision neither waits for it nor stops (spec fleet D4).
import { hostname, loadavg } from 'node:os';
import { join } from 'node:path';
import type { Accepted, Heartbeat, Register } from '../../proto/gen/fleetvisor/v1/session.js';
import { Heartbeat as HeartbeatCodec } from '../../proto/gen/fleetvisor/v1/session.js';
import type { Bus } from '../../common/bus.js';
import { beatSubject, inboxPrefix } from '../../common/subjects.js';
import { checkPeer } from '../../common/tls.js';
import type { AgentCore, FleetLink, LinkContext, OpenLink } from '../core.js';
import { createOutbox, type Outbox } from '../outbox.js';
import { Spool } from '../spool.js';
import { jitteredMs } from './backoff.js';
import { Commands } from './commands.js';
import { ControllerLink } from './controller.js';
import { controllerDialer } from './dial.js';
import { checkCertificate, fleetHostName, oneLine } from './host.js';
import { Publisher } from './publisher.js';
import { PROTOCOL } from './session.js';

/** How long a farewell waits for the last events to reach the bus. */
const FLUSH_MS = 1_000;
const FLUSH_STEP_MS = 20;

/** Everything about the bus once a controller said where it is. */
interface BusSide {
  readonly bus: Bus;
  readonly servers: string;
  readonly publisher: Publisher;
}

/** Rejects with one line when the host's name cannot be used; certificate problems are logged and tried again. */
export const openLink: OpenLink = async (context) => {
  const host = hostNameOf(context.identifier);
  const { state, clock, log, fleet } = context;
  try {
    checkCertificate(fleet, host, clock.wallMs());
  } catch (error) {
    log.log('error', `fleet: not joining yet: ${oneLine(error)}`);
  }
  const store = new Spool(state.dir === undefined ? undefined : join(state.dir, 'spool'), clock);
  const identity = { host, hostUid: state.hostUid, epoch: state.epoch };
  return Promise.resolve(new Link(context, createOutbox(identity, store, clock)));
};

function hostNameOf(identifier: string): string {
  try {
    return fleetHostName(identifier, hostname());
  } catch (error) {
    throw new Error(oneLine(error), { cause: error });
  }
}

class Link implements FleetLink {
  readonly sink: Outbox;
  readonly #context: LinkContext;
  readonly #startedMs: number;
  #controllers: ControllerLink[] = [];
  #commands: Commands | undefined;
  #core: AgentCore | undefined;
  #busSide: BusSide | undefined;
  #openingBus = false;
  #cancelBeat: (() => void) | undefined;
  #heartbeatMs = 2_000;
  #spoolProblem = '';
  #closing: Promise<void> | undefined;

  constructor(context: LinkContext, outbox: Outbox) {
    this.#context = context;
    this.sink = outbox;
    this.#startedMs = context.clock.nowMs();
    this.#noteSpool();
  }

  start(core: AgentCore): void {
    const { fleet, state, clock, random, log } = this.#context;
    this.#core = core;
    const journalPath = state.dir === undefined ? undefined : join(state.dir, 'commands.journal');
    const commands = new Commands({ core, epoch: state.epoch, journalPath, clock, log });
    this.#commands = commands;
    const dial = controllerDialer(fleet, () => clock.wallMs());
    this.#controllers = fleet.controllers.map(
      ({ host, port }) =>
        new ControllerLink({
          address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
          dial,
          core,
          outbox: this.sink,
          commands,
          clock,
          random,
          log,
          register: () => this.#register(core),
          heartbeat: () => this.#heartbeat(),
          onAccepted: (accepted) => this.#accepted(accepted),
        }),
    );
    for (const controller of this.#controllers) controller.start();
  }

  #register(core: AgentCore): Register {
    const { state, fleet, clock } = this.#context;
    const { host, hostUid, epoch } = this.sink.identity;
    return {
      host,
      hostUid,
      epoch,
      bootId: state.bootId,
      agentVersion: core.version,
      protocolMin: PROTOCOL,
      protocolMax: PROTOCOL,
      labels: Object.entries(fleet.labels).map(([key, value]) => ({ key, value })),
      capabilities: ['tail'],
      configHash: core.configHash,
      wallMs: Math.round(clock.wallMs()),
      lastSeq: this.sink.lastSeq(),
      spool: this.sink.status().mode,
      agentPid: process.pid,
    };
  }

  #heartbeat(): Heartbeat {
    const { clock } = this.#context;
    const { depth, mode } = this.sink.status();
    this.#noteSpool();
    return {
      epoch: this.sink.identity.epoch,
      lastSeq: this.sink.lastSeq(),
      lastStateSeq: this.sink.lastStateSeq(),
      monoMs: Math.max(0, Math.round(this.#core?.nowMs() ?? clock.nowMs())),
      wallMs: Math.round(clock.wallMs()),
      spoolDepth: depth,
      loadCenti: Math.round((loadavg()[0] ?? 0) * 100),
      host: this.sink.identity.host,
      uptimeMs: Math.round(clock.nowMs() - this.#startedMs),
      spool: mode,
    };
  }

  /** Says once that the spool is in trouble, and once that it is well again. */
  #noteSpool(): void {
    const { problem } = this.sink.status();
    if (problem === this.#spoolProblem) return;
    this.#spoolProblem = problem;
    const text = problem === '' ? 'on disk again' : `${problem}; events are kept in memory`;
    this.#context.log.log(problem === '' ? 'info' : 'warn', `fleet: event spool: ${text}`);
  }

  #accepted(accepted: Accepted): void {
    this.#heartbeatMs = Math.max(100, accepted.heartbeatMs);
    const { nats } = this.#context.fleet;
    const servers = nats.length > 0 ? nats : accepted.busUrls;
    if (servers.length === 0 || this.#closing !== undefined) return;
    void this.#useBus(servers);
  }

  /** Connects, or moves when the bus of before is away and a controller names another. */
  async #useBus(servers: readonly string[]): Promise<void> {
    const { fleet, clock, random, log } = this.#context;
    const named = [...servers].sort().join(' ');
    const before = this.#busSide;
    if (this.#openingBus || before?.servers === named) return;
    if (before !== undefined && before.bus.status().kind === 'connected') return;
    this.#openingBus = true;
    try {
      await this.#closeBus();
      const { host } = this.sink.identity;
      const trust = checkCertificate(fleet, host, clock.wallMs());
      const { openNats } = await import('../../common/nats/connection.js');
      if (this.#closing !== undefined) return;
      const { ca, cert, key } = fleet;
      const bus = openNats({
        servers,
        tls: { ca, cert, key, checkServer: checkPeer(trust, ['bus', 'controller']) },
        name: `agent ${host}`,
        inboxPrefix: inboxPrefix('host', host),
      });
      const publisher = new Publisher({
        outbox: this.sink,
        bus,
        fleet: trust,
        clock,
        random,
        log,
      });
      this.#busSide = { bus, servers: named, publisher };
      this.#beat(trust);
    } catch (error) {
      log.log('warn', `fleet: no bus: ${oneLine(error)}; events wait on this host`);
    } finally {
      this.#openingBus = false;
    }
  }

  /** The second path on which a host is heard, not stored (spec fleet 4). */
  #beat(trust: string): void {
    const side = this.#busSide;
    if (side === undefined) return;
    if (side.bus.status().kind === 'connected') {
      const data = HeartbeatCodec.encode(this.#heartbeat()).finish();
      side.bus.publish(beatSubject(trust, this.sink.identity.host), data);
    }
    const { clock, random } = this.#context;
    const nextMs = jitteredMs(this.#heartbeatMs, random.next());
    this.#cancelBeat = clock.after(nextMs, () => this.#beat(trust));
  }

  async #closeBus(): Promise<void> {
    const side = this.#busSide;
    this.#busSide = undefined;
    this.#cancelBeat?.();
    side?.publisher.close();
    await side?.bus.close();
  }

  close(leaving: boolean): Promise<void> {
    this.#closing ??= this.#close(leaving);
    return this.#closing;
  }

  async #close(leaving: boolean): Promise<void> {
    if (leaving) await this.#flush();
    await Promise.all(this.#controllers.map((controller) => controller.close(leaving)));
    await this.#closeBus();
    this.#commands?.close();
    await this.sink.close();
  }

  /** The last events reach the bus now if it is there; else they wait on disk for the next start. */
  async #flush(): Promise<void> {
    const { clock } = this.#context;
    const untilMs = clock.nowMs() + FLUSH_MS;
    while (this.sink.status().depth > 0 && clock.nowMs() < untilMs) {
      if (this.#busSide?.bus.status().kind !== 'connected') return;
      await new Promise<void>((resolve) => void clock.after(FLUSH_STEP_MS, resolve));
    }
  }
}
