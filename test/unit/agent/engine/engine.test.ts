// All processes together: order, configuration, removal, adoption, shutdown (spec process 9, 10; spec fleet 2).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Adoption } from '../../../../agent/engine/types.js';
import { code, Driver, driveOne, group, killed, policy } from '../../../support/engine.js';

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

describe('order', () => {
  test('groups start by priority, then name; inside a group as configured', () => {
    const driver = new Driver().config([
      group('b', ['b2', 'b1'], {}, 5),
      group('z', ['z'], {}, 1),
      group('a', ['a'], {}, 5),
    ]);
    assert.deepEqual(driver.spawns(), ['z:z', 'a:a', 'b:b2', 'b:b1']);
    assert.deepEqual(
      driver.engine.snapshot().map(({ name }) => name.process),
      ['z', 'a', 'b2', 'b1'],
    );
    assert.deepEqual(
      driver.engine.groups().map(({ name }) => name),
      ['z', 'a', 'b'],
    );
  });

  test('spawn numbers grow over the whole host from the one given', () => {
    const driver = new Driver(0, 40).config([group('a', ['x', 'y'])]);
    assert.deepEqual(
      driver.of('spawn').map(({ spawn }) => spawn),
      [40, 41],
    );
    assert.equal(driver.engine.nextSpawn(), 42);
  });

  test('the next deadline is the earliest of all, and each process meets its own', () => {
    const driver = new Driver().config([
      group('slow', ['slow'], { startMs: 9000 }),
      group('fast', ['fast'], { startMs: 2000 }),
    ]);
    driver.spawned('slow').spawned('fast');
    assert.equal(driver.engine.deadlineMs(), 3001);
    driver.pass(2001);
    assert.equal(driver.state('fast'), 'RUNNING');
    assert.equal(driver.state('slow'), 'STARTING');
    assert.equal(driver.engine.deadlineMs(), 10_001);
  });

  test('time never goes back', () => {
    const driver = driveOne().spawned();
    driver.nowMs = 500;
    driver.request('stop');
    const status = driver.status();
    assert.ok(status?.state === 'STOPPING');
    assert.equal(status.killAtMs, 11_000);
  });

  test('names that do not exist have no status and no facts', () => {
    const driver = driveOne();
    assert.equal(driver.engine.status({ group: 'x', process: 'x' }), undefined);
    assert.equal(driver.engine.facts({ group: 'x', process: 'x' }), undefined);
  });

  test('an answer for a spawn that is nobody’s is an error in the log and nothing else', () => {
    const driver = driveOne();
    driver.feed({ kind: 'spawned', spawn: 99, pid: 1, startedAtMs: 0 });
    assert.match(driver.logs().at(-1) ?? '', /^error: .*spawn 99/);
    assert.equal(driver.state(), 'STARTING');
    driver.spawnFailed();
    driver.feed({ kind: 'spawn-failed', spawn: 1, text: 'again' });
    assert.match(driver.logs().at(-1) ?? '', /^error: .*spawn 1/);
  });
});

