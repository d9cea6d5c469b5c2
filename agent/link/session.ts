// One session with one controller: register, snapshot, then state events, heartbeats and digests up, commands down.
// Invariants: every attempt starts from a fresh snapshot, so nothing is owed from the one before; a controller that
// reads slowly never slows the agent (spec fleet 3, 4, 6).
import type {
  Accepted,
  AgentMessage,
  Command,
  CommandResult,
  ControllerMessage,
  Heartbeat,
  Register,
  Rejected,
} from '../../proto/gen/fleetvisor/v1/session.js';
import type { Clock } from '../../common/clock.js';
import { digestRows } from '../../common/digest.js';
import { FleetError } from '../../common/errors.js';
import type { Random } from '../../common/random.js';
import type { FleetEvent, ProcessRow } from '../../common/rows.js';
import { actionFromWire, eventToWire, outcomeToWire, rowToWire } from '../../common/wire.js';
import type { AgentCore } from '../core.js';
import type { ActivityLog } from '../logs/activity.js';
import { isStateEvent, type Outbox } from '../outbox.js';
import { jitteredMs } from './backoff.js';
import type { CommandAnswer, Commands, FleetCommand } from './commands.js';
import type { ControllerPeer, SessionStream } from './dial.js';
import { Outgoing } from './outgoing.js';
import { StallWatch } from './stall.js';
import { Transfers } from './transfer.js';

/** The protocol this agent speaks. */
export const PROTOCOL = 1;
const ACCEPT_MS = 10_000;
const DIGEST_MS = 30_000;
const SNAPSHOT_BYTES = 1024 * 1024;
/** Rows' fixed part on the wire, at most. */
const ROW_BYTES = 160;
/** How long a goodbye may take. */
const LEAVE_MS = 500;

export interface SessionOptions {
  readonly core: AgentCore;
  readonly outbox: Outbox;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ActivityLog;
  /** What this agent says of itself, fresh for each attempt. */
  readonly register: () => Register;
  readonly heartbeat: () => Heartbeat;
  /** A controller took this host in. */
  readonly onAccepted: (accepted: Accepted) => void;
}

/** One connection's life, from registration to its end. */
export class Session {
  readonly #options: SessionOptions;
  readonly #stream: SessionStream;
  readonly #out: Outgoing<AgentMessage>;
  readonly #transfers: Transfers;
  readonly #watch: StallWatch;
  readonly #timers = new Map<'accept' | 'beat' | 'digest', () => void>();
  #unsubscribe: (() => void) | undefined;
  #heartbeatMs = 0;
  /** Why we ended it. */
  #givenUp: FleetError | undefined;

  constructor(options: SessionOptions, peer: ControllerPeer) {
    this.#options = options;
    this.#stream = peer.connect();
    this.#out = new Outgoing(this.#stream, () => this.#snapshot(''));
    this.#transfers = new Transfers(options.core, () => peer.transfer());
    this.#watch = new StallWatch(options.clock.nowMs());
  }

  /** Until the stream ends. Returns a refusal; throws FleetError when the stream broke. */
  async run(): Promise<Rejected | undefined> {
    const { register } = this.#options;
    let rejected: Rejected | undefined;
    this.#out.put({ body: { $case: 'register', value: register() } });
    this.#after('accept', ACCEPT_MS, () => this.#giveUp('no answer to the registration'));
    try {
      for await (const message of this.#stream.incoming) {
        const stallMs = this.#watch.observe(this.#options.clock.nowMs());
        if (message.body?.$case === 'rejected') {
          rejected = message.body.value;
          this.#stream.cancel();
        } else this.#handle(message.body, stallMs);
      }
    } catch (error) {
      if (rejected === undefined && this.#givenUp === undefined) throw error;
    } finally {
      this.#unsubscribe?.();
      this.#transfers.closeAll();
      for (const cancel of this.#timers.values()) cancel();
    }
    if (this.#givenUp !== undefined) throw this.#givenUp;
    return rejected;
  }

  #giveUp(reason: string): void {
    this.#givenUp = new FleetError('TIMEOUT', reason);
    this.#stream.cancel();
  }

  #after(what: 'accept' | 'beat' | 'digest', delayMs: number, callback: () => void): void {
    this.#timers.get(what)?.();
    this.#timers.set(what, this.#options.clock.after(delayMs, callback));
  }

  #handle(body: ControllerMessage['body'], stallMs: number): void {
    switch (body?.$case) {
      case 'accepted':
        this.#accepted(body.value);
        return;
      case 'command':
        void this.#run(body.value, stallMs);
        return;
      case 'resync':
        for (const message of this.#snapshot(body.value.id)) this.#out.put(message);
        return;
      case 'openTransfer': {
        const { transferId, kind } = body.value;
        if (kind?.$case === 'tail') this.#transfers.open(transferId, kind.value);
        return;
      }
      case 'closeTransfer':
        this.#transfers.close(body.value.transferId);
        return;
      case 'rejected':
      case undefined:
        // A message that this version does not know is passed over.
        return;
    }
  }

  /** The snapshot and the subscription are made in one turn, so no event falls between them. */
  #accepted(accepted: Accepted): void {
    if (this.#heartbeatMs > 0) return;
    this.#timers.get('accept')?.();
    if (accepted.protocol !== PROTOCOL) {
      this.#giveUp(
        `it speaks protocol ${accepted.protocol}, this agent ${PROTOCOL}; upgrade the agent`,
      );
      return;
    }
    this.#heartbeatMs = Math.max(100, accepted.heartbeatMs);
    for (const message of this.#snapshot('')) this.#out.put(message);
    this.#unsubscribe = this.#options.outbox.onEvent((event) => this.#event(event));
    this.#beat();
    this.#after('digest', DIGEST_MS, () => this.#digest());
    this.#options.onAccepted(accepted);
  }

  #event(event: FleetEvent): void {
    if (!isStateEvent(event)) return;
    this.#out.putEvent({ body: { $case: 'event', value: eventToWire(event) } });
  }

