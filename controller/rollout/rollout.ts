// One rollout's machine: which targets are acted upon next, and when it stops (spec fleet 9). Pure.
// Invariants: a batch begins only when every target of the one before is done or skipped; more failures than
// allowed end it after the open batch; each target is acted upon once. Time is handed in.
import type { Action, Outcome, ProcessRow, TargetName } from '../../common/rows.js';
import { planBatches } from './plan.js';

export type TargetState =
  'pending' | 'acting' | 'verifying' | 'soaking' | 'done' | 'failed' | 'skipped';

export interface RolloutTarget {
  readonly target: TargetName;
  readonly batch: number;
  readonly state: TargetState;
  readonly message: string;
  /** The child that must stay alive while it soaks; 0: none yet. */
  readonly spawn: number;
  /** Monotonic instant at which `verifying` is given up or `soaking` is over; absent otherwise. */
  readonly untilMs?: number;
}

export type RolloutState = 'running' | 'aborting' | 'completed' | 'aborted' | 'failed';

export interface RolloutPolicy {
  readonly batch: number;
  readonly batchPercent: number;
  readonly soakMs: number;
  readonly maxFailures: number;
  readonly unreachable: 'fail' | 'skip';
  /** How long a target may take from its result to RUNNING. */
  readonly healthyMs: number;
}

export interface Rollout {
  readonly id: string;
  readonly action: Action;
  readonly actor: string;
  readonly policy: RolloutPolicy;
  readonly startedWallMs: number;
  readonly state: RolloutState;
  readonly reason: string;
  readonly batch: number;
  readonly targets: readonly RolloutTarget[];
}

export type RolloutInput =
  | { readonly kind: 'advance' }
  | {
      readonly kind: 'result';
      readonly target: TargetName;
      readonly outcome: Outcome;
      readonly message: string;
      readonly row: ProcessRow | undefined;
    }
  | { readonly kind: 'row'; readonly host: string; readonly row: ProcessRow }
  | { readonly kind: 'abort'; readonly reason: string };

export interface RolloutStep {
  readonly rollout: Rollout;
  /** Targets to act upon now; they are `acting` already, so the record can be saved before they are sent. */
  readonly act: readonly TargetName[];
  readonly changed: boolean;
}

/** The time in which a healthy target must be RUNNING after its result (spec fleet 9). */
export const HEALTHY_MS = 5 * 60_000;

export function createRollout(
  head: Pick<Rollout, 'id' | 'action' | 'actor' | 'policy' | 'startedWallMs'>,
  targets: readonly TargetName[],
): Rollout {
  const batches = planBatches(targets, head.policy);
  return {
    ...head,
    state: 'running',
    reason: '',
    batch: 0,
    targets: batches.flatMap((batch, at) =>
      batch.map((target) => ({
        target,
        batch: at + 1,
        state: 'pending' as const,
        message: '',
        spawn: 0,
      })),
    ),
  };
}

export const isOver = (rollout: Rollout): boolean =>
  rollout.state === 'completed' || rollout.state === 'aborted' || rollout.state === 'failed';

export const batchCount = (rollout: Rollout): number => rollout.targets.at(-1)?.batch ?? 0;

const sameTarget = (a: TargetName, b: TargetName): boolean =>
  a.host === b.host && a.group === b.group && a.process === b.process;

/** Takes one input at `nowMs`; afterwards the rollout has gone as far as it can without another. */
export function stepRollout(before: Rollout, input: RolloutInput, nowMs: number): RolloutStep {
  if (isOver(before)) return { rollout: before, act: [], changed: false };
  let rollout = take(before, input, nowMs);
  rollout = passTime(rollout, nowMs);
  const { rollout: after, act } = goOn(rollout);
  return { rollout: after, act, changed: after !== before };
}

function take(rollout: Rollout, input: RolloutInput, nowMs: number): Rollout {
  switch (input.kind) {
    case 'advance':
      return rollout;
    case 'abort':
      return rollout.state === 'running'
        ? { ...rollout, state: 'aborting', reason: input.reason }
        : rollout;
    case 'result':
      return update(
        rollout,
        (entry) => entry.state === 'acting' && sameTarget(entry.target, input.target),
        (entry) => judgeResult(entry, input, rollout, nowMs),
      );
    case 'row':
      return update(
        rollout,
        (entry) =>
          (entry.state === 'verifying' || entry.state === 'soaking') &&
          sameTarget(entry.target, { ...input.row, host: input.host }),
        (entry) => judgeRow(entry, input.row, rollout, nowMs),
      );
  }
}

