// The Control service: what ctl asks, answered from the view or handed to those who act (spec fleet 7, 8, 11).
// Invariants: who may do what is decided before anything is done; status rows go out as the bytes they are kept as.
import { FleetError } from '../common/errors.js';
import { compileHost, EVERYTHING } from '../common/selector.js';
import type { FleetEvent } from '../common/rows.js';
import type { CallContext, Handlers } from '../common/rpc.js';
import {
  actionFromWire,
  actionToWire,
  eventToWire,
  headerToWire,
  outcomeToWire,
  rowToWire,
} from '../common/wire.js';
import {
  ControlService,
  HostHeader,
  StatusChunk,
  type Alert,
  type ControlServer,
  type EventsReply,
  type EventsRequest,
  type ExecuteReply,
  type ExecuteRequest,
  type HostsReply,
  type RolloutUpdate,
  type StartRolloutRequest,
  type StatusRequest,
  type TailReply,
  type TailRequest,
  type Target,
  type TargetResult,
} from '../proto/gen/fleetvisor/v1/control.js';
import type { Access } from './access.js';
import type { Agents } from './agents.js';
import type { EventHub } from './events.js';
import type { Feed } from './feed.js';
import { hostEntry } from './fleet/rows-cache.js';
import type {
  AlertRecord,
  AlertSource,
  ExecuteResult,
  Executor,
  RolloutDriver,
  RolloutRecord,
} from './ports.js';
import { resolve, selectableHosts, show } from './resolve.js';
import { relayTails } from './tail.js';

/** A status message is closed at this size; some 2,000 rows, which measured fastest. */
const CHUNK_BYTES = 512 * 1024;
const EVENTS_PER_REPLY = 500;
const BATCH_PERCENT_MAX = 100;

/** A part of a status answer that is encoded already. */
type Encoded = Uint8Array;

/** The service, with a Status method that also takes bytes which are a StatusChunk already. */
export const CONTROL_SERVICE = {
  ...ControlService,
  status: {
    ...ControlService.status,
    responseSerialize: (value: StatusChunk | Encoded): Buffer =>
      value instanceof Uint8Array
        ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
        : Buffer.from(StatusChunk.encode(value).finish()),
  },
};

export interface ControlOptions {
  readonly feed: Feed;
  readonly agents: Agents;
  readonly access: Access;
  readonly executor: Executor;
  readonly events: EventHub;
  readonly alerts: AlertSource;
  readonly rollouts: RolloutDriver;
  readonly replica: string;
  readonly streamsMax: number;
  /** Empty: the bus answers. */
  readonly busProblem: () => string;
}

/** The handlers to serve under CONTROL_SERVICE. */
export function controlService(handlers: Handlers, options: ControlOptions): ControlServer {
  const control = new Control(options);
  return {
    // Generated types know messages only; the serializer of CONTROL_SERVICE takes their bytes as well.
    status: handlers.stream<StatusRequest, StatusChunk | Encoded>((request, context) =>
      control.status(request, context),
    ) as unknown as ControlServer['status'],
    execute: handlers.stream((request, context) => control.execute(request, context)),
    tail: handlers.stream((request, context) => control.tail(request, context)),
    events: handlers.stream((request, context) => control.events(request, context)),
    hosts: handlers.unary(({ hosts }, { peer }) => control.hosts(hosts, peer.name)),
    alerts: handlers.unary(({ includeResolved }, { peer }) => {
      options.access.mayAtAll(peer.name, 'view');
      return Promise.resolve({ alerts: options.alerts.list(includeResolved).map(alertToWire) });
    }),
    startRollout: handlers.unary((request, { peer }) => control.startRollout(request, peer.name)),
    watchRollout: handlers.stream(({ id }, context) => control.watchRollout(id, context)),
    abortRollout: handlers.unary(async ({ id, reason }, { peer }) => {
      options.access.mayAtAll(peer.name, 'operate');
      return { rollout: rolloutToWire(await options.rollouts.abort(id, peer.name, reason)) };
    }),
    listRollouts: handlers.unary(async (_request, { peer }) => {
      options.access.mayAtAll(peer.name, 'view');
      return { rollouts: (await options.rollouts.list()).map(rolloutToWire) };
    }),
  };
}

class Control {
  constructor(private readonly options: ControlOptions) {}

