// Acting on many targets: fan-out over hosts, one result per target as it completes (spec fleet 8, design 7).
// Invariants: every target gets exactly one result; a host without a session is `unreachable` at once; no more
// than FAN_OUT hosts and PER_HOST commands of one order are under way.
import type { Clock } from '../common/clock.js';
import type { Action, ProcessRow, TargetName } from '../common/rows.js';
import { actionToWire, outcomeFromWire, rowFromWire } from '../common/wire.js';
import type { CommandResult } from '../proto/gen/fleetvisor/v1/session.js';
import type { Agents, CommandAnswer } from './agents.js';
import type { ExecuteOrder, ExecuteResult, Executor } from './ports.js';
import { Channel } from './channel.js';

/** Hosts acted upon at once by one order (spec fleet D35). */
const FAN_OUT = 64;
/** Commands of one order under way on one host, below what the agent takes. */
const PER_HOST = 128;
const DEADLINE_MS = 30_000;

/** What an executor needs to know of the fleet. */
export interface ExecuteWorld {
  readonly agents: Pick<Agents, 'isConnected' | 'command'>;
  readonly feed: {
    row(target: TargetName): ProcessRow | undefined;
    host(host: string): { readonly epoch: number } | undefined;
  };
  readonly clock: Clock;
  /** The active rollout that holds a target. */
  readonly holderOf: (target: TargetName) => string | undefined;
}

/** Deadline of an action on one process when none is given: spec fleet D33, and design 7 for restart. */
export function deadlineMs(action: Action, row: ProcessRow | undefined): number {
  const startMs = row?.startMs ?? 0;
  const stopWaitMs = row?.stopWaitMs ?? 0;
  switch (action) {
    case 'start':
      return Math.max(DEADLINE_MS, startMs + 10_000);
    case 'stop':
      return Math.max(DEADLINE_MS, stopWaitMs + 10_000);
    case 'restart':
      return Math.max(DEADLINE_MS, stopWaitMs + startMs + 20_000);
    case 'signal':
      return DEADLINE_MS;
  }
}

export class FleetExecutor implements Executor {
  constructor(private readonly world: ExecuteWorld) {}

  async *run(order: ExecuteOrder, signal: AbortSignal): AsyncGenerator<ExecuteResult, void, void> {
    const results = new Channel<ExecuteResult>();
    const byHost = new Map<string, TargetName[]>();
    let left = order.targets.length;
    const done = (result: ExecuteResult): void => {
      results.push(result);
      left -= 1;
      if (left === 0) results.close();
    };
    if (left === 0) return;
    for (const target of order.targets) {
      const early = this.refused(order, target);
      if (early !== undefined) {
        done(early);
        continue;
      }
      const same = byHost.get(target.host);
      if (same === undefined) byHost.set(target.host, [target]);
      else same.push(target);
    }
    // A rejection here is a bug; it reaches the caller through the channel instead of vanishing.
    const running = eachAtMost([...byHost.values()], FAN_OUT, (targets) =>
      eachAtMost(targets, PER_HOST, async (target) => {
        if (!signal.aborted) done(await this.act(order, target, signal));
      }),
    );
    running.catch((error: unknown) => results.fail(error));
    yield* results.take(signal);
  }

  /** What can be answered without asking the agent. */
  private refused(order: ExecuteOrder, target: TargetName): ExecuteResult | undefined {
    const { agents, feed, holderOf } = this.world;
    if (order.rollout === undefined) {
      const holder = holderOf(target);
      if (holder !== undefined) {
        return this.result(target, 'locked', `rollout ${holder} holds it`, 0);
      }
    }
    if (!agents.isConnected(target.host)) {
      return this.result(target, 'unreachable', `no session with ${target.host}`, 0);
    }
    if (target.process === '*' && feed.row(target) === undefined) {
      const why = `${target.host} has not told its processes yet; try again`;
      return this.result(target, 'unreachable', why, 0);
    }
    return undefined;
  }

  private async act(
    order: ExecuteOrder,
    target: TargetName,
    signal: AbortSignal,
  ): Promise<ExecuteResult> {
    const { agents, clock, feed } = this.world;
    const startedMs = clock.nowMs();
    const { preconditions, rollout } = order;
    const answer = await agents.command(
      target.host,
      {
        id: order.id,
        actor: order.actor,
        action: actionToWire(order.action),
        group: target.group,
        process: target.process,
        signal: order.signal ?? '',
        deadlineLeftMs: order.deadlineMs ?? deadlineMs(order.action, feed.row(target)),
        preconditions: preconditions && {
          ifEpoch: preconditions.ifEpoch ?? 0,
          ifSeq: preconditions.ifSeq ?? 0,
          ifSpawn: preconditions.ifSpawn ?? 0,
        },
        rollout,
        cause: order.cause ?? '',
      },
      signal,
    );
    return this.fromAnswer(target, answer, clock.nowMs() - startedMs);
  }

  private fromAnswer(target: TargetName, answer: CommandAnswer, tookMs: number): ExecuteResult {
    switch (answer.kind) {
      case 'answered':
        return this.fromResult(target, answer.result, tookMs);
      case 'unreachable':
        return this.result(target, 'unreachable', `no session with ${target.host}`, tookMs);
      case 'busy':
        return this.result(target, 'busy', `${target.host} has too many commands waiting`, tookMs);
      case 'timeout':
        return this.result(target, 'timeout', answer.message, tookMs);
    }
  }

  private fromResult(target: TargetName, result: CommandResult, tookMs: number): ExecuteResult {
    return {
      ...this.result(target, outcomeFromWire(result.outcome), result.message, tookMs),
      fault: result.fault,
      row: result.row === undefined ? undefined : rowFromWire(result.row),
      repeated: result.repeatedAnswer,
    };
  }

  private result(
    target: TargetName,
    outcome: ExecuteResult['outcome'],
    message: string,
    tookMs: number,
  ): ExecuteResult {
    return {
      target,
      outcome,
      fault: '',
      message,
      row: undefined,
      epoch: this.world.feed.host(target.host)?.epoch ?? 0,
      durationMs: Math.max(0, Math.round(tookMs)),
      repeated: false,
    };
  }
}

/** Runs `work` for each item, at most `atMost` at once. */
async function eachAtMost<T>(
  items: readonly T[],
  atMost: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atMost, items.length) }, worker));
}
