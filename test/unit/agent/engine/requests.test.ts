// What those who ask for something get to hear, and in which order requests on one process are carried out.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, driveOne, group, killed } from '../../../support/engine.js';

const off = { autostart: false };

describe('a start', () => {
  test('settles at RUNNING and carries its cause until then', () => {
    const app = driveOne(off);
    const start = app.request('start', 'app', { cause: 'why' });
    app.spawned();
    assert.equal(app.result(start), '');
    app.pass(1001);
    assert.equal(app.result(start), 'ok');
    assert.equal(app.replies(start)[0]?.facts?.state, 'RUNNING');
    assert.equal(app.replies(start)[0]?.text, '');
    const causes = app.changes().map((change) => change.kind === 'process' && change.facts.cause);
    assert.deepEqual(causes, [false, 'why', 'why']);
  });

  test('settles as SPAWN_ERROR at the first failure, while retries go on', () => {
    const app = driveOne(off);
    const start = app.request('start');
    app.spawned().exited('app', code(1));
    assert.equal(app.result(start), 'failed SPAWN_ERROR');
    assert.match(app.replies(start)[0]?.text ?? '', /Exited too quickly/);
    app.pass(1000);
    assert.equal(app.state(), 'STARTING');
    assert.equal(app.facts().cause, '');
  });

  test('that only wants to be accepted hears as soon as the child exists', () => {
    const app = driveOne(off);
    const start = app.request('start', 'app', { until: 'accepted' });
    assert.equal(app.result(start), '');
    app.spawned();
    assert.equal(app.result(start), 'ok');
    app.pass(2000);
    assert.equal(app.replies(start).length, 1);
  });

  test('that only wants to be accepted hears of a failed spawn', () => {
    const app = driveOne(off);
    const start = app.request('start', 'app', { until: 'accepted' });
    app.spawnFailed();
    assert.equal(app.result(start), 'failed SPAWN_ERROR');
  });

  test('of what runs, starts or waits to retry is ALREADY_STARTED at once', () => {
    const app = driveOne().spawned();
    assert.equal(app.result(app.request('start')), 'already ALREADY_STARTED');
    app.exited('app', code(1));
    assert.equal(app.state(), 'BACKOFF');
    assert.equal(app.result(app.request('start')), 'already ALREADY_STARTED');
    assert.equal(app.state(), 'BACKOFF');
    app.pass(1000).up();
    const last = app.request('start');
    assert.equal(app.result(last), 'already ALREADY_STARTED');
    assert.equal(app.replies(last)[0]?.text, 'it is RUNNING');
  });

  test('repeated while the first waits is answered at once, the first keeps waiting', () => {
    const app = driveOne(off);
    const first = app.request('start');
    const second = app.request('start');
    assert.equal(app.result(second), 'already ALREADY_STARTED');
    app.up();
    assert.equal(app.result(first), 'ok');
  });

  test('is ended by a stop that comes meanwhile', () => {
    const app = driveOne(off);
    const start = app.request('start');
    app.spawned();
    const stop = app.request('stop');
    assert.equal(app.result(start), 'failed ABNORMAL_TERMINATION');
    app.exited('app', killed);
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.state(), 'STOPPED');
  });

  test('during a stop waits for it, then starts', () => {
    const app = driveOne().up();
    const stop = app.request('stop');
    const start = app.request('start');
    const again = app.request('start');
    assert.equal(app.result(start), '');
    app.exited();
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.state(), 'STARTING');
    app.up();
    assert.equal(app.result(start), 'ok');
    assert.equal(app.result(again), 'already ALREADY_STARTED');
    assert.equal(app.spawns().length, 2);
  });

  test('of EXITED, FATAL and STOPPED starts', () => {
    const exited = driveOne().up().exited();
    exited.request('start');
    assert.equal(exited.state(), 'STARTING');
    const fatal = driveOne({ startRetries: 0 }).spawnFailed();
    assert.equal(fatal.state(), 'FATAL');
    fatal.request('start');
    assert.equal(fatal.state(), 'STARTING');
  });

  test('ahead of a damped restart does not wait for it', () => {
    const app = driveOne({ startMs: 0, autorestart: 'always' });
    for (let i = 0; i < 11; i++) app.spawned().exited('app', code(1));
    app.request('start');
    assert.equal(app.spawns().length, 12);
  });

  test('hears when the process becomes UNKNOWN', () => {
    const app = driveOne(off);
    const start = app.request('start');
    app.spawned();
    app.feed({ kind: 'force-unknown', name: { group: 'app', process: 'app' }, reason: 'why' });
    assert.equal(app.result(start), 'failed FAILED');
    assert.equal(app.replies(start)[0]?.text, 'why');
  });
});

