// The pool of sessions: who is connected, commands with tickets and deadlines, transfers, requests for snapshots.
// Invariants: one session per host; every command gets exactly one answer; nothing waits for a host without a
// session (spec fleet 3, 8; design 7).
import { randomUUID } from 'node:crypto';
import type { Clock } from '../common/clock.js';
import type { Logger } from '../common/log.js';
import type { MessageStream } from '../common/rpc.js';
import {
  type Command,
  type CommandResult,
  type ControllerMessage,
  type TailSpec,
  type TransferDown,
  type TransferUp,
} from '../proto/gen/fleetvisor/v1/session.js';
import type { Feed, HostFacts } from './feed.js';
import {
  admit,
  REGISTRATION_TIMES,
  type Admission,
  type Claim,
  type RegistrationTimes,
} from './fleet/registration.js';

/** Commands under way per agent; more are answered `busy` (spec fleet D35). */
export const COMMANDS_MAX = 256;
const RESYNCS_MAX = 50;
const RESYNC_AGAIN_MS = 10_000;
const TRANSFER_OPEN_MS = 10_000;

export interface AgentLimits {
  /** New sessions a second; the rest is told to come again. */
  readonly admissionsPerSecond: number;
  readonly hostsMax: number;
  readonly registration: RegistrationTimes;
}

export const AGENT_LIMITS: AgentLimits = {
  admissionsPerSecond: 100,
  hostsMax: 5_000,
  registration: REGISTRATION_TIMES,
};

/** The bytes of one log, as the agent sends them. Cancel it when done. */
export type Transfer = MessageStream<TransferUp, TransferDown>;

/** What came of handing a command to an agent. */
export type CommandAnswer =
  | { readonly kind: 'answered'; readonly result: CommandResult }
  /** Nothing was sent. */
  | { readonly kind: 'unreachable' | 'busy' }
  /** Sent, and then the deadline passed or the session was lost: the outcome is not known. */
  | { readonly kind: 'timeout'; readonly message: string };

/** The controller's end of one agent's session. */
export interface Session {
  readonly facts: HostFacts;
  /** Resolves when taken by the transport; false: the session is over. */
  readonly send: (message: ControllerMessage) => Promise<boolean>;
  readonly close: () => void;
}

interface OpenSession extends Session {
  readonly waiting: Map<number, (answer: CommandAnswer) => void>;
}

export class Agents {
  private readonly sessions = new Map<string, OpenSession>();
  private readonly resyncs = new Map<string, { readonly id: string; readonly askedAtMs: number }>();
  private readonly transfers = new Map<
    string,
    { readonly host: string; readonly take: (transfer: Transfer | undefined) => void }
  >();
  private tickets = 0;
  private putOff = 0;
  private admissions: { atMs: number; left: number };

  constructor(
    private readonly feed: Feed,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly limits: AgentLimits = AGENT_LIMITS,
  ) {
    this.admissions = { atMs: clock.nowMs(), left: limits.admissionsPerSecond };
    feed.onResyncWanted = (host) => this.resync(host);
  }

  get count(): number {
    return this.sessions.size;
  }

  isConnected(host: string): boolean {
    return this.sessions.has(host);
  }

  // ------------------------------------------------------------ sessions

  /** Decides a registration; an accepted one must be followed by `open`. */
  admit(claim: Claim): Admission {
    const nowMs = this.clock.nowMs();
    const perSecond = this.limits.admissionsPerSecond;
    const earned = ((nowMs - this.admissions.atMs) * perSecond) / 1_000;
    this.admissions = { atMs: nowMs, left: Math.min(perSecond, this.admissions.left + earned) };
    if (this.admissions.left < 1) {
      // Each is asked back when its turn will have come, so that they do not all return together.
      this.putOff += 1;
      return {
        kind: 'rejected',
        reason: 'RETRY',
        message: 'too many agents connect at once',
        retryAfterMs: Math.round(1_000 + (this.putOff / perSecond) * 1_000),
      };
    }
    this.admissions.left -= 1;
    if (this.admissions.left > perSecond / 2) this.putOff = 0;
    const incumbent = this.feed.incumbent(claim.host);
    if (incumbent === undefined && this.feed.names().length >= this.limits.hostsMax) {
      return {
        kind: 'rejected',
        reason: 'RETRY',
        message: `the fleet has ${this.limits.hostsMax} hosts, which is its limit`,
        retryAfterMs: 60_000,
      };
    }
    return admit(claim, incumbent, this.limits.registration);
  }

  /** The session is the host's from now on; an older one of the same host is closed. */
  open(session: Session, address: string, rebound: boolean, beatMs: number): void {
    const { host } = session.facts;
    const older = this.sessions.get(host);
    this.sessions.set(host, { ...session, waiting: new Map() });
    if (older !== undefined) {
      older.close();
      release(older, 'the agent opened another session');
    }
    this.resyncs.delete(host);
    this.feed.register(session.facts, address, rebound, beatMs);
  }

  /** The stream ended; ignored when a newer session has taken over. */
  closed(session: Session): void {
    const open = this.sessions.get(session.facts.host);
    if (open?.send !== session.send) return;
    this.sessions.delete(session.facts.host);
    this.resyncs.delete(session.facts.host);
    release(open, 'the session was lost after the command was sent');
    this.feed.sessionClosed(session.facts.host);
  }

