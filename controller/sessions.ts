// The Sessions service: what agents say on their streams, checked and handed on (spec fleet 3).
// Invariants: the first message registers; a host speaks for itself only; a snapshot counts when its last chunk came.
import type { Clock } from '../common/clock.js';
import { digestRows } from '../common/digest.js';
import { FleetError } from '../common/errors.js';
import type { Logger } from '../common/log.js';
import type { ProcessRow } from '../common/rows.js';
import type { CallContext, Handlers, MessageStream } from '../common/rpc.js';
import { eventFromWire, rowFromWire } from '../common/wire.js';
import {
  type AgentMessage,
  type ControllerMessage,
  type Digest,
  type Heartbeat,
  type Register,
  type SessionsServer,
  type Snapshot,
  type TransferDown,
  type TransferUp,
} from '../proto/gen/fleetvisor/v1/session.js';
import type { Agents, Session } from './agents.js';
import type { Feed, HostFacts } from './feed.js';
import type { OnAdmitted } from './ports.js';

const REGISTER_MS = 10_000;
const LABELS_MAX = 64;

export interface SessionsOptions {
  readonly agents: Agents;
  readonly feed: Feed;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fleet: string;
  readonly replica: string;
  /** Processes of one host; a snapshot with more is refused with the session. */
  readonly processesMax: number;
  /** A session without a message for this long is closed, milliseconds. */
  readonly silenceMs: () => number;
  /** Bus addresses for agents; empty: no bus. */
  readonly busUrls: () => readonly string[];
  /** Settles before the host is told where the bus is; must neither reject nor take long. */
  readonly onAdmitted: OnAdmitted;
  /** A host registered; what it said of itself is to be remembered. */
  readonly onRegistered: (facts: HostFacts) => void;
}

/** The handlers to serve. */
export function sessionsService(handlers: Handlers, options: SessionsOptions): SessionsServer {
  return {
    connect: handlers.duplex<AgentMessage, ControllerMessage>((stream, context) =>
      connect(stream, context, options),
    ),
    transfer: handlers.duplex<TransferUp, TransferDown>((stream, context) =>
      transfer(stream, context, options),
    ),
  };
}

async function connect(
  stream: MessageStream<AgentMessage, ControllerMessage>,
  context: CallContext,
  options: SessionsOptions,
): Promise<void> {
  const incoming = stream.incoming[Symbol.asyncIterator]();
  const cancelTimer = options.clock.after(REGISTER_MS, () => stream.cancel());
  const first = await incoming.next();
  cancelTimer();
  if (first.done === true) return;
  if (first.value.body?.$case !== 'register') {
    throw new FleetError('BAD_ARGUMENTS', 'a session begins with a registration');
  }
  const register = first.value.body.value;
  const session = await admit(stream, context, register, options);
  if (session === undefined) return;
  const speaker = new Speaker(session, options);
  const silence = new Silence(options, () => {
    options.log.warn('session is silent, so it is closed', { host: session.facts.host });
    stream.cancel();
  });
  try {
    for (let next = await incoming.next(); next.done !== true; next = await incoming.next()) {
      if (!options.agents.isCurrent(session)) return;
      silence.broken();
      speaker.hear(next.value);
    }
  } finally {
    silence.end();
    options.agents.closed(session);
    options.log.info('session closed', { host: session.facts.host, address: context.address });
  }
}

async function admit(
  stream: MessageStream<AgentMessage, ControllerMessage>,
  context: CallContext,
  register: Register,
  options: SessionsOptions,
): Promise<Session | undefined> {
  const { agents, log } = options;
  const admission = agents.admit({
    host: register.host,
    provenHost: context.peer.name,
    hostUid: register.hostUid,
    epoch: register.epoch,
    protocolMin: register.protocolMin,
    protocolMax: register.protocolMax,
  });
  if (admission.kind === 'rejected') {
    const { reason, message, retryAfterMs } = admission;
    const fields = { host: register.host, address: context.address, reason, why: message };
    if (reason === 'RETRY') log.info('session put off', fields);
    else log.warn('session refused', fields);
    await stream.send({ body: { $case: 'rejected', value: { reason, message, retryAfterMs } } });
    stream.end();
    return undefined;
  }
  const session: Session = {
    facts: {
      host: register.host,
      hostUid: register.hostUid,
      epoch: register.epoch,
      agentVersion: register.agentVersion,
      labels: new Map(register.labels.slice(0, LABELS_MAX).map(({ key, value }) => [key, value])),
    },
    send: (message) => stream.send(message),
    close: () => stream.cancel(),
  };
  const beatMs = options.feed.heartbeatMs();
  agents.open(session, context.address, admission.how === 'rebound', beatMs);
  options.onRegistered(session.facts);
  log.info('session opened', {
    host: register.host,
    address: context.address,
    epoch: register.epoch,
    how: admission.how,
  });
  await options.onAdmitted(context.peer);
  await stream.send({
    body: {
      $case: 'accepted',
      value: {
        protocol: admission.protocol,
        heartbeatMs: beatMs,
        replica: options.replica,
        fence: 0,
        busUrls: [...options.busUrls()],
        fleet: options.fleet,
      },
    },
  });
  return session;
}