describe('a stop', () => {
  test('settles when the process has ended', () => {
    const app = driveOne().up();
    const stop = app.request('stop', 'app', { cause: 'why' });
    assert.equal(app.result(stop), '');
    app.exited();
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.facts().cause, 'why');
  });

  test('that only wants to be accepted hears once the signal is on its way', () => {
    const app = driveOne().up();
    const stop = app.request('stop', 'app', { until: 'accepted' });
    assert.equal(app.result(stop), 'ok');
    assert.equal(
      app.result(app.request('stop', 'app', { until: 'accepted' })),
      'already NOT_RUNNING',
    );
    app.exited();
    assert.equal(app.replies(stop).length, 1);
  });

  test('that only wants to be accepted has one reply in BACKOFF too', () => {
    const app = driveOne().spawnFailed();
    assert.equal(app.result(app.request('stop', 'app', { until: 'accepted' })), 'ok');
  });

  test('of what does not run is NOT_RUNNING', () => {
    const app = driveOne(off);
    assert.equal(app.result(app.request('stop')), 'already NOT_RUNNING');
    assert.equal(
      app.logs().at(-1),
      "debug: attempted to kill app with sig SIGTERM but it wasn't running",
    );
  });

  test('of what is being stopped already says so when that is over', () => {
    const app = driveOne().up();
    app.request('stop');
    const second = app.request('stop');
    assert.equal(app.result(second), '');
    app.exited();
    assert.equal(app.result(second), 'already NOT_RUNNING');
  });

  test('is mentioned in the log at once and every two seconds while somebody waits', () => {
    const app = driveOne().up();
    app.request('stop');
    const count = () =>
      app.logs().filter((line) => line === 'info: waiting for app to stop').length;
    assert.equal(count(), 1);
    app.pass(1999);
    assert.equal(count(), 1);
    app.pass(1);
    assert.equal(count(), 2);
    app.pass(2000);
    assert.equal(count(), 3);
    app.exited().pass(10_000);
    assert.equal(count(), 3);
  });

  test('is not mentioned when nobody waits', () => {
    const app = driveOne().up();
    app.request('stop', 'app', { until: 'accepted' });
    app.pass(5000);
    assert.ok(!app.logs().includes('info: waiting for app to stop'));
  });

  test('ends a restart that is still stopping, and is told that the process was stopping', () => {
    const app = driveOne().up();
    const restart = app.request('restart');
    const stop = app.request('stop');
    assert.equal(app.result(restart), 'failed ABNORMAL_TERMINATION');
    app.exited();
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.result(stop), 'already NOT_RUNNING');
  });

  test('behind a waiting start ends what that start began', () => {
    const app = driveOne().up();
    app.request('stop');
    const start = app.request('start');
    const stop = app.request('stop');
    app.exited();
    assert.equal(app.result(start), 'failed ABNORMAL_TERMINATION');
    app.spawned().exited();
    assert.equal(app.result(stop), 'ok');
    assert.equal(app.state(), 'STOPPED');
  });
});