  async *status(
    { target }: StatusRequest,
    { peer }: CallContext,
  ): AsyncGenerator<StatusChunk | Encoded, void, void> {
    const { access, feed, replica } = this.options;
    access.mayAtAll(peer.name, 'view');
    const { hosts, problems } = show(feed, target);
    let parts: Uint8Array[] = [];
    let bytes = 0;
    let rows = 0;
    for (const shown of hosts) {
      const header = feed.host(shown.host);
      if (header === undefined) continue;
      const head = HostHeader.encode(headerToWire(header)).finish();
      const entry = hostEntry(head, feed.rowBytes(shown.host, shown.names));
      rows += shown.rows;
      if (bytes > 0 && bytes + entry.length > CHUNK_BYTES) {
        yield Buffer.concat(parts);
        parts = [];
        bytes = 0;
      }
      parts.push(entry);
      bytes += entry.length;
    }
    if (bytes > 0) yield Buffer.concat(parts);
    const warmingUp = feed.observer().warmingUp;
    yield { hosts: [], summary: { replica, warmingUp, problems: [...problems], rows } };
  }

  async *execute(
    request: ExecuteRequest,
    { peer, signal }: CallContext,
  ): AsyncGenerator<ExecuteReply, void, void> {
    const { executor, replica } = this.options;
    const action = actionFromWire(request.action);
    if (action === undefined || request.id === '') {
      throw new FleetError('BAD_ARGUMENTS', 'a command needs an id and a known action', {
        hint: 'this controller may be older than ctl',
      });
    }
    const { targets, problems } = this.resolveFor(request.target, peer.name, 'operate');
    yield {
      body: {
        $case: 'resolved',
        value: { targets: [...targets], problems: [...problems], replica },
      },
    };
    const order = {
      id: request.id,
      actor: peer.name,
      action,
      targets,
      signal: request.signal,
      ...(request.deadlineMs > 0 ? { deadlineMs: request.deadlineMs } : {}),
      ...(request.preconditions === undefined ? {} : { preconditions: request.preconditions }),
    };
    for await (const result of executor.run(order, signal)) {
      yield { body: { $case: 'result', value: resultToWire(result) } };
    }
  }

  async *tail(
    request: TailRequest,
    { peer, signal }: CallContext,
  ): AsyncGenerator<TailReply, void, void> {
    const { agents, streamsMax } = this.options;
    const { targets, problems } = this.resolveFor(request.target, peer.name, 'logs');
    if (targets.length > streamsMax) {
      throw new FleetError(
        'LIMIT_EXCEEDED',
        `${targets.length} logs are selected, at most ${streamsMax} can be read at once`,
        { hint: 'narrow the selector' },
      );
    }
    if (problems.length > 0) yield tailReply({ problems: [...problems] });
    const { channel, follow, bytes, lines } = request;
    const order = { channel, follow, bytes, lines };
    for await (const piece of relayTails(agents, targets, order, signal)) {
      if (piece.kind === 'end') {
        yield tailReply({ target: piece.target, end: true, message: piece.message });
      } else {
        const { target, data, gapBytes, offset } = piece;
        yield tailReply({
          target,
          data: Buffer.from(data.buffer, data.byteOffset, data.length),
          gapBytes,
          offset,
        });
      }
    }
  }

  async *events(
    request: EventsRequest,
    { peer, signal }: CallContext,
  ): AsyncGenerator<EventsReply, void, void> {
    const { access, events } = this.options;
    access.mayAtAll(peer.name, 'view');
    let left = request.limit === 0 ? Number.POSITIVE_INFINITY : request.limit;
    const query = {
      sinceWallMs: request.sinceWallMs,
      untilWallMs: request.untilWallMs,
      follow: request.follow,
      matches: this.eventFilter(request),
    };
    for await (const batch of events.watch(query, signal)) {
      const wanted = batch.events.slice(0, left);
      left -= wanted.length;
      const { live, notice } = batch;
      const first = wanted.slice(0, EVENTS_PER_REPLY).map(eventToWire);
      yield { events: first, live, notice };
      for (let at = EVENTS_PER_REPLY; at < wanted.length; at += EVENTS_PER_REPLY) {
        const some = wanted.slice(at, at + EVENTS_PER_REPLY).map(eventToWire);
        yield { events: some, live, notice: '' };
      }
      if (left <= 0) return;
    }
  }