describe('configuration', () => {
  test('a new group is told with all its rows before anything starts', () => {
    const driver = new Driver().config([group('pool', ['a', 'b'])]);
    const [first] = driver.changes();
    assert.ok(first?.kind === 'group-added');
    assert.equal(first.group, 'pool');
    assert.deepEqual(
      first.rows.map(({ name, state }) => [name.process, state]),
      [
        ['a', 'STOPPED'],
        ['b', 'STOPPED'],
      ],
    );
    assert.equal(driver.all[0]?.kind, 'emit');
  });

  test('a changed policy holds from now on, without a restart', () => {
    const driver = driveOne().up();
    driver.config([group('app', ['app'], { stopWaitMs: 500, autorestart: 'never' }, 3)]);
    assert.equal(driver.spawns().length, 1);
    assert.equal(driver.state(), 'RUNNING');
    const change = driver.changes().at(-1);
    assert.ok(change?.kind === 'group-changed');
    assert.equal(change.rows[0]?.stopWaitMs, 500);
    assert.equal(change.rows[0]?.groupPriority, 3);
    assert.equal(driver.exited('app', code(1)).state(), 'EXITED');
  });

  test('a changed priority changes the order', () => {
    const driver = new Driver().config([group('a', ['a']), group('b', ['b'])]);
    driver.config([group('a', ['a']), group('b', ['b'], {}, 1)]);
    assert.deepEqual(
      driver.engine.groups().map(({ name }) => name),
      ['b', 'a'],
    );
  });

  test('a new process of a known group starts, the others are left alone', () => {
    const driver = new Driver().config([group('pool', ['a'])]).up('pool:a');
    driver.config([group('pool', ['b', 'a'])]);
    assert.deepEqual(driver.spawns(), ['pool:a', 'pool:b']);
    assert.equal(driver.state('pool:a'), 'RUNNING');
    assert.deepEqual(
      driver.engine.snapshot().map(({ name }) => name.process),
      ['b', 'a'],
    );
  });

  test('a group that is no longer there is stopped, then removed', () => {
    const driver = driveOne().up();
    driver.config([]);
    assert.equal(driver.state(), 'STOPPING');
    assert.equal(driver.result(driver.request('start')), 'failed BAD_NAME');
    driver.exited();
    assert.equal(driver.engine.facts(app), undefined);
    assert.deepEqual(driver.changes().at(-1), { kind: 'group-removed', group: 'app' });
    assert.deepEqual(driver.engine.groups(), []);
    assert.equal(driver.engine.deadlineMs(), undefined);
  });

  test('a group with nothing alive is removed at once', () => {
    const driver = driveOne({ autostart: false }).config([]);
    assert.deepEqual(driver.changes().at(-1), { kind: 'group-removed', group: 'app' });
  });

  test('a process that is no longer there is stopped, then its group shrinks', () => {
    const driver = new Driver().config([group('pool', ['a', 'b'])]);
    driver
      .up('pool:a')
      .up('pool:b')
      .config([group('pool', ['a'])]);
    assert.equal(driver.state('pool:b'), 'STOPPING');
    assert.equal(driver.state('pool:a'), 'RUNNING');
    driver.exited('pool:b');
    const change = driver.changes().at(-1);
    assert.ok(change?.kind === 'group-changed');
    assert.deepEqual(
      change.rows.map(({ name }) => name.process),
      ['a'],
    );
    driver.pass(5000);
    assert.equal(driver.changes().at(-1), change);
  });

  test('a removed process is not restarted by supervision', () => {
    const driver = driveOne({ autorestart: 'always' }).spawnFailed();
    driver.config([]);
    assert.equal(driver.spawns().length, 1);
    assert.equal(driver.engine.facts(app), undefined);
    const starting = driveOne({ autorestart: 'always' }).config([]);
    starting.spawnFailed();
    assert.equal(starting.engine.facts(app), undefined);
    assert.equal(starting.spawns().length, 1);
  });

  test('a removed process in UNKNOWN is kept until its child has ended', () => {
    const driver = driveOne().up();
    driver.feed({ kind: 'force-unknown', name: app, reason: 'why' }).config([]);
    assert.equal(driver.state(), 'UNKNOWN');
    driver.exited('app', code(1));
    assert.equal(driver.engine.facts(app), undefined);
    assert.equal(driver.spawns().length, 1);
  });

  test('requests on a removed process are interrupted, a stop under way is seen through', () => {
    const driver = driveOne().up();
    const stop = driver.request('stop');
    const start = driver.request('start');
    driver.config([]);
    assert.equal(driver.result(start), 'interrupted BAD_NAME');
    assert.equal(driver.result(stop), '');
    assert.equal(driver.signals().length, 1);
    driver.exited();
    assert.equal(driver.result(stop), 'ok');
    const other = driveOne().up();
    const restart = other.request('restart');
    other.config([]);
    assert.equal(other.result(restart), 'interrupted BAD_NAME');
    assert.equal(other.exited().spawns().length, 1);
  });

  test('what comes back while it is being removed starts again', () => {
    const driver = driveOne().up().config([]);
    driver.config([group('app', ['app'])]);
    assert.equal(driver.state(), 'STOPPING');
    driver.exited();
    assert.equal(driver.state(), 'STARTING');
    driver.up();
    assert.equal(driver.state(), 'RUNNING');
    driver.pass(100_000);
    assert.equal(driver.spawns().length, 2);
  });

  test('what comes back before its pid was known starts again', () => {
    const driver = driveOne()
      .config([])
      .config([group('app', ['app'])]);
    driver.spawned().exited('app', killed);
    assert.equal(driver.state(), 'STARTING');
  });

  test('what comes back without autostart stays down and stays there', () => {
    const driver = driveOne().up().config([]);
    driver.config([group('app', ['app'], { autostart: false })]).exited();
    assert.equal(driver.state(), 'STOPPED');
    assert.equal(driver.spawns().length, 1);
  });

  test('a process that was stopped by hand stays down when the configuration is read again', () => {
    const driver = driveOne().up();
    driver.request('stop');
    driver.exited().config([group('app', ['app'])]);
    assert.equal(driver.state(), 'STOPPED');
  });
});

