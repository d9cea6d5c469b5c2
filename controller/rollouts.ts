// Rollouts as the fleet sees them: records in the bus, one executor each under a lease, watchers.
// Invariants: intent is stored before an action and the outcome after (spec fleet D39); without the bus nothing
// starts (D43); two active rollouts never share a target (D42); a command id is `ROLLOUT/HOST:GROUP:PROCESS`.
import type { Clock } from '../common/clock.js';
import { FleetError } from '../common/errors.js';
import type { Logger } from '../common/log.js';
import type { TargetName } from '../common/rows.js';
import type { Executor, FleetFeed, RolloutDriver, RolloutOrder, RolloutRecord } from './ports.js';
import type { Lease, Records } from './records.js';
import { difference, toRecord } from './rollout-record.js';
import {
  createRollout,
  HEALTHY_MS,
  isOver,
  rolloutDeadlineMs,
  stepRollout,
  type Rollout,
  type RolloutInput,
} from './rollout/rollout.js';

/** Ended rollouts stay listed and watchable this long. */
const ENDED_KEPT = 100;
/** Active rollouts unless `[limits]` says otherwise (spec fleet 14). */
const ACTIVE_MAX = 100;
/** States kept for a watcher that reads slowly; beyond, the newest replaces the one before. */
const UNREAD_MAX = 1_000;
const KEY_PREFIX = 'rollout.';
const SAVE_ATTEMPTS = 3;

const targetText = (target: TargetName): string =>
  `${target.host}:${target.group}:${target.process}`;

interface Entry {
  rollout: Rollout;
  /** `HOST:GROUP:PROCESS` of all targets, which never change. */
  readonly names: ReadonlySet<string>;
  revision: number;
  readonly watchers: Set<(rollout: Rollout) => void>;
  readonly inputs: RolloutInput[];
  wake: () => void;
}

export interface RolloutsOptions {
  readonly records: Records;
  readonly lease: Lease;
  readonly executor: Executor;
  readonly feed: FleetFeed;
  readonly clock: Clock;
  readonly log: Logger;
  /** Active rollouts; more are refused. Default 100. */
  readonly activeMax?: number;
  /** Fires when the controller shuts down; rollouts stay in the records and go on elsewhere or later. */
  readonly signal: AbortSignal;
}

