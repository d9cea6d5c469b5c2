// Stopping one process, and what happens when signals fail (spec process 6).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, driveOne, killed } from '../../../support/engine.js';

describe('stopping', () => {
  test('the stop signal goes out and SIGKILL follows stopwaitsecs, again and again', () => {
    const app = driveOne({ stopWaitMs: 3000 }).up();
    app.request('stop');
    assert.equal(app.state(), 'STOPPING');
    assert.deepEqual(app.signals(), ['app SIGTERM process']);
    assert.ok(app.logs().includes('debug: killing app (pid 100) with signal SIGTERM'));
    app.pass(2999);
    assert.equal(app.signals().length, 1);
    app.pass(1);
    assert.deepEqual(app.signals(), ['app SIGTERM process', 'app SIGKILL process']);
    assert.ok(app.logs().includes("warn: killing 'app' (100) with SIGKILL"));
    app.pass(2999);
    assert.equal(app.signals().length, 2);
    app.pass(1);
    assert.equal(app.signals().length, 3);
    app.exited('app', killed);
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.logs().at(-1), 'warn: stopped: app (terminated by SIGKILL)');
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('stopwaitsecs=0 kills at once and repeats every second', () => {
    const app = driveOne({ stopWaitMs: 0 }).up();
    app.request('stop');
    app.pass(0);
    assert.equal(app.signals().length, 2);
    app.pass(999);
    assert.equal(app.signals().length, 2);
    app.pass(1);
    assert.equal(app.signals().length, 3);
  });

  test('a negative stopwaitsecs is none', () => {
    const app = driveOne({ stopWaitMs: -5000 }).up();
    app.request('stop');
    assert.ok(app.status()?.state === 'STOPPING');
    assert.equal(app.engine.deadlineMs(), app.nowMs);
  });

  test('stopasgroup and killasgroup choose the target of their signals', () => {
    const both = driveOne({ stopAsGroup: true, killAsGroup: true, stopWaitMs: 1000 }).up();
    both.request('stop');
    both.pass(1000);
    assert.deepEqual(both.signals(), ['app SIGTERM group', 'app SIGKILL group']);
    assert.ok(
      both.logs().includes('debug: killing app (pid 100) process group with signal SIGTERM'),
    );
    const kill = driveOne({ killAsGroup: true, stopWaitMs: 1000 }).up();
    kill.request('stop');
    kill.pass(1000);
    assert.deepEqual(kill.signals(), ['app SIGTERM process', 'app SIGKILL group']);
  });

  test('an expected status is info, and nothing restarts it', () => {
    const app = driveOne({ autorestart: 'always' }).up();
    app.request('stop');
    app.exited('app', code(0));
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.logs().at(-1), 'info: stopped: app (exit status 0)');
    const change = app.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.pid, 100);
    assert.deepEqual(change.facts.exit, { kind: 'code', code: 0 });
    assert.equal(app.pass(100_000).spawns().length, 1);
  });

  test('a stop in STARTING signals the child', () => {
    const app = driveOne().spawned();
    app.request('stop');
    assert.deepEqual(app.path(), ['STARTING', 'STOPPING']);
    app.exited('app', killed);
    assert.equal(app.state(), 'STOPPED');
  });

  test('a stop before the pid is known is carried out when it is', () => {
    const app = driveOne();
    app.request('stop');
    assert.deepEqual(app.signals(), []);
    app.spawned();
    assert.deepEqual(app.path(), ['STARTING', 'STOPPING']);
    assert.deepEqual(app.signals(), ['app SIGTERM process']);
  });

  test('a stop before a spawn that fails ends STOPPED, without a retry', () => {
    const app = driveOne();
    const stop = app.request('stop');
    app.spawnFailed();
    assert.deepEqual(app.path(), ['STARTING', 'BACKOFF', 'STOPPED']);
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.pass(100_000).spawns().length, 1);
  });

  test('a stop in BACKOFF is immediate and forgets the failures', () => {
    const app = driveOne().spawned().exited('app', code(1)).pass(500);
    const stop = app.request('stop');
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.facts().attempts, 0);
    assert.equal(app.facts().lastStopAtMs, app.nowMs);
    assert.ok(app.logs().includes('debug: Attempted to kill app, which is in BACKOFF state.'));
    const change = app.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.pid, 0);
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('a stop after failures gives the next start all its retries', () => {
    const app = driveOne().spawned().exited('app', code(1)).pass(1000).spawned();
    app.request('stop');
    app.exited('app', killed);
    app.request('start');
    assert.equal(app.facts().attempts, 0);
  });

  test('a stop while a damped restart is due takes the restart back', () => {
    const app = driveOne({ startMs: 0, autorestart: 'always' });
    for (let i = 0; i < 11; i++) app.spawned().exited('app', code(1));
    const stop = app.request('stop');
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.state(), 'EXITED');
    assert.equal(app.engine.deadlineMs(), undefined);
    assert.equal(app.pass(10_000).spawns().length, 11);
  });

  test('a process that was gone already counts as signalled', () => {
    const app = driveOne().up();
    app.request('stop');
    app.outcome('gone');
    assert.equal(app.state(), 'STOPPING');
    assert.equal(
      app.logs().at(-1),
      'debug: unable to signal app (pid 100), it probably just exited on its own: ' +
        '[Errno 3] No such process',
    );
  });
});

