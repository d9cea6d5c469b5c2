// An agent that does what a test says: real gRPC and mutual TLS, no processes behind it.
import type { ProcessRow, FleetEvent } from '../../common/rows.js';
import { dial, duplex, type MessageStream } from '../../common/rpc.js';
import type { TlsMaterial } from '../../common/tls.js';
import { eventToWire, rowToWire } from '../../common/wire.js';
import {
  Outcome,
  SessionsClient,
  type AgentMessage,
  type Command,
  type CommandResult,
  type ControllerMessage,
  type OpenTransfer,
  type Register,
  type TransferDown,
  type TransferUp,
} from '../../proto/gen/fleetvisor/v1/session.js';
import { makeRow } from './rows.js';

export interface FakeAgentPlan {
  readonly host: string;
  readonly tls: TlsMaterial;
  readonly address: string;
  readonly rows?: readonly ProcessRow[];
  readonly hostUid?: string;
  readonly epoch?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** undefined: never answers. */
  readonly onCommand?: (command: Command) => Partial<CommandResult> | undefined;
  readonly onTransfer?: (
    open: OpenTransfer,
    stream: MessageStream<TransferDown, TransferUp>,
  ) => void;
}

type ControllerWord = NonNullable<ControllerMessage['body']>['$case'];
type ControllerSays<K extends ControllerWord> = Extract<
  NonNullable<ControllerMessage['body']>,
  { $case: K }
>['value'];

export class FakeAgent {
  readonly commands: Command[] = [];
  readonly messages: ControllerMessage[] = [];
  seq = 0;
  private readonly client: SessionsClient;
  private readonly stream: MessageStream<ControllerMessage, AgentMessage>;
  private beat: NodeJS.Timeout | undefined;
  private waiting: (() => void)[] = [];
  /** Settles when the session is over. */
  readonly over: Promise<void>;

  constructor(private readonly plan: FakeAgentPlan) {
    this.client = dial(SessionsClient, { address: plan.address, tls: plan.tls });
    this.stream = duplex(this.client.connect());
    this.over = this.listen().catch(() => undefined);
    this.say('register', this.registration());
  }

  get epoch(): number {
    return this.plan.epoch ?? 1_000;
  }

  get hostUid(): string {
    return this.plan.hostUid ?? `uid-${this.plan.host}`;
  }

  /** The first message of a kind, when it comes. */
  async message<K extends ControllerWord>(kind: K): Promise<ControllerSays<K>> {
    for (;;) {
      const { body } = this.messages.find((message) => message.body?.$case === kind) ?? {};
      if (body !== undefined) return body.value as ControllerSays<K>;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** Registered, snapshot sent, beating: what an agent is most of the time. */
  async ready(): Promise<this> {
    const { heartbeatMs } = await this.message('accepted');
    this.snapshot('');
    this.heartbeat();
    this.beat = setInterval(() => this.heartbeat(), heartbeatMs);
    return this;
  }

  snapshot(resyncId: string): void {
    const rows = (this.plan.rows ?? [makeRow()]).map(rowToWire);
    this.say('snapshot', {
      ...{ epoch: this.epoch, seq: this.seq, monoMs: 100_000, rows, last: true, resyncId },
    });
  }

  heartbeat(): void {
    this.say('heartbeat', {
      epoch: this.epoch,
      lastSeq: this.seq,
      lastStateSeq: this.seq,
      monoMs: 100_000,
      wallMs: Date.now(),
      spoolDepth: 0,
      loadCenti: 0,
      host: this.plan.host,
      uptimeMs: 1,
      spool: 'disk',
    });
  }

  /** A process changed; the next event in order. */
  changed(from: ProcessRow['state'], row: ProcessRow): FleetEvent {
    this.seq += 1;
    const event: FleetEvent = {
      host: this.plan.host,
      hostUid: this.hostUid,
      epoch: this.epoch,
      seq: this.seq,
      prev: this.seq - 1,
      class: 'P1',
      wallMs: Date.now(),
      monoMs: 1,
      type: 'process.state',
      group: row.group,
      process: row.process,
      cause: '',
      body: { kind: 'process-changed', from, to: row.state, row, expected: false },
    };
    this.say('event', eventToWire(event));
    return event;
  }

  say<K extends NonNullable<AgentMessage['body']>['$case']>(
    kind: K,
    value: Extract<NonNullable<AgentMessage['body']>, { $case: K }>['value'],
  ): void {
    void this.stream.send({ body: { $case: kind, value } as AgentMessage['body'] });
  }

  /** The session breaks, as when the agent is killed. */
  async close(): Promise<void> {
    clearInterval(this.beat);
    this.stream.cancel();
    await this.over;
    this.client.close();
  }

  private registration(): Register {
    const { host, labels } = this.plan;
    return {
      host,
      hostUid: this.hostUid,
      epoch: this.epoch,
      bootId: 'boot',
      agentVersion: '0.0.0',
      protocolMin: 1,
      protocolMax: 1,
      labels: Object.entries(labels ?? {}).map(([key, value]) => ({ key, value })),
      capabilities: [],
      configHash: '',
      wallMs: Date.now(),
      lastSeq: 0,
      spool: 'disk',
      agentPid: 1,
    };
  }

  private async listen(): Promise<void> {
    for await (const message of this.stream.incoming) {
      this.messages.push(message);
      for (const wake of this.waiting.splice(0)) wake();
      switch (message.body?.$case) {
        case 'command':
          this.command(message.body.value);
          break;
        case 'resync':
          this.snapshot(message.body.value.id);
          break;
        case 'openTransfer':
          this.transfer(message.body.value);
          break;
        default:
      }
    }
  }

  private command(command: Command): void {
    this.commands.push(command);
    const answer = this.plan.onCommand?.(command);
    if (answer === undefined) return;
    this.say('result', {
      ticket: command.ticket,
      id: command.id,
      group: command.group,
      process: command.process,
      outcome: Outcome.OK,
      fault: '',
      message: '',
      row: undefined,
      repeatedAnswer: false,
      unsaved: false,
      ...answer,
    });
  }

  private transfer(open: OpenTransfer): void {
    const stream = duplex(this.client.transfer());
    void stream.send({ body: { $case: 'opened', value: { transferId: open.transferId } } });
    this.plan.onTransfer?.(open, stream);
  }
}