describe('groups by request', () => {
  test('one more starts at once; a name that exists is ALREADY_ADDED', () => {
    const driver = driveOne();
    driver.feed({ kind: 'add-group', request: 90, group: group('more', ['m'], {}, 1) });
    assert.equal(driver.result(90), 'ok');
    assert.deepEqual(driver.spawns(), ['app:app', 'more:m']);
    driver.feed({ kind: 'add-group', request: 91, group: group('more', ['m']) });
    assert.equal(driver.result(91), 'failed ALREADY_ADDED');
    assert.deepEqual(
      driver.engine.groups().map(({ name }) => name),
      ['more', 'app'],
    );
  });

  test('one less needs all its processes down', () => {
    const driver = driveOne().up();
    driver.feed({ kind: 'remove-group', request: 90, group: 'app' });
    assert.equal(driver.result(90), 'failed STILL_RUNNING');
    assert.match(driver.replies(90)[0]?.text ?? '', /once these are stopped: app/);
    driver.request('stop');
    driver.exited();
    driver.feed({ kind: 'remove-group', request: 91, group: 'app' });
    assert.equal(driver.result(91), 'ok');
    assert.deepEqual(driver.changes().at(-1), { kind: 'group-removed', group: 'app' });
    driver.feed({ kind: 'remove-group', request: 92, group: 'app' });
    assert.equal(driver.result(92), 'failed BAD_NAME');
    assert.equal(driver.engine.facts(app), undefined);
  });

  test('a group whose UNKNOWN process may live cannot be removed', () => {
    const driver = driveOne().up();
    driver.feed({ kind: 'force-unknown', name: app, reason: 'why' });
    driver.feed({ kind: 'remove-group', request: 90, group: 'app' });
    assert.equal(driver.result(90), 'failed STILL_RUNNING');
  });
});

