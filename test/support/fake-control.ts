// A controller that answers what a test tells it, over real gRPC; and a ctl that runs inside the test.
import { runFleet } from '../../cli/program.js';
import type { Output } from '../../cli/output.js';
import { systemClock } from '../../common/clock.js';
import { exitCodeOf, FleetError } from '../../common/errors.js';
import { systemRandom } from '../../common/random.js';
import { Handlers, serve, type RpcServer } from '../../common/rpc.js';
import type { TlsMaterial } from '../../common/tls.js';
import {
  ControlService,
  type AbortRolloutReply,
  type AbortRolloutRequest,
  type AlertsReply,
  type AlertsRequest,
  type EventsReply,
  type EventsRequest,
  type ExecuteReply,
  type ExecuteRequest,
  type HostsReply,
  type HostsRequest,
  type ListRolloutsReply,
  type RolloutUpdate,
  type StartRolloutReply,
  type StartRolloutRequest,
  type StatusChunk,
  type StatusRequest,
  type TailReply,
  type TailRequest,
  type WatchRolloutRequest,
} from '../../proto/gen/fleetvisor/v1/control.js';

type Stream<Request, Reply> = (request: Request, signal: AbortSignal) => AsyncIterable<Reply>;

/** What the controller answers; what is missing is refused. */
export interface Answers {
  status?: Stream<StatusRequest, StatusChunk>;
  execute?: Stream<ExecuteRequest, ExecuteReply>;
  tail?: Stream<TailRequest, TailReply>;
  events?: Stream<EventsRequest, EventsReply>;
  watchRollout?: Stream<WatchRolloutRequest, RolloutUpdate>;
  hosts?: (request: HostsRequest) => HostsReply;
  alerts?: (request: AlertsRequest) => AlertsReply;
  startRollout?: (request: StartRolloutRequest) => StartRolloutReply;
  abortRollout?: (request: AbortRolloutRequest) => AbortRolloutReply;
  listRollouts?: () => ListRolloutsReply;
}

export interface FakeControl {
  readonly address: string;
  /** May be changed between calls. */
  answers: Answers;
  /** Methods called, in order. */
  readonly calls: string[];
  close(): Promise<void>;
}

/** Serves on a free port of loopback for user certificates of the fleet `test`. */
export async function serveFakeControl(tls: TlsMaterial): Promise<FakeControl> {
  const calls: string[] = [];
  const fake = { answers: {} as Answers };
  const rpc = new Handlers({ fleet: 'test', peers: ['user'], onBug: () => undefined });
  const take = <Name extends keyof Answers>(name: Name): NonNullable<Answers[Name]> => {
    calls.push(name);
    const answer = fake.answers[name];
    if (answer === undefined)
      throw new FleetError('UNSUPPORTED', `${name} is not part of the test`);
    return answer;
  };
  const server: RpcServer = await serve({
    listen: '127.0.0.1:0',
    tls,
    services: [
      {
        definition: ControlService,
        handlers: {
          status: rpc.stream((r: StatusRequest, c) => take('status')(r, c.signal)),
          execute: rpc.stream((r: ExecuteRequest, c) => take('execute')(r, c.signal)),
          tail: rpc.stream((r: TailRequest, c) => take('tail')(r, c.signal)),
          events: rpc.stream((r: EventsRequest, c) => take('events')(r, c.signal)),
          watchRollout: rpc.stream((r: WatchRolloutRequest, c) =>
            take('watchRollout')(r, c.signal),
          ),
          hosts: rpc.unary((r: HostsRequest) => Promise.resolve(take('hosts')(r))),
          alerts: rpc.unary((r: AlertsRequest) => Promise.resolve(take('alerts')(r))),
          startRollout: rpc.unary((r: StartRolloutRequest) =>
            Promise.resolve(take('startRollout')(r)),
          ),
          abortRollout: rpc.unary((r: AbortRolloutRequest) =>
            Promise.resolve(take('abortRollout')(r)),
          ),
          listRollouts: rpc.unary(() => Promise.resolve(take('listRollouts')())),
        },
      },
    ],
  });
  return Object.assign(fake, {
    address: `127.0.0.1:${server.port}`,
    calls,
    close: () => server.close(0),
  });
}

/** What a ctl that ran inside the test left. */
export interface CtlRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CtlOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal?: boolean;
  readonly signal?: AbortSignal;
  /** Called with all of stdout after each write. */
  readonly onOutput?: (stdout: string) => void;
}

/** Runs ctl's fleet mode; an error that main would explain becomes its exit code and text. */
export async function runCtl(argv: readonly string[], options: CtlOptions): Promise<CtlRun> {
  let stdout = '';
  let stderr = '';
  const write = (text: string | Uint8Array): Promise<void> => {
    stdout += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    options.onOutput?.(stdout);
    return Promise.resolve();
  };
  const out: Output = {
    write,
    line: (text) => write(`${text}\n`),
    complain: (text) => void (stderr += `${text}\n`),
    json: (value) => write(`${JSON.stringify(value)}\n`),
    terminal: options.terminal === true,
    width: undefined,
    color: false,
  };
  const signal = options.signal ?? new AbortController().signal;
  const world = { out, env: options.env, clock: systemClock, random: systemRandom, signal };
  try {
    return { code: await runFleet(argv, world), stdout, stderr };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return {
      code: exitCodeOf(error.code),
      stdout,
      stderr: `${stderr}${error.message}\n${error.hint}\n`,
    };
  }
}
