// One rollout's decisions, in virtual time.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Outcome, ProcessRow, TargetName } from '../../../../common/rows.js';
import { batchSize, planBatches } from '../../../../controller/rollout/plan.js';
import {
  createRollout,
  rolloutDeadlineMs,
  stepRollout,
  type Rollout,
  type RolloutInput,
  type RolloutPolicy,
} from '../../../../controller/rollout/rollout.js';
import { makeRow } from '../../../support/rows.js';

const targets = (count: number): TargetName[] =>
  Array.from({ length: count }, (_, n) => ({ host: `web${n + 1}`, group: 'app', process: 'app' }));

class Run {
  rollout: Rollout;
  acted: string[] = [];
  nowMs = 0;

  constructor(count: number, policy: Partial<RolloutPolicy> = {}) {
    const whole = {
      batch: 1,
      batchPercent: 0,
      soakMs: 10_000,
      maxFailures: 0,
      unreachable: 'fail' as const,
      healthyMs: 300_000,
      ...policy,
    };
    this.rollout = createRollout(
      { id: 'r1', action: 'restart', actor: 'ann', policy: whole, startedWallMs: 0 },
      targets(count),
    );
    this.input({ kind: 'advance' });
  }

  input(input: RolloutInput): void {
    const step = stepRollout(this.rollout, input, this.nowMs);
    this.rollout = step.rollout;
    this.acted.push(...step.act.map((target) => target.host));
  }

  result(host: string, outcome: Outcome, row?: ProcessRow): void {
    const target = { host, group: 'app', process: 'app' };
    this.input({ kind: 'result', target, outcome, message: '', row });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.input({ kind: 'advance' });
  }

  states(): string {
    return this.rollout.targets.map((entry) => entry.state).join(' ');
  }
}

describe('batches', () => {
  it('rounds percentages down, to at least one target', () => {
    assert.equal(batchSize({ batch: 0, batchPercent: 25 }, 10), 2);
    assert.equal(batchSize({ batch: 0, batchPercent: 1 }, 10), 1);
    assert.equal(batchSize({ batch: 0, batchPercent: 500 }, 10), 10);
    assert.equal(batchSize({ batch: 3, batchPercent: 0 }, 10), 3);
    assert.equal(batchSize({ batch: 0, batchPercent: 0 }, 40), 4);
  });

  it('keeps the order of the targets', () => {
    const hosts = planBatches(targets(5), { batch: 2, batchPercent: 0 }).map((batch) =>
      batch.map((target) => target.host),
    );
    assert.deepEqual(hosts, [['web1', 'web2'], ['web3', 'web4'], ['web5']]);
  });
});

describe('rollout', () => {
  it('touches the next batch only when the last one soaked', () => {
    const run = new Run(3);
    assert.deepEqual(run.acted, ['web1']);
    run.result('web1', 'ok', makeRow({ spawn: 7 }));
    assert.equal(run.states(), 'soaking pending pending');
    run.pass(9_999);
    assert.deepEqual(run.acted, ['web1']);
    run.pass(1);
    assert.deepEqual(run.acted, ['web1', 'web2']);
    run.result('web2', 'ok', makeRow({ spawn: 3 }));
    run.pass(10_000);
    run.result('web3', 'ok', makeRow({ spawn: 3 }));
    run.pass(10_000);
    assert.equal(run.rollout.state, 'completed');
    assert.equal(rolloutDeadlineMs(run.rollout), undefined);
  });

  it('stops at the first failure and touches nothing further', () => {
    const run = new Run(4, { batch: 2 });
    run.result('web1', 'failed');
    assert.equal(run.rollout.state, 'running', 'the open batch is finished first');
    run.result('web2', 'ok', makeRow());
    run.pass(10_000);
    assert.equal(run.rollout.state, 'failed');
    assert.match(run.rollout.reason, /^web1:app:app: failed/);
    assert.equal(run.states(), 'failed done pending pending');
    run.pass(1_000_000);
    assert.deepEqual(run.acted, ['web1', 'web2']);
  });

  it('fails a target that leaves RUNNING during its soak', () => {
    const run = new Run(2);
    run.result('web1', 'ok', makeRow({ spawn: 7 }));
    run.input({ kind: 'row', host: 'web1', row: makeRow({ spawn: 7, state: 'EXITED' }) });
    assert.equal(run.rollout.state, 'failed');
  });

  it('fails a target whose child was replaced during its soak', () => {
    const run = new Run(2);
    run.result('web1', 'ok', makeRow({ spawn: 7 }));
    run.input({ kind: 'row', host: 'web1', row: makeRow({ spawn: 8 }) });
    assert.equal(run.states(), 'failed pending');
  });

  it('is not confused by a row of the child that the restart replaced', () => {
    const run = new Run(2);
    run.result('web1', 'ok', makeRow({ spawn: 7 }));
    run.input({ kind: 'row', host: 'web1', row: makeRow({ spawn: 6, state: 'STOPPED' }) });
    assert.equal(run.states(), 'soaking pending');
  });

  it('gives up a target that is not RUNNING in time', () => {
    const run = new Run(1);
    run.result('web1', 'ok', makeRow({ state: 'STARTING' }));
    assert.equal(run.states(), 'verifying');
    run.pass(300_000);
    assert.equal(run.rollout.state, 'failed');
    assert.match(run.rollout.reason, /not RUNNING in time/);
  });

  it('goes on within the failures allowed', () => {
    const run = new Run(3, { maxFailures: 1 });
    run.result('web1', 'timeout');
    assert.deepEqual(run.acted, ['web1', 'web2']);
    run.result('web2', 'conflict');
    assert.equal(run.rollout.state, 'failed');
  });

  it('skips unreachable hosts only where that was asked for', () => {
    const strict = new Run(2);
    strict.result('web1', 'unreachable');
    assert.equal(strict.rollout.state, 'failed');
    const lenient = new Run(2, { unreachable: 'skip' });
    lenient.result('web1', 'unreachable');
    assert.equal(lenient.states(), 'skipped acting');
  });

  it('finishes the open batch when aborted', () => {
    const run = new Run(3);
    run.input({ kind: 'abort', reason: 'aborted by ann' });
    assert.equal(run.rollout.state, 'aborting');
    run.result('web1', 'ok', makeRow());
    run.pass(10_000);
    assert.equal(run.rollout.state, 'aborted');
    assert.deepEqual(run.acted, ['web1']);
  });

  it('acts on each target once, whatever is repeated', () => {
    const run = new Run(2, { soakMs: 0 });
    for (let n = 0; n < 3; n++) run.result('web1', 'ok', makeRow());
    for (let n = 0; n < 3; n++) run.input({ kind: 'row', host: 'web1', row: makeRow() });
    assert.deepEqual(run.acted, ['web1', 'web2']);
  });
});