  /** Hosts by pattern, types by prefix, processes by selectors as they stand now. */
  private eventFilter(request: EventsRequest): (event: FleetEvent) => boolean {
    const { feed } = this.options;
    const hosts = request.hosts.map(compileHost);
    const { types } = request;
    const selected =
      request.selectors.length === 0 ? undefined : this.selectedNames(request.selectors);
    return (event) =>
      (types.length === 0 || types.some((type) => event.type.startsWith(type))) &&
      (hosts.length === 0 ||
        hosts.some((host) => host.matches(event.host, feed.labels(event.host)))) &&
      (selected === undefined ||
        selected.has(`${event.host}:${event.group}:${event.process}`) ||
        selected.has(`${event.host}:*:*`));
  }

  private selectedNames(selectors: readonly string[]): ReadonlySet<string> {
    const spec = { ...EVERYTHING, selectors, maxTargets: Number.MAX_SAFE_INTEGER };
    const { targets, problems } = resolve(this.options.feed, spec);
    const [problem] = problems;
    if (targets.length === 0 && problem !== undefined) {
      throw new FleetError('NO_MATCH', `${problem.selector}: ${problem.message}`);
    }
    return new Set(targets.map(({ host, group, process }) => `${host}:${group}:${process}`));
  }

  hosts(patterns: readonly string[], user: string): Promise<HostsReply> {
    const { access, busProblem, feed, replica } = this.options;
    access.mayAtAll(user, 'view');
    const matchers = patterns.map(compileHost);
    const hosts = feed
      .hosts()
      .filter(
        ({ host, labels }) =>
          matchers.length === 0 || matchers.some((matcher) => matcher.matches(host, labels)),
      )
      .map(headerToWire);
    const { warmingUp } = feed.observer();
    return Promise.resolve({ hosts, replica, warmingUp, busProblem: busProblem() });
  }

  async startRollout(
    request: StartRolloutRequest,
    user: string,
  ): Promise<{
    rollout: RolloutUpdate | undefined;
    problems: { selector: string; message: string }[];
  }> {
    const action = actionFromWire(request.action);
    if (action === undefined || action === 'signal' || request.id === '') {
      throw new FleetError('BAD_ARGUMENTS', 'a rollout needs an id and starts, stops or restarts');
    }
    if (request.batchPercent > BATCH_PERCENT_MAX) {
      throw new FleetError('BAD_ARGUMENTS', `a batch of ${request.batchPercent} % is too large`);
    }
    const { targets, problems } = this.resolveFor(request.target, user, 'operate');
    if (targets.length === 0) return { rollout: undefined, problems: [...problems] };
    const record = await this.options.rollouts.start({
      id: request.id,
      action,
      actor: user,
      targets,
      batch: request.batch,
      batchPercent: request.batchPercent,
      soakMs: request.soakMs,
      maxFailures: request.maxFailures,
      unreachable: request.unreachable === 'skip' ? 'skip' : 'fail',
    });
    return { rollout: rolloutToWire(record), problems: [...problems] };
  }

  async *watchRollout(
    id: string,
    { peer, signal }: CallContext,
  ): AsyncGenerator<RolloutUpdate, void, void> {
    this.options.access.mayAtAll(peer.name, 'view');
    for await (const record of this.options.rollouts.watch(id, signal)) {
      yield rolloutToWire(record);
    }
  }

  /** The explicit list, checked against what the caller may do. */
  private resolveFor(
    target: Target | undefined,
    user: string,
    wish: 'logs' | 'operate',
  ): ReturnType<typeof resolve> {
    const { access, feed } = this.options;
    access.mayAtAll(user, wish);
    const resolved = resolve(feed, target);
    access.may(user, wish, resolved.targets, selectableHosts(feed));
    return resolved;
  }
}

function tailReply(part: Partial<TailReply>): TailReply {
  return {
    target: undefined,
    data: Buffer.alloc(0),
    gapBytes: 0,
    end: false,
    message: '',
    offset: 0,
    problems: [],
    ...part,
  };
}

function resultToWire(result: ExecuteResult): TargetResult {
  const { target, outcome, fault, message, row, epoch, durationMs } = result;
  return {
    target: { ...target },
    outcome: outcomeToWire(outcome),
    fault,
    message,
    row: row === undefined ? undefined : rowToWire(row),
    epoch,
    durationMs,
  };
}

function alertToWire({ labels, ...same }: AlertRecord): Alert {
  return { ...same, labels: [...labels].map(([key, value]) => ({ key, value })) };
}

function rolloutToWire(record: RolloutRecord): RolloutUpdate {
  return {
    ...record,
    action: actionToWire(record.action),
    targets: record.targets.map((entry) => ({ ...entry, target: { ...entry.target } })),
  };
}