function update(
  rollout: Rollout,
  which: (entry: RolloutTarget) => boolean,
  change: (entry: RolloutTarget) => RolloutTarget,
): Rollout {
  let changed = false;
  const targets = rollout.targets.map((entry) => {
    if (!which(entry)) return entry;
    const next = change(entry);
    if (next !== entry) changed = true;
    return next;
  });
  return changed ? { ...rollout, targets } : rollout;
}

function settle(entry: RolloutTarget, state: TargetState, message: string): RolloutTarget {
  return { target: entry.target, batch: entry.batch, spawn: entry.spawn, state, message };
}

function judgeResult(
  entry: RolloutTarget,
  result: Extract<RolloutInput, { kind: 'result' }>,
  rollout: Rollout,
  nowMs: number,
): RolloutTarget {
  const { outcome, row } = result;
  if (outcome === 'unreachable' && rollout.policy.unreachable === 'skip') {
    return settle(entry, 'skipped', result.message || outcome);
  }
  if (outcome !== 'ok' && outcome !== 'already') {
    return settle(entry, 'failed', result.message ? `${outcome}: ${result.message}` : outcome);
  }
  if (rollout.action === 'stop' || rollout.action === 'signal') return settle(entry, 'done', '');
  const waiting: RolloutTarget = {
    ...entry,
    state: 'verifying',
    untilMs: nowMs + rollout.policy.healthyMs,
  };
  return row === undefined ? waiting : judgeRow(waiting, row, rollout, nowMs);
}

/** RUNNING begins the soak; the same child must then stay RUNNING to its end. */
function judgeRow(
  entry: RolloutTarget,
  row: ProcessRow,
  rollout: Rollout,
  nowMs: number,
): RolloutTarget {
  if (entry.state === 'soaking') {
    if (row.state === 'RUNNING' && row.spawn === entry.spawn) return entry;
    // A row from before the restart may arrive after the result: older children say nothing.
    if (row.spawn < entry.spawn) return entry;
    return settle(entry, 'failed', `left RUNNING during the soak: now ${row.state}`);
  }
  if (row.state === 'RUNNING') {
    const soaking = { ...entry, spawn: row.spawn, message: '' };
    return rollout.policy.soakMs > 0
      ? { ...soaking, state: 'soaking', untilMs: nowMs + rollout.policy.soakMs }
      : settle(soaking, 'done', '');
  }
  if (row.state === 'FATAL' || row.state === 'UNKNOWN') {
    return settle(entry, 'failed', row.reason ? `${row.state}: ${row.reason}` : row.state);
  }
  return entry;
}

function passTime(rollout: Rollout, nowMs: number): Rollout {
  return update(
    rollout,
    (entry) => entry.untilMs !== undefined && nowMs >= entry.untilMs,
    (entry) =>
      entry.state === 'soaking'
        ? settle(entry, 'done', '')
        : settle(entry, 'failed', 'not RUNNING in time'),
  );
}

/** Opens the next batch when the last one is through, or ends the rollout. */
function goOn(rollout: Rollout): { rollout: Rollout; act: TargetName[] } {
  const open = rollout.targets.some(
    ({ state }) => state === 'acting' || state === 'verifying' || state === 'soaking',
  );
  if (open) return { rollout, act: [] };
  if (rollout.state === 'aborting') return { rollout: { ...rollout, state: 'aborted' }, act: [] };
  const failed = rollout.targets.filter(({ state }) => state === 'failed');
  if (failed.length > rollout.policy.maxFailures) {
    const first = failed[0] as RolloutTarget;
    const { host, group, process } = first.target;
    const reason = `${host}:${group}:${process}: ${first.message}`;
    return { rollout: { ...rollout, state: 'failed', reason }, act: [] };
  }
  const next = rollout.targets.find(({ state }) => state === 'pending')?.batch;
  if (next === undefined) return { rollout: { ...rollout, state: 'completed' }, act: [] };
  const targets = rollout.targets.map((entry) =>
    entry.batch === next ? settle(entry, 'acting', '') : entry,
  );
  const act = targets.filter((entry) => entry.batch === next).map((entry) => entry.target);
  return { rollout: { ...rollout, batch: next, targets }, act };
}

/** When time alone moves the rollout on; undefined: it waits for news. */
export function rolloutDeadlineMs(rollout: Rollout): number | undefined {
  let next: number | undefined;
  for (const { untilMs } of rollout.targets) {
    if (untilMs !== undefined && (next === undefined || untilMs < next)) next = untilMs;
  }
  return next;
}