  /** Is this still the host's session? What an older one says is not listened to. */
  isCurrent(session: Session): boolean {
    return this.sessions.get(session.facts.host)?.send === session.send;
  }

  /** Closes every session, as a controller does that ends. */
  closeAll(): void {
    for (const session of this.sessions.values()) session.close();
  }

  // ------------------------------------------------------------ commands

  /** Hands a command to its agent. Never rejects; aborting `signal` only stops the waiting. */
  command(
    host: string,
    command: Omit<Command, 'ticket'>,
    signal: AbortSignal,
  ): Promise<CommandAnswer> {
    const session = this.sessions.get(host);
    if (session === undefined) return Promise.resolve({ kind: 'unreachable' });
    if (session.waiting.size >= COMMANDS_MAX) return Promise.resolve({ kind: 'busy' });
    this.tickets += 1;
    const ticket = this.tickets;
    return new Promise((resolve) => {
      const finish = (answer: CommandAnswer): void => {
        if (!session.waiting.delete(ticket)) return;
        cancelTimer();
        signal.removeEventListener('abort', onAbort);
        resolve(answer);
      };
      const cancelTimer = this.clock.after(command.deadlineLeftMs, () =>
        finish({
          kind: 'timeout',
          message: `no result within ${command.deadlineLeftMs} ms; the agent goes on with what it began`,
        }),
      );
      const onAbort = (): void =>
        finish({ kind: 'timeout', message: 'the caller stopped waiting' });
      session.waiting.set(ticket, finish);
      signal.addEventListener('abort', onAbort, { once: true });
      const message = { body: { $case: 'command' as const, value: { ...command, ticket } } };
      void session.send(message).then((taken) => {
        // It may have left all the same, so nobody can say that it did not arrive.
        if (!taken) finish({ kind: 'timeout', message: 'the session was lost while sending' });
      });
    });
  }

  /** An agent's answer. */
  result(session: Session, result: CommandResult): void {
    const finish = this.sessions.get(session.facts.host)?.waiting.get(result.ticket);
    finish?.({ kind: 'answered', result });
  }

  // ------------------------------------------------------------ snapshots

  private resync(host: string): void {
    const session = this.sessions.get(host);
    if (session === undefined) return;
    const nowMs = this.clock.nowMs();
    for (const [other, { askedAtMs }] of this.resyncs) {
      if (nowMs - askedAtMs >= RESYNC_AGAIN_MS) this.resyncs.delete(other);
    }
    // The feed asks again at its next tick while the need lasts.
    if (this.resyncs.has(host) || this.resyncs.size >= RESYNCS_MAX) return;
    const id = randomUUID();
    this.resyncs.set(host, { id, askedAtMs: nowMs });
    this.log.info('asking for a snapshot', { host, resync: id });
    void session.send({ body: { $case: 'resync', value: { id } } });
  }

  /** A complete snapshot came; the next need may be asked for at once. */
  snapshotCame(host: string, resyncId: string): void {
    if (this.resyncs.get(host)?.id === resyncId) this.resyncs.delete(host);
  }

  // ------------------------------------------------------------ transfers

  /**
   * Asks an agent to send a log. Resolves with the stream, or with why there is none; gives up after 10 s.
   * The stream is cancelled with `signal`.
   */
  async openTail(host: string, tail: TailSpec, signal: AbortSignal): Promise<Transfer | string> {
    const session = this.sessions.get(host);
    if (session === undefined) return 'unreachable';
    const id = randomUUID();
    const transfer = await new Promise<Transfer | undefined>((resolve) => {
      const take = (came: Transfer | undefined): void => {
        if (!this.transfers.delete(id)) return;
        cancelTimer();
        signal.removeEventListener('abort', give);
        resolve(came);
      };
      const give = (): void => take(undefined);
      const cancelTimer = this.clock.after(TRANSFER_OPEN_MS, give);
      signal.addEventListener('abort', give, { once: true });
      this.transfers.set(id, { host, take });
      const open = { transferId: id, kind: { $case: 'tail' as const, value: tail } };
      void session.send({ body: { $case: 'openTransfer', value: open } }).then((taken) => {
        if (!taken) give();
      });
    });
    if (transfer === undefined) {
      void session.send({ body: { $case: 'closeTransfer', value: { transferId: id } } });
      return `the agent did not open the log within ${TRANSFER_OPEN_MS / 1_000} s`;
    }
    const cancel = (): void => transfer.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    transfer.signal.addEventListener('abort', () => signal.removeEventListener('abort', cancel));
    if (signal.aborted) cancel();
    return transfer;
  }

  /** A transfer stream arrived; false: nobody asked this host for it. */
  takeTransfer(host: string, id: string, transfer: Transfer): boolean {
    const asked = this.transfers.get(id);
    if (asked === undefined || asked.host !== host) return false;
    asked.take(transfer);
    return true;
  }
}

function release(session: OpenSession, message: string): void {
  for (const finish of [...session.waiting.values()]) finish({ kind: 'timeout', message });
}