describe('a restart', () => {
  test('stops, starts, and settles at RUNNING', () => {
    const app = driveOne().up();
    const restart = app.request('restart', 'app', { cause: 'why' });
    assert.equal(app.state(), 'STOPPING');
    app.exited('app', killed);
    assert.equal(app.state(), 'STARTING');
    assert.equal(app.facts().cause, 'why');
    assert.equal(app.result(restart), '');
    app.up();
    assert.equal(app.result(restart), 'ok');
    assert.equal(app.replies(restart)[0]?.facts?.spawn, 2);
  });

  test('of what does not run only starts', () => {
    const app = driveOne(off);
    const restart = app.request('restart');
    assert.equal(app.state(), 'STARTING');
    app.up();
    assert.equal(app.result(restart), 'ok');
  });

  test('fails at the first BACKOFF', () => {
    const app = driveOne().up();
    const restart = app.request('restart');
    app.exited().spawned().exited('app', code(1));
    assert.equal(app.result(restart), 'failed SPAWN_ERROR');
  });

  test('in BACKOFF starts at once with all its retries', () => {
    const app = driveOne().spawnFailed();
    const restart = app.request('restart');
    assert.equal(app.state(), 'STARTING');
    assert.equal(app.facts().attempts, 0);
    app.up();
    assert.equal(app.result(restart), 'ok');
  });

  test('that only wants to be accepted hears at once and is carried out all the same', () => {
    const app = driveOne().up();
    const restart = app.request('restart', 'app', { until: 'accepted' });
    assert.equal(app.result(restart), 'ok');
    app.exited().up();
    assert.equal(app.state(), 'RUNNING');
    assert.equal(app.replies(restart).length, 1);
  });

  test('during a stop of another waits and then starts', () => {
    const app = driveOne().up();
    app.request('stop');
    const restart = app.request('restart');
    app.exited().up();
    assert.equal(app.result(restart), 'ok');
  });

  test('twice at once is done twice, one after the other', () => {
    const app = driveOne().up();
    const first = app.request('restart');
    const second = app.request('restart');
    app.exited().up();
    assert.equal(app.result(first), 'ok');
    assert.equal(app.result(second), '');
    assert.equal(app.state(), 'STOPPING');
    app.exited().up();
    assert.equal(app.result(second), 'ok');
    assert.equal(app.spawns().length, 3);
  });

  test('fails when its stop signal cannot be delivered', () => {
    const app = driveOne().up();
    const restart = app.request('restart');
    app.outcome({ error: 'EPERM' });
    assert.equal(app.result(restart), 'failed FAILED');
    assert.equal(app.exited().state(), 'STOPPED');
  });

  test('before the pid is known stops the child first', () => {
    const app = driveOne();
    const restart = app.request('restart');
    app.spawned();
    assert.equal(app.state(), 'STOPPING');
    app.exited().up();
    assert.equal(app.result(restart), 'ok');
  });
});

describe('a process that is being stopped by nobody’s request', () => {
  const stopping = () => {
    const app = driveOne().up().config([]);
    return app.config([group('app', ['app'], { autostart: false })]);
  };

  test('has a stop that wants to be accepted answered at once, one that wants to wait waiting', () => {
    const app = stopping();
    assert.equal(
      app.result(app.request('stop', 'app', { until: 'accepted' })),
      'already NOT_RUNNING',
    );
    const settled = app.request('stop');
    assert.equal(app.result(settled), '');
    app.exited();
    assert.equal(app.result(settled), 'already NOT_RUNNING');
    assert.equal(app.signals().length, 1);
  });

  test('is reported every two seconds to who waits for its stop', () => {
    const app = stopping();
    app.request('stop');
    assert.equal(app.engine.deadlineMs(), app.nowMs + 2000);
  });

  test('starts again for a start or restart, whatever they want to wait for', () => {
    for (const kind of ['start', 'restart'] as const) {
      const app = stopping();
      const request = app.request(kind, 'app', { until: 'accepted' });
      assert.equal(app.result(request), '');
      app.exited().spawned();
      assert.equal(app.result(request), 'ok');
      const other = stopping();
      const settled = other.request(kind);
      other.exited().up();
      assert.equal(other.result(settled), 'ok');
    }
  });
});
