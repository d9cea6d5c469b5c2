// A controller that does what a test says: real gRPC, real certificates, no view behind it.
import {
  SessionsService,
  type AgentMessage,
  type ControllerMessage,
  type SessionsServer,
  type TransferDown,
  type TransferUp,
} from '../../proto/gen/fleetvisor/v1/session.js';
import { Handlers, serve, type MessageStream, type RpcServer } from '../../common/rpc.js';
import { readTls } from '../../common/tls.js';
import { initAuthority, issueCertificate } from '../../cli/certs.js';

export const FLEET = 'acme';

/** A fleet's certificates in one folder: the authority, controller c1, host web1, bus b1. */
export async function makeCertificates(dir: string): Promise<void> {
  const wallMs = Date.now();
  await initAuthority(dir, FLEET, wallMs);
  for (const [kind, name] of [
    ['controller', 'c1'],
    ['host', 'web1'],
    ['bus', 'b1'],
  ] as const) {
    await issueCertificate({ dir, kind, name, altNames: [], days: 1, wallMs });
  }
}

type Down = ControllerMessage['body'];

/** One agent's session as the controller sees it. */
export class FakeSession {
  readonly messages: AgentMessage[] = [];

  constructor(private readonly stream: MessageStream<AgentMessage, ControllerMessage>) {}

  async collect(): Promise<void> {
    for await (const message of this.stream.incoming) this.messages.push(message);
  }

  say(body: NonNullable<Down>): Promise<boolean> {
    return this.stream.send({ body });
  }

  get isOver(): boolean {
    return this.stream.signal.aborted;
  }

  /** The bodies of one kind, in order. */
  all<Kind extends NonNullable<AgentMessage['body']>['$case']>(kind: Kind) {
    return this.messages.flatMap(({ body }) =>
      body?.$case === kind ? [body.value as Extract<typeof body, { $case: Kind }>['value']] : [],
    );
  }
}

/** A transfer that is read only when `next` is called, so that a test can be a stopped terminal. */
export class FakeTransfer {
  readonly next: () => Promise<TransferUp | undefined>;

  constructor(
    private readonly stream: MessageStream<TransferUp, TransferDown>,
    private readonly finish: () => void,
  ) {
    const reader = stream.incoming[Symbol.asyncIterator]();
    this.next = async () => {
      const step = await reader.next();
      return step.done === true ? undefined : step.value;
    };
  }

  cancel(): Promise<boolean> {
    return this.stream.send({ body: { $case: 'cancel', value: true } });
  }

  close(): void {
    this.finish();
  }
}

export class FakeController {
  readonly sessions: FakeSession[] = [];
  readonly transfers: FakeTransfer[] = [];
  private server: RpcServer | undefined;

  constructor(
    private readonly certificates: string,
    readonly port: number,
  ) {}

  async start(): Promise<void> {
    const dir = this.certificates;
    const files = {
      ca: `${dir}/ca.crt`,
      cert: `${dir}/controller-c1.crt`,
      key: `${dir}/controller-c1.key`,
    };
    const handlers = new Handlers({ fleet: FLEET, peers: ['host'], onBug: () => undefined });
    const service: SessionsServer = {
      connect: handlers.duplex<AgentMessage, ControllerMessage>(async (stream) => {
        const session = new FakeSession(stream);
        this.sessions.push(session);
        await session.collect();
      }),
      transfer: handlers.duplex<TransferUp, TransferDown>(async (stream) => {
        await new Promise<void>((resolve) => {
          stream.signal.addEventListener('abort', () => resolve(), { once: true });
          this.transfers.push(new FakeTransfer(stream, resolve));
        });
      }),
    };
    this.server = await serve({
      listen: `127.0.0.1:${this.port}`,
      tls: readTls(files, Date.now()),
      services: [{ definition: SessionsService, handlers: service }],
    });
  }

  /** Dies: every connection is cut. */
  async stop(): Promise<void> {
    await this.server?.close(0);
    this.server = undefined;
  }
}
