// What a configuration makes of the processes that are there; groups by request.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, Driver, driveOne, group, killed } from '../../../support/engine.js';

const app = { group: 'app', process: 'app' };

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

  test('a changed policy moves the deadline of what is under way', () => {
    const driver = driveOne().spawned();
    driver.config([group('app', ['app'], { startMs: 5000 })]);
    assert.equal(driver.engine.deadlineMs(), driver.nowMs + 5001);
    driver.pass(5000);
    assert.equal(driver.state(), 'STARTING');
    assert.equal(driver.pass(1).state(), 'RUNNING');
  });

  test('a changed priority changes the order', () => {
    const driver = new Driver().config([group('a', ['a']), group('b', ['b'])]);
    driver.config([group('a', ['a']), group('b', ['b'], {}, 1)]);
    assert.deepEqual(
      driver.engine.groups().map(({ name }) => name),
      ['b', 'a'],
    );
  });

  test('a changed priority holds for processes that are being removed too', () => {
    const driver = driveOne()
      .up()
      .config([group('app', ['other'], { autostart: false }, 3)]);
    assert.equal(driver.state(), 'STOPPING');
    assert.equal(driver.facts().groupPriority, 3);
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

  test('a group without processes is kept as long as it is configured', () => {
    const driver = new Driver().config([group('app', [])]);
    assert.equal(driver.engine.groups().length, 1);
    driver.config([]);
    assert.equal(driver.engine.groups().length, 0);
    const emptied = driveOne()
      .up()
      .config([group('app', [])]);
    emptied.exited();
    assert.equal(emptied.engine.groups().length, 1);
    const back = driveOne()
      .up()
      .config([])
      .config([group('app', ['app'])])
      .config([group('app', [])]);
    back.exited();
    assert.equal(back.engine.groups().length, 1);
  });

  test('a process that is no longer there is stopped, then its group shrinks', () => {
    const driver = new Driver().config([group('pool', ['a', 'b'])]);
    driver
      .up('pool:a')
      .up('pool:b')
      .config([group('pool', ['a'])]);
    assert.equal(driver.state('pool:b'), 'STOPPING');
    assert.equal(driver.state('pool:a'), 'RUNNING');
    const told = driver.changes().length;
    driver.outcome('delivered');
    assert.equal(driver.changes().length, told);
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

  test('a removed group leaves no deadline behind', () => {
    const driver = driveOne({ startMs: 0, autorestart: 'always' });
    for (let i = 0; i < 11; i++) driver.spawned().exited('app', code(1));
    assert.notEqual(driver.engine.deadlineMs(), undefined);
    driver.feed({ kind: 'remove-group', request: 90, group: 'app' });
    assert.equal(driver.result(90), 'ok');
    assert.equal(driver.engine.deadlineMs(), undefined);
    assert.equal(driver.pass(10_000).spawns().length, 11);
  });

  test('a group whose UNKNOWN process may live cannot be removed', () => {
    const driver = driveOne().up();
    driver.feed({ kind: 'force-unknown', name: app, reason: 'why' });
    driver.feed({ kind: 'remove-group', request: 90, group: 'app' });
    assert.equal(driver.result(90), 'failed STILL_RUNNING');
  });
});