  #beat(): void {
    const { clock, random, heartbeat } = this.#options;
    this.#watch.observe(clock.nowMs());
    // A controller that reads nothing must not be told, later and all at once, that all was well.
    if (!this.#out.isBlocked) this.#out.put({ body: { $case: 'heartbeat', value: heartbeat() } });
    const nextMs = jitteredMs(this.#heartbeatMs, random.next());
    this.#watch.expect(clock.nowMs() + nextMs);
    this.#after('beat', nextMs, () => this.#beat());
  }

  #digest(): void {
    const { core, outbox } = this.#options;
    const { epoch } = outbox.identity;
    const sha256 = Buffer.from(digestRows(core.rows()));
    if (!this.#out.isBlocked) {
      const digest = { epoch, seq: outbox.lastStateSeq(), sha256 };
      this.#out.put({ body: { $case: 'digest', value: digest } });
    }
    this.#after('digest', DIGEST_MS, () => this.#digest());
  }

  #snapshot(resyncId: string): AgentMessage[] {
    const { core, outbox } = this.#options;
    const chunks = chunkRows(core.rows());
    const monoMs = Math.max(0, Math.round(core.nowMs()));
    return chunks.map((rows, index) => {
      const value = {
        epoch: outbox.identity.epoch,
        seq: outbox.lastStateSeq(),
        monoMs,
        rows: rows.map(rowToWire),
        last: index === chunks.length - 1,
        resyncId,
      };
      return { body: { $case: 'snapshot', value } };
    });
  }

  async #run(command: Command, stallMs: number): Promise<void> {
    let answer: CommandAnswer;
    try {
      answer = await this.#options.commands.run(commandFromWire(command, stallMs));
    } catch (error) {
      const message = `the agent failed: ${String(error)}`;
      this.#options.log.log('error', `fleet: command ${command.id}: ${message}`);
      answer = {
        outcome: 'failed',
        fault: 'FAILED',
        message,
        row: undefined,
        repeated: false,
        unsaved: true,
      };
    }
    this.#out.put({ body: { $case: 'result', value: resultToWire(command, answer) } });
  }

  async close(leaving: boolean): Promise<void> {
    if (leaving) {
      this.#out.put({ body: { $case: 'leaving', value: { reason: 'shutdown' } } });
      this.#stream.end();
      await new Promise<void>((resolve) => {
        const cancel = this.#options.clock.after(LEAVE_MS, resolve);
        const done = (): void => {
          cancel();
          resolve();
        };
        if (this.#stream.signal.aborted) done();
        else this.#stream.signal.addEventListener('abort', done, { once: true });
      });
    }
    this.#stream.cancel();
  }
}

/** Rows in pieces of at most about 1 MiB on the wire; at least one piece, even if empty. */
function chunkRows(rows: readonly ProcessRow[]): ProcessRow[][] {
  const chunks: ProcessRow[][] = [[]];
  let bytes = 0;
  for (const row of rows) {
    const texts = [row.group, row.process, row.program, row.reason, row.cause];
    const size = ROW_BYTES + texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes + size > SNAPSHOT_BYTES && bytes > 0) {
      chunks.push([]);
      bytes = 0;
    }
    chunks.at(-1)?.push(row);
    bytes += size;
  }
  return chunks;
}

/** What waited in the socket while this program was stopped is taken off the time left (spec fleet D33). */
function commandFromWire(command: Command, stallMs: number): FleetCommand {
  const { id, group, process, actor, signal, preconditions, rollout } = command;
  return {
    id,
    group,
    process,
    actor,
    action: actionFromWire(command.action),
    signal,
    deadlineLeftMs: command.deadlineLeftMs - stallMs,
    ifEpoch: preconditions?.ifEpoch ?? 0,
    ifSeq: preconditions?.ifSeq ?? 0,
    ifSpawn: preconditions?.ifSpawn ?? 0,
    rollout,
    cause: command.cause,
  };
}

function resultToWire(command: Command, answer: CommandAnswer): CommandResult {
  const { outcome, fault, message, row, repeated, unsaved } = answer;
  return {
    ticket: command.ticket,
    id: command.id,
    group: command.group,
    process: command.process,
    outcome: outcomeToWire(outcome),
    fault,
    message,
    row: row === undefined ? undefined : rowToWire(row),
    repeatedAnswer: repeated,
    unsaved,
  };
}