export class Rollouts implements RolloutDriver {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly options: RolloutsOptions) {}

  /** Takes up what was running when the last controller died. Rejects while the bus is away. */
  async resume(): Promise<void> {
    for (const { value, revision } of await this.options.records.list(KEY_PREFIX)) {
      const rollout = value as Rollout;
      if (this.entries.has(rollout.id)) continue;
      const entry = this.remember(rollout, revision);
      if (!isOver(rollout)) this.run(entry);
    }
  }

  async start(order: RolloutOrder): Promise<RolloutRecord> {
    const known = this.entries.get(order.id);
    if (known) return toRecord(known.rollout);
    const active = [...this.entries.values()].filter(({ rollout }) => !isOver(rollout));
    const { activeMax = ACTIVE_MAX } = this.options;
    if (active.length >= activeMax) {
      throw new FleetError('LIMIT_EXCEEDED', `${activeMax} rollouts are active already`);
    }
    for (const target of order.targets) {
      const holder = this.holderOf(target);
      if (holder !== undefined) {
        throw new FleetError(
          'LOCKED',
          `${targetText(target)} is a target of rollout ${holder}: wait for it or run ` +
            `\`ctl rollout abort ${holder}\``,
        );
      }
    }
    const rollout = createRollout(
      {
        id: order.id,
        action: order.action,
        actor: order.actor,
        startedWallMs: Math.floor(this.options.clock.wallMs()),
        policy: {
          batch: order.batch,
          batchPercent: order.batchPercent,
          soakMs: order.soakMs,
          maxFailures: order.maxFailures,
          unreachable: order.unreachable,
          healthyMs: HEALTHY_MS,
        },
      },
      order.targets,
    );
    // The entry exists before the first wait, so that a second start meets the lock of the first.
    const entry = this.remember(rollout, 0);
    try {
      const revision = await this.options.records.compareAndSet(
        KEY_PREFIX + rollout.id,
        rollout,
        0,
      );
      if (revision === undefined) {
        throw new FleetError('LOCKED', `a rollout with id ${rollout.id} exists already`);
      }
      entry.revision = revision;
    } catch (error) {
      this.entries.delete(rollout.id);
      if (error instanceof FleetError) throw error;
      throw new FleetError(
        'COORDINATION_LOST',
        `a rollout cannot start without the bus: ${(error as Error).message}`,
      );
    }
    this.run(entry);
    return toRecord(rollout);
  }

  private remember(rollout: Rollout, revision: number): Entry {
    const entry: Entry = {
      rollout,
      names: new Set(rollout.targets.map(({ target }) => targetText(target))),
      revision,
      watchers: new Set(),
      inputs: [],
      wake: () => undefined,
    };
    this.entries.set(rollout.id, entry);
    const ended = [...this.entries.values()].filter((other) => isOver(other.rollout));
    for (const old of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT))) {
      this.entries.delete(old.rollout.id);
      this.options.records.delete(KEY_PREFIX + old.rollout.id).catch(() => undefined);
    }
    return entry;
  }

  private run(entry: Entry): void {
    const ended = new AbortController();
    const signal = AbortSignal.any([this.options.signal, ended.signal]);
    this.options.lease
      .hold(
        `rollout.${entry.rollout.id}`,
        async (fence, lost) => {
          await this.drive(entry, fence, AbortSignal.any([signal, lost]));
          if (isOver(entry.rollout)) ended.abort();
        },
        signal,
      )
      .catch((error: unknown) => {
        this.options.log.error('rollout stopped by an unexpected error', {
          rollout: entry.rollout.id,
          reason: String(error),
        });
      });
  }

  /** Runs the machine until the rollout is over or `signal` fires (shutdown, lease lost). */
  private async drive(entry: Entry, fence: number, signal: AbortSignal): Promise<void> {
    const { clock, feed } = this.options;
    if (!(await this.reread(entry))) return;
    const unsubscribe = feed.subscribe({
      onRowChange: (host, row) => this.input(entry, { kind: 'row', host, row }),
    });
    const wake = (): void => entry.wake();
    signal.addEventListener('abort', wake, { once: true });
    let cancelTimer: () => void = () => undefined;
    try {
      this.retime(entry);
      // What an earlier executor began is asked for again: the same id returns the stored result.
      this.act(entry, entry.rollout.targets.filter(isActing).map(targetOf), fence, signal);
      entry.inputs.push({ kind: 'advance' });
      while (!signal.aborted && !isOver(entry.rollout)) {
        const input = entry.inputs.shift();
        if (input === undefined) {
          const deadlineMs = rolloutDeadlineMs(entry.rollout);
          const woken = new Promise<void>((resolve) => (entry.wake = resolve));
          if (deadlineMs !== undefined) {
            cancelTimer = clock.after(deadlineMs - clock.nowMs(), () =>
              this.input(entry, { kind: 'advance' }),
            );
          }
          await woken;
          cancelTimer();
          continue;
        }
        const step = stepRollout(entry.rollout, input, clock.nowMs());
        if (!step.changed) continue;
        if (!(await this.save(entry, step.rollout, signal))) return;
        this.act(entry, step.act, fence, signal);
      }
    } finally {
      cancelTimer();
      unsubscribe();
      signal.removeEventListener('abort', wake);
    }
  }

  /** The record is the truth: another executor, or a write whose answer was lost, may have moved it on. */
  private async reread(entry: Entry): Promise<boolean> {
    try {
      const stored = await this.options.records.get(KEY_PREFIX + entry.rollout.id);
      if (stored !== undefined && stored.revision !== entry.revision) {
        entry.rollout = stored.value as Rollout;
        entry.revision = stored.revision;
        for (const watcher of entry.watchers) watcher(entry.rollout);
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Monotonic instants of another life mean nothing here: what was waiting waits anew. */
  private retime(entry: Entry): void {
    const nowMs = this.options.clock.nowMs();
    const { policy } = entry.rollout;
    const targets = entry.rollout.targets.map((target) =>
      target.untilMs === undefined
        ? target
        : {
            ...target,
            untilMs: nowMs + (target.state === 'soaking' ? policy.soakMs : policy.healthyMs),
          },
    );
    entry.rollout = { ...entry.rollout, targets };
  }

  private input(entry: Entry, input: RolloutInput): void {
    entry.inputs.push(input);
    entry.wake();
  }

  /** Stores, then shows. False: another writer or no bus, so this executor must stop (spec fleet D39). */
  private async save(entry: Entry, rollout: Rollout, signal: AbortSignal): Promise<boolean> {
    for (let attempt = 1; attempt <= SAVE_ATTEMPTS && !signal.aborted; attempt++) {
      try {
        const revision = await this.options.records.compareAndSet(
          KEY_PREFIX + rollout.id,
          rollout,
          entry.revision,
        );
        if (revision === undefined) return false;
        entry.revision = revision;
        entry.rollout = rollout;
        for (const watcher of entry.watchers) watcher(rollout);
        return true;
      } catch (error) {
        this.options.log.warn('rollout record not stored yet', {
          rollout: rollout.id,
          reason: (error as Error).message,
        });
      }
    }
    return false;
  }

  /** Sends one command per target; results come back as inputs. */
  private act(
    entry: Entry,
    targets: readonly TargetName[],
    fence: number,
    signal: AbortSignal,
  ): void {
    const { rollout } = entry;
    targets.forEach((target, at) => {
      const order = {
        id: `${rollout.id}/${targetText(target)}`,
        actor: rollout.actor,
        action: rollout.action,
        targets: [target],
        cause: rollout.id,
        rollout: { id: rollout.id, fence, step: rollout.batch * 10_000 + at },
      };
      void this.runOne(entry, order, target, signal);
    });
  }

  private async runOne(
    entry: Entry,
    order: Parameters<Executor['run']>[0],
    target: TargetName,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const result of this.options.executor.run(order, signal)) {
        const { outcome, message, row } = result;
        this.input(entry, { kind: 'result', target, outcome, message, row });
      }
    } catch (error) {
      const message = (error as Error).message;
      this.input(entry, { kind: 'result', target, outcome: 'failed', message, row: undefined });
    }
  }

  async *watch(id: string, signal: AbortSignal): AsyncGenerator<RolloutRecord> {
    const entry = this.find(id);
    const queue: Rollout[] = [];
    let wake = (): void => undefined;
    const watcher = (rollout: Rollout): void => {
      if (queue.length >= UNREAD_MAX) queue.pop();
      queue.push(rollout);
      wake();
    };
    const onAbort = (): void => wake();
    entry.watchers.add(watcher);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      let shown = entry.rollout;
      yield toRecord(shown);
      while (!signal.aborted && !isOver(shown)) {
        const next = queue.shift();
        if (next === undefined) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        yield difference(shown, next);
        shown = next;
      }
    } finally {
      entry.watchers.delete(watcher);
      signal.removeEventListener('abort', onAbort);
    }
  }

  private find(id: string): Entry {
    const entry = this.entries.get(id);
    if (entry) return entry;
    throw new FleetError(
      'NO_SUCH_ROLLOUT',
      `no rollout ${id}: \`ctl rollout list\` shows the known ones`,
    );
  }

  abort(id: string, actor: string, reason: string): Promise<RolloutRecord> {
    const entry = this.find(id);
    const text = `aborted by ${actor}${reason === '' ? '' : `: ${reason}`}`;
    this.input(entry, { kind: 'abort', reason: text });
    return Promise.resolve(toRecord(entry.rollout));
  }

  list(): Promise<readonly RolloutRecord[]> {
    const rollouts = [...this.entries.values()].map(({ rollout }) => rollout);
    rollouts.sort((a, b) => a.startedWallMs - b.startedWallMs);
    return Promise.resolve(rollouts.map(toRecord));
  }

  holderOf(target: TargetName): string | undefined {
    const text = targetText(target);
    for (const { names, rollout } of this.entries.values()) {
      if (names.has(text) && !isOver(rollout)) return rollout.id;
    }
    return undefined;
  }
}

const isActing = (entry: Rollout['targets'][number]): boolean => entry.state === 'acting';
const targetOf = (entry: Rollout['targets'][number]): TargetName => entry.target;
