// All processes together: order, deadlines, signals, what fails for one only.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, Driver, driveOne, group, SIGHUP } from '../../../support/engine.js';

const off = { autostart: false };

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

  test('what is due together is met in the order of the groups, then as configured', () => {
    const driver = new Driver().config([
      group('b', ['b2', 'b1'], {}, 5),
      group('z', ['z'], {}, 1),
      group('a', ['a'], {}, 5),
    ]);
    for (const name of ['b:b1', 'a:a', 'b:b2', 'z:z']) driver.spawned(name);
    driver.pass(1001);
    const running = driver
      .changes()
      .flatMap((change) =>
        change.kind === 'process' && change.to === 'RUNNING' ? [change.facts.name.process] : [],
      );
    assert.deepEqual(running, ['z', 'a', 'b2', 'b1']);
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

describe('a signal', () => {
  test('goes to the process and is answered by its outcome', () => {
    const app = driveOne({ stopAsGroup: true }).up();
    const request = app.signal('app', SIGHUP);
    assert.deepEqual(app.signals(), ['app SIGHUP process']);
    assert.equal(app.logs().at(-1), 'debug: sending app (pid 100) sig SIGHUP');
    assert.equal(app.result(request), '');
    app.outcome('delivered');
    assert.equal(app.result(request), 'ok');
    assert.equal(app.state(), 'RUNNING');
  });

  test('to what has just gone counts as delivered', () => {
    const app = driveOne().up();
    const request = app.signal();
    app.outcome('gone');
    assert.equal(app.result(request), 'ok');
    assert.equal(
      app.logs().at(-1),
      'debug: unable to signal app (pid 100), it probably just now exited on its own: ' +
        '[Errno 3] No such process',
    );
  });

  test('that cannot be delivered fails and makes the process UNKNOWN', () => {
    const app = driveOne().up();
    const request = app.signal();
    app.outcome({ error: 'EPERM' });
    assert.equal(app.result(request), 'failed FAILED');
    assert.equal(app.replies(request)[0]?.text, 'unknown problem sending sig app (100):EPERM');
    assert.equal(app.state(), 'UNKNOWN');
    assert.ok(app.logs().includes('critical: unknown problem sending sig app (100):EPERM'));
    app.exited('app', code(0));
    assert.equal(app.state(), 'EXITED');
  });

  test('reaches a child in STARTING', () => {
    const app = driveOne().spawned();
    app.signal();
    assert.deepEqual(app.signals(), ['app SIGHUP process']);
  });

  test('to what does not run is NOT_RUNNING', () => {
    const app = driveOne(off);
    assert.equal(app.result(app.signal()), 'failed NOT_RUNNING');
    assert.equal(
      app.logs().at(-1),
      "debug: attempted to send app sig SIGHUP but it wasn't running",
    );
  });

  test('before the pid is known is NOT_RUNNING', () => {
    assert.equal(driveOne().result(1), '');
    const app = driveOne();
    assert.equal(app.result(app.signal()), 'failed NOT_RUNNING');
  });

  test('does not wait for a stop that is under way', () => {
    const app = driveOne().up();
    app.request('stop');
    app.signal();
    assert.deepEqual(app.signals(), ['app SIGTERM process', 'app SIGHUP process']);
  });

  test('on a spawn that is over is a conflict', () => {
    const app = driveOne().up();
    const name = { group: 'app', process: 'app' };
    const head = { kind: 'signal' as const, name, cause: '', signal: SIGHUP };
    app.feed({ ...head, request: 50, ifSpawn: 7 });
    assert.equal(app.result(50), 'conflict FAILED');
    app.feed({ ...head, request: 51, ifSpawn: 1 });
    assert.equal(app.signals().length, 1);
  });

  test('is refused when 256 are on their way', () => {
    const app = driveOne().up();
    for (let i = 0; i < 256; i++) app.signal();
    const last = app.signal();
    assert.equal(app.result(last), 'busy FAILED');
    app.outcome('delivered');
    assert.equal(app.result(app.signal()), '');
  });

  test('that was never sent has no outcome', () => {
    const app = driveOne().up();
    app.feed({ kind: 'signal-outcome', token: 99, outcome: 'delivered' });
    assert.match(app.logs().at(-1) ?? '', /^error: .*signal 99/);
  });
});
