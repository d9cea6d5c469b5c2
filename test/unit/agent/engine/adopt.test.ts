// An agent that starts again and what the last one left (spec fleet 2).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Adoption } from '../../../../agent/engine/types.js';
import type { policy } from '../../../support/engine.js';
import { code, Driver, group, killed } from '../../../support/engine.js';

const app = { group: 'app', process: 'app' };

type Previous = NonNullable<Adoption['previous']>;

function previous(state: Previous['state'], changes: Partial<Previous> = {}): Previous {
  return {
    state,
    spawn: 5,
    attempts: 0,
    reason: '',
    exit: undefined,
    lastStartAtMs: 100,
    lastStopAtMs: undefined,
    ...changes,
  };
}

describe('adoption', () => {
  const alive = (startedAtMs: number) => ({
    kind: 'alive' as const,
    spawn: 5,
    pid: 555,
    startedAtMs,
  });
  const adoptOne = (
    adoption: Omit<Adoption, 'name'>,
    changes: Partial<ReturnType<typeof policy>> = {},
  ) => new Driver(10_000).config([group('app', ['app'], changes)], [{ name: app, ...adoption }]);

  test('a living child keeps its pid and is not started twice', () => {
    const driver = adoptOne({ child: alive(2000), previous: previous('RUNNING') });
    assert.equal(driver.state(), 'RUNNING');
    assert.equal(driver.facts().pid, 555);
    assert.equal(driver.facts().spawn, 5);
    assert.equal(driver.facts().childStartedAtMs, 2000);
    assert.equal(driver.facts().lastStartAtMs, 2000);
    assert.deepEqual(driver.spawns(), []);
    assert.deepEqual(driver.path(), []);
    const added = driver.changes()[0];
    assert.ok(added?.kind === 'group-added');
    assert.equal(added.rows[0]?.state, 'RUNNING');
    driver.exited('app', code(1));
    assert.deepEqual(driver.path(), ['EXITED']);
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
  });

  test('later spawns get higher numbers than adopted ones', () => {
    const driver = adoptOne({ child: { ...alive(2000), spawn: 70 }, previous: undefined });
    assert.equal(driver.engine.nextSpawn(), 71);
  });

  test('with nothing remembered the age of the child decides', () => {
    assert.equal(adoptOne({ child: alive(8999), previous: undefined }).state(), 'RUNNING');
    const young = adoptOne({ child: alive(9000), previous: undefined });
    assert.equal(young.state(), 'STARTING');
    assert.deepEqual(young.spawns(), []);
    young.pass(1);
    assert.deepEqual(young.path(), ['RUNNING']);
  });

  test('a STARTING that became RUNNING while nobody looked is told', () => {
    const driver = adoptOne({ child: alive(2000), previous: previous('STARTING') });
    assert.deepEqual(driver.path(), ['RUNNING']);
  });

  test('failures so far are remembered', () => {
    const driver = adoptOne({
      child: alive(9500),
      previous: previous('STARTING', { attempts: 2 }),
    });
    assert.equal(driver.exited('app', code(1), 10_000).facts().attempts, 3);
  });

  test('a stop under way begins again', () => {
    const driver = adoptOne({ child: alive(2000), previous: previous('STOPPING') });
    assert.equal(driver.state(), 'STOPPING');
    assert.deepEqual(driver.signals(), ['app SIGTERM process']);
    driver.exited();
    assert.equal(driver.state(), 'STOPPED');
    assert.deepEqual(driver.spawns(), []);
  });

  const ended = (atMs: number, status: number) => ({
    kind: 'ended' as const,
    spawn: 5,
    pid: 555,
    startedAtMs: 2000,
    exit: code(status),
    atMs,
  });

  test('an exit while nobody looked counts with its true status and time', () => {
    const driver = adoptOne({ child: ended(6000, 3), previous: previous('RUNNING') });
    assert.deepEqual(driver.path(), ['EXITED']);
    const change = driver.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.pid, 555);
    assert.equal(change.facts.reason, 'Bad exit code 3');
    assert.equal(change.facts.lastStopAtMs, 6000);
    assert.equal(driver.state(), 'STARTING');
    assert.equal(driver.spawn(), 6);
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
  });

  test('an early exit while nobody looked is BACKOFF, retried when its wait is over', () => {
    const driver = adoptOne({ child: ended(2500, 0), previous: previous('STARTING') });
    assert.deepEqual(driver.path(), ['BACKOFF']);
    assert.equal(driver.engine.deadlineMs(), 3500);
    assert.equal(driver.pass(0).state(), 'STARTING');
  });

  test('a stop that was obeyed while nobody looked is STOPPED and stays so', () => {
    const driver = adoptOne({ child: ended(6000, 0), previous: previous('STOPPING') });
    assert.deepEqual(driver.path(), ['STOPPED']);
    assert.deepEqual(driver.spawns(), []);
  });

  test('a doubtful child is neither killed nor duplicated', () => {
    const driver = adoptOne({
      child: { kind: 'doubtful', spawn: 5, pid: 555, why: 'the pid may be reused' },
      previous: previous('RUNNING'),
    });
    assert.equal(driver.state(), 'UNKNOWN');
    assert.equal(driver.facts().reason, 'the pid may be reused');
    assert.equal(driver.facts().pid, 555);
    assert.deepEqual(driver.spawns(), []);
    assert.deepEqual(driver.signals(), []);
    driver.exited('app', { kind: 'unobserved' });
    assert.equal(driver.path().at(-1), 'EXITED');
  });

  test('what was stopped by hand, had given up or had ended stays so', () => {
    const none = { kind: 'none' } as const;
    for (const state of ['STOPPED', 'FATAL', 'EXITED'] as const) {
      const driver = adoptOne({
        child: none,
        previous: previous(state, { reason: 'because', exit: code(0), lastStopAtMs: 300 }),
      });
      assert.equal(driver.pass(1000).state(), state);
      assert.deepEqual(driver.spawns(), []);
      assert.equal(driver.facts().reason, 'because');
      assert.equal(driver.facts().spawn, 5);
      assert.equal(driver.facts().lastStopAtMs, 300);
      assert.equal(driver.facts().lastStartAtMs, 100);
      assert.deepEqual(driver.facts().exit, code(0));
    }
  });

  test('an automatic restart or retry that was due is made up for', () => {
    const none = { kind: 'none' } as const;
    const exited = adoptOne({ child: none, previous: previous('EXITED', { exit: code(1) }) });
    assert.equal(exited.pass(0).state(), 'STARTING');
    const backoff = adoptOne({ child: none, previous: previous('BACKOFF', { attempts: 2 }) });
    assert.equal(backoff.pass(0).state(), 'STARTING');
    assert.equal(backoff.facts().attempts, 2);
    const starting = adoptOne({ child: none, previous: previous('STARTING') });
    assert.equal(starting.state(), 'STARTING');
    assert.equal(starting.spawns().length, 1);
  });

  test('the wait of BACKOFF goes on from the failure', () => {
    const wait = (times: Partial<Previous>) =>
      adoptOne({
        child: { kind: 'none' },
        previous: previous('BACKOFF', { attempts: 3, ...times }),
      }).engine.deadlineMs();
    assert.equal(wait({ lastStartAtMs: 8000, lastStopAtMs: 9500 }), 12_500);
    assert.equal(wait({ lastStartAtMs: 9600, lastStopAtMs: 500 }), 12_600);
    assert.equal(wait({ lastStartAtMs: undefined, lastStopAtMs: undefined }), 3000);
    assert.equal(wait({ lastStartAtMs: 77_000 }), 13_000);
  });

  test('a child that vanished has ended unobserved', () => {
    const none = { kind: 'none' } as const;
    for (const state of ['RUNNING', 'UNKNOWN'] as const) {
      const driver = adoptOne({ child: none, previous: previous(state) }, { autorestart: 'never' });
      assert.equal(driver.state(), 'EXITED');
      assert.deepEqual(driver.facts().exit, { kind: 'unobserved' });
      assert.deepEqual(driver.of('acknowledge-exit'), []);
      const change = driver.changes().at(-1);
      assert.ok(change?.kind === 'process');
      assert.equal(change.pid, 0);
      assert.equal(driver.engine.nextSpawn(), 6);
    }
    const stopping = adoptOne({ child: none, previous: previous('STOPPING') });
    assert.equal(stopping.state(), 'STOPPED');
  });

  test('nothing found and nothing remembered is a new process', () => {
    const driver = adoptOne({ child: { kind: 'none' }, previous: undefined });
    assert.equal(driver.spawns().length, 1);
    assert.equal(driver.facts().lastStopAtMs, undefined);
  });

  test('a child of a program that is no longer configured is stopped and forgotten', () => {
    const stray = { group: 'old', process: 'old' };
    const driver = new Driver(10_000).config(
      [group('app', ['app'], { autostart: false })],
      [{ name: stray, child: alive(2000), previous: previous('RUNNING') }],
    );
    assert.equal(driver.state('old'), 'STOPPING');
    assert.deepEqual(driver.signals(), ['old SIGTERM process']);
    const { priority, autostart, startMs, stopWaitMs, groupPriority } = driver.facts('old');
    assert.deepEqual(
      { priority, autostart, startMs, stopWaitMs, groupPriority },
      { priority: 999, autostart: false, startMs: 1000, stopWaitMs: 10_000, groupPriority: 999 },
    );
    driver.pass(10_000);
    assert.equal(driver.signals().at(-1), 'old SIGKILL group');
    driver.exited('old', killed);
    assert.equal(driver.engine.facts(stray), undefined);
    assert.deepEqual(driver.changes().at(-1), { kind: 'group-removed', group: 'old' });
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
  });

  test('a configured group outlives the strays in it', () => {
    const driver = new Driver(10_000).config(
      [group('app', [])],
      [{ name: app, child: alive(2000), previous: previous('RUNNING') }],
    );
    driver.exited();
    assert.equal(driver.engine.facts(app), undefined);
    assert.equal(driver.engine.groups().length, 1);
  });

  test('a stray is judged as Supervisor’s defaults judge, and never tried again', () => {
    const stray = { group: 'old', process: 'old' };
    const stopped = new Driver(10_000).config(
      [],
      [{ name: stray, child: alive(2000), previous: previous('RUNNING') }],
    );
    assert.equal(stopped.exited('old').logs().at(-1), 'info: stopped: old (exit status 0)');
    const failed = new Driver(10_000).config(
      [],
      [{ name: stray, child: ended(2500, 0), previous: previous('STARTING') }],
    );
    assert.deepEqual(failed.path('old'), ['BACKOFF', 'FATAL']);
  });

  test('a stray that has ended already is only acknowledged', () => {
    const stray = { group: 'app', process: 'old' };
    const driver = new Driver(10_000).config(
      [group('app', ['app'], { autostart: false })],
      [
        { name: stray, child: ended(6000, 1), previous: undefined },
        { name: { group: 'x', process: 'x' }, child: { kind: 'none' }, previous: undefined },
      ],
    );
    assert.equal(driver.engine.facts(stray), undefined);
    assert.ok(
      !driver.changes().some((change) => change.kind !== 'process' && change.group === 'x'),
    );
    assert.equal(driver.engine.snapshot().length, 1);
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
    assert.deepEqual(driver.spawns(), []);
  });
});