/** Notices a peer that no longer speaks though its connection looks alive. */
class Silence {
  private heardMs: number;
  private cancelTimer: () => void = () => undefined;

  constructor(
    private readonly options: Pick<SessionsOptions, 'clock' | 'silenceMs'>,
    private readonly onSilent: () => void,
  ) {
    this.heardMs = options.clock.nowMs();
    this.arm();
  }

  broken(): void {
    this.heardMs = this.options.clock.nowMs();
  }

  end(): void {
    this.cancelTimer();
  }

  /** One timer for many messages: it looks again at the earliest instant that could matter. */
  private arm(): void {
    const { clock, silenceMs } = this.options;
    const leftMs = this.heardMs + silenceMs() - clock.nowMs();
    if (leftMs <= 0) this.onSilent();
    else this.cancelTimer = clock.after(leftMs, () => this.arm());
  }
}

/** One registered agent's messages. */
class Speaker {
  private chunks: { epoch: number; seq: number; rows: ProcessRow[] } | undefined;

  constructor(
    private readonly session: Session,
    private readonly options: SessionsOptions,
  ) {}

  hear(message: AgentMessage): void {
    const { feed, agents, log } = this.options;
    const { host } = this.session.facts;
    switch (message.body?.$case) {
      case 'heartbeat':
        this.beat(message.body.value);
        break;
      case 'snapshot':
        this.snapshot(message.body.value);
        break;
      case 'event': {
        const event = eventFromWire(message.body.value);
        if (event.host === host) feed.event(event);
        else log.warn('event of another host refused', { host, claimed: event.host });
        break;
      }
      case 'result':
        agents.result(this.session, message.body.value);
        break;
      case 'digest':
        this.digest(message.body.value);
        break;
      case 'leaving':
        log.info('host leaves', { host, reason: message.body.value.reason });
        feed.leaving(host);
        break;
      case 'register':
        throw new FleetError('BAD_ARGUMENTS', 'a session registers once');
      case undefined:
        // A newer agent may say what this version does not know.
        log.debug('message not understood', { host });
        break;
    }
  }

  private beat(beat: Heartbeat): void {
    this.options.feed.beat({ ...beat, host: this.session.facts.host }, 'session');
  }

  private snapshot(chunk: Snapshot): void {
    const { feed, agents, processesMax } = this.options;
    const { host } = this.session.facts;
    if (this.chunks?.epoch !== chunk.epoch || this.chunks.seq !== chunk.seq) {
      this.chunks = { epoch: chunk.epoch, seq: chunk.seq, rows: [] };
    }
    this.chunks.rows.push(...chunk.rows.map(rowFromWire));
    if (this.chunks.rows.length > processesMax) {
      throw new FleetError(
        'LIMIT_EXCEEDED',
        `${host} has more than ${processesMax} processes, which is the limit of one host`,
      );
    }
    if (!chunk.last) return;
    const snapshot = this.chunks;
    this.chunks = undefined;
    feed.snapshot(host, snapshot, chunk.monoMs);
    agents.snapshotCame(host, chunk.resyncId);
  }

  private digest(digest: Digest): void {
    const { feed, log } = this.options;
    const { host } = this.session.facts;
    const cursor = feed.cursor(host);
    if (cursor?.epoch !== digest.epoch || cursor.seq !== digest.seq) return;
    if (digest.sha256.equals(digestRows(feed.rows(host)))) return;
    log.error('view differs from its agent', { host, epoch: digest.epoch, seq: digest.seq });
    feed.diverged(host);
  }
}

/** A transfer stream: its first message says which request it answers; then it belongs to whoever asked. */
async function transfer(
  stream: MessageStream<TransferUp, TransferDown>,
  context: CallContext,
  { agents, clock }: SessionsOptions,
): Promise<void> {
  const incoming = stream.incoming[Symbol.asyncIterator]();
  const cancelTimer = clock.after(REGISTER_MS, () => stream.cancel());
  const first = await incoming.next();
  cancelTimer();
  if (first.done === true) return;
  if (first.value.body?.$case !== 'opened') {
    throw new FleetError('BAD_ARGUMENTS', 'a transfer begins by naming its request');
  }
  const { transferId } = first.value.body.value;
  const rest: AsyncIterable<TransferUp> = { [Symbol.asyncIterator]: () => incoming };
  const over = new Promise<void>((resolve) => {
    stream.signal.addEventListener('abort', () => resolve(), { once: true });
    if (stream.signal.aborted) resolve();
  });
  const owned: MessageStream<TransferUp, TransferDown> = {
    incoming: rest,
    send: (message) => stream.send(message),
    get pending() {
      return stream.pending;
    },
    end: () => stream.end(),
    cancel: () => stream.cancel(),
    signal: stream.signal,
  };
  if (!agents.takeTransfer(context.peer.name, transferId, owned)) {
    throw new FleetError('NO_MATCH', 'nobody waits for this transfer any more');
  }
  await over;
}