describe('UNKNOWN', () => {
  const failing = () => {
    const app = driveOne({ autorestart: 'always' }).up();
    const stop = app.request('stop');
    app.outcome({ error: 'EPERM' });
    return { app, stop };
  };

  test('a stop signal that cannot be delivered leads there, loudly', () => {
    const { app, stop } = failing();
    assert.equal(app.state(), 'UNKNOWN');
    assert.equal(app.result(stop), 'failed FAILED');
    assert.ok(app.logs().includes('critical: unknown problem killing app (100):EPERM'));
    assert.equal(app.facts().pid, 100);
    assert.equal(app.facts().reason, 'unknown problem killing app (100):EPERM');
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('the end of a process whose stop failed leads to STOPPED', () => {
    const { app } = failing();
    app.exited('app', code(0));
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.spawns().length, 1);
  });

  test('starts, stops, restarts and signals are refused while it may live', () => {
    const { app } = failing();
    assert.equal(app.result(app.request('start')), 'failed FAILED');
    assert.equal(app.replies(2)[0]?.text, 'app is in an unknown process state');
    assert.equal(app.result(app.request('stop')), 'failed FAILED');
    assert.equal(app.result(app.request('restart')), 'failed FAILED');
    assert.equal(app.result(app.signal()), 'failed NOT_RUNNING');
    assert.equal(app.state(), 'UNKNOWN');
  });

  test('the shell may declare it; the end then leads to EXITED and the usual restart', () => {
    const app = driveOne().up();
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    assert.equal(app.facts().reason, 'why');
    app.exited('app', code(1));
    assert.deepEqual(app.path().slice(2), ['UNKNOWN', 'EXITED']);
    assert.equal(app.state(), 'STARTING');
  });

  test('declared twice, the newer reason stands and nothing is told twice', () => {
    const app = driveOne().up();
    const name = { group: 'app', process: 'app' };
    app.feed({ kind: 'force-unknown', name, reason: 'one' });
    app.feed({ kind: 'force-unknown', name, reason: 'two' });
    assert.equal(app.facts().reason, 'two');
    assert.deepEqual(app.path(), ['STARTING', 'RUNNING', 'UNKNOWN']);
  });

  test('without a child a stop leads out of it', () => {
    const app = driveOne({ autostart: false });
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    const stop = app.request('stop');
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.result(stop), 'ok');
  });

  test('declared before the pid is known, it learns the pid and waits for the end', () => {
    const app = driveOne();
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    assert.deepEqual(app.path(), ['STARTING', 'UNKNOWN']);
    app.spawned();
    assert.equal(app.state(), 'UNKNOWN');
    assert.equal(app.facts().pid, 100);
    app.exited('app', code(0));
    assert.equal(app.state(), 'EXITED');
  });

  test('declared before a spawn that fails, it is STOPPED', () => {
    const app = driveOne();
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    app.spawnFailed('app', 'gone wrong');
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.facts().reason, 'gone wrong');
  });

  test('declared during a stop that waits for the pid, the end leads to STOPPED', () => {
    const app = driveOne({ autorestart: 'always' });
    app.request('stop');
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    app.spawned().exited();
    assert.equal(app.state(), 'STOPPED');
  });

  test('a failed signal to a child that has ended meanwhile changes nothing', () => {
    const app = driveOne().up();
    app.request('stop');
    const sent = app.of('signal').at(-1);
    app.exited('app', code(0));
    app.request('start');
    app.spawned();
    app.feed({ kind: 'signal-outcome', token: sent?.token ?? 0, outcome: { error: 'EPERM' } });
    assert.equal(app.state(), 'STARTING');
  });

  test('a second signal that cannot be delivered changes only the reason', () => {
    const app = driveOne().up();
    app.signal();
    const first = app.of('signal').at(-1)?.token ?? 0;
    app.signal();
    app.outcome({ error: 'EPERM' });
    app.feed({ kind: 'signal-outcome', token: first, outcome: { error: 'EIO' } });
    assert.equal(app.facts().reason, 'unknown problem sending sig app (100):EIO');
    assert.deepEqual(app.path(), ['STARTING', 'RUNNING', 'UNKNOWN']);
  });

  test('SIGKILL that cannot be delivered leads there too', () => {
    const app = driveOne({ stopWaitMs: 1000 }).up();
    app.request('stop');
    app.outcome('delivered').pass(1000).outcome({ error: 'EPERM' });
    assert.equal(app.state(), 'UNKNOWN');
    app.exited('app', killed);
    assert.equal(app.state(), 'STOPPED');
  });
});