describe('shutdown', () => {
  test('stops the highest priority first; the next tier waits for it', () => {
    const driver = new Driver().config([
      group('listener', ['l'], {}, -1),
      group('web', ['w1', 'w2'], {}, 5),
      group('db', ['d'], {}, 1),
      group('api', ['p'], {}, 5),
    ]);
    for (const name of ['listener:l', 'web:w1', 'web:w2', 'db:d', 'api:p']) driver.up(name);
    driver.feed({ kind: 'shutdown' });
    assert.deepEqual(driver.signals(), [
      ...['w2 SIGTERM process', 'w1 SIGTERM process', 'p SIGTERM process'],
    ]);
    driver.exited('web:w1').exited('web:w2');
    assert.equal(driver.signals().length, 3);
    driver.exited('api:p');
    assert.equal(driver.signals().at(-1), 'd SIGTERM process');
    driver.exited('db:d');
    assert.equal(driver.signals().at(-1), 'l SIGTERM process');
    assert.equal(driver.of('shutdown-complete').length, 0);
    driver.exited('listener:l');
    assert.equal(driver.of('shutdown-complete').length, 1);
    assert.equal(driver.engine.deadlineMs(), undefined);
  });

  test('inside a tier the highest process priority is signalled first', () => {
    const pool = group('pool', ['a', 'b', 'c']);
    const processes = pool.processes.map((process, i) => ({
      ...process,
      policy: policy({ priority: [5, 9, 1][i] ?? 0 }),
    }));
    const driver = new Driver().config([{ ...pool, processes }]);
    for (const name of ['a', 'b', 'c']) driver.up(`pool:${name}`);
    driver.feed({ kind: 'shutdown' });
    assert.deepEqual(
      driver.of('signal').map(({ name }) => name.process),
      ['b', 'a', 'c'],
    );
  });

  test('with nothing to stop it is complete at once, and only once', () => {
    const driver = driveOne({ autostart: false });
    driver.feed({ kind: 'shutdown' });
    assert.equal(driver.of('shutdown-complete').length, 1);
    driver.feed({ kind: 'shutdown' }).feed({ kind: 'deadline' });
    assert.equal(driver.of('shutdown-complete').length, 1);
    assert.deepEqual(driver.logs(), []);
  });

  test('BACKOFF becomes FATAL, UNKNOWN is left alone, EXITED does not come back', () => {
    const driver = new Driver().config([
      group('backoff', ['backoff']),
      group('unknown', ['unknown']),
      group('exited', ['exited'], { startMs: 0, autorestart: 'always' }),
    ]);
    driver.spawnFailed('backoff').spawned('unknown');
    driver.feed({
      kind: 'force-unknown',
      name: { group: 'unknown', process: 'unknown' },
      reason: 'why',
    });
    for (let i = 0; i < 11; i++) driver.spawned('exited').exited('exited', code(1));
    const spawns = driver.spawns().length;
    driver.feed({ kind: 'shutdown' });
    assert.equal(driver.state('backoff'), 'FATAL');
    assert.equal(driver.state('unknown'), 'UNKNOWN');
    assert.equal(driver.of('shutdown-complete').length, 1);
    assert.equal(driver.pass(60_000).spawns().length, spawns);
  });

  test('a tier not yet reached is not restarted by supervision', () => {
    const driver = new Driver().config([
      group('last', ['last'], { autorestart: 'always' }, 1),
      group('retry', ['retry'], {}, 1),
      group('first', ['first'], {}, 9),
    ]);
    driver.up('last').up('first').spawnFailed('retry');
    driver.feed({ kind: 'shutdown' });
    driver.exited('last', code(1)).pass(5000);
    assert.equal(driver.state('last'), 'EXITED');
    assert.equal(driver.state('retry'), 'BACKOFF');
    driver.exited('first');
    assert.equal(driver.state('retry'), 'FATAL');
    assert.equal(driver.of('shutdown-complete').length, 1);
  });

  test('a child whose pid is not known yet is stopped when it is', () => {
    const driver = driveOne();
    driver.feed({ kind: 'shutdown' });
    driver.spawned();
    assert.equal(driver.state(), 'STOPPING');
    driver.exited('app', killed);
    assert.equal(driver.of('shutdown-complete').length, 1);
  });

  test('deaf children are killed in the end', () => {
    const driver = driveOne({ stopWaitMs: 2000 }).up();
    driver.feed({ kind: 'shutdown' }).pass(2000);
    assert.deepEqual(driver.signals(), ['app SIGTERM process', 'app SIGKILL process']);
  });

  test('it is said at once and every three seconds who is waited for', () => {
    const driver = new Driver()
      .config([group('pool', ['a', 'b'])])
      .up('pool:a')
      .up('pool:b');
    driver.feed({ kind: 'shutdown' });
    const said = () => driver.logs().filter((line) => line.includes(' to die'));
    assert.deepEqual(said(), ['info: waiting for a, b to die']);
    driver.exited('pool:a').pass(2999);
    assert.equal(said().length, 1);
    driver.pass(1);
    assert.deepEqual(said().slice(1), ['info: waiting for b to die']);
  });

  test('requests are refused, waiting ones too, and a stop under way is answered', () => {
    const driver = driveOne().up();
    const stop = driver.request('stop');
    const start = driver.request('start');
    driver.feed({ kind: 'shutdown' });
    assert.equal(driver.result(start), 'failed SHUTDOWN_STATE');
    assert.equal(driver.result(driver.request('stop')), 'failed SHUTDOWN_STATE');
    assert.equal(driver.result(driver.signal()), 'failed SHUTDOWN_STATE');
    driver.feed({ kind: 'add-group', request: 90, group: group('x', ['x']) });
    driver.feed({ kind: 'remove-group', request: 91, group: 'app' });
    assert.equal(driver.result(90), 'failed SHUTDOWN_STATE');
    assert.equal(driver.result(91), 'failed SHUTDOWN_STATE');
    driver.exited();
    assert.equal(driver.result(stop), 'ok');
    assert.equal(driver.signals().length, 1);
  });

  test('a restart under way does not start again', () => {
    const driver = driveOne().up();
    const restart = driver.request('restart');
    driver.feed({ kind: 'shutdown' });
    assert.equal(driver.result(restart), 'failed SHUTDOWN_STATE');
    driver.exited();
    assert.equal(driver.state(), 'STOPPED');
    assert.equal(driver.spawns().length, 1);
  });

  test('a priority that changes meanwhile changes the order, and nothing is forgotten', () => {
    const driver = new Driver().config([group('a', ['a'], {}, 1), group('b', ['b'], {}, 9)]);
    driver.up('a').up('b').feed({ kind: 'shutdown' });
    driver.config([group('a', ['a'], {}, 5), group('b', ['b'], {}, 9)]);
    driver.exited('b');
    assert.equal(driver.state('a'), 'STOPPING');
    driver.exited('a');
    assert.equal(driver.of('shutdown-complete').length, 1);
  });

  test('a configuration that comes afterwards starts nothing', () => {
    const driver = new Driver().config([]);
    driver.feed({ kind: 'shutdown' }).config([group('app', ['app'])]);
    assert.deepEqual(driver.spawns(), []);
  });
});

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
    driver.pass(10_000);
    assert.equal(driver.signals().at(-1), 'old SIGKILL group');
    driver.exited('old', killed);
    assert.equal(driver.engine.facts(stray), undefined);
    assert.deepEqual(driver.changes().at(-1), { kind: 'group-removed', group: 'old' });
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
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
    assert.equal(driver.engine.snapshot().length, 1);
    assert.deepEqual(driver.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn: 5 }]);
    assert.deepEqual(driver.spawns(), []);
  });
});
