// Everything down, in order (spec process 9, 10).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, Driver, driveOne, group, killed, policy } from '../../../support/engine.js';

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

  test('waits for nothing but stops, kills and its own reports', () => {
    const driver = new Driver().config([
      group('first', ['first'], { stopWaitMs: 60_000 }, 9),
      group('retry', ['retry'], {}, 1),
    ]);
    driver.up('first').spawnFailed('retry').feed({ kind: 'shutdown' });
    assert.equal(driver.engine.deadlineMs(), driver.nowMs + 3000);
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

  test('what comes back into the configuration meanwhile is not started', () => {
    const driver = new Driver()
      .config([group('app', ['app'])])
      .up()
      .config([]);
    driver
      .feed({ kind: 'shutdown' })
      .config([group('app', ['app'])])
      .exited();
    assert.equal(driver.state(), 'STOPPED');
    assert.equal(driver.spawns().length, 1);
  });

  test('a configuration that comes afterwards starts nothing', () => {
    const driver = new Driver().config([]);
    driver.feed({ kind: 'shutdown' }).config([group('app', ['app'])]);
    assert.deepEqual(driver.spawns(), []);
  });
});
