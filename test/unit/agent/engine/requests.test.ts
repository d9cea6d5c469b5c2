// What those who ask for something get to hear, and in which order requests on one process are carried out.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, Driver, driveOne, group, killed } from '../../../support/engine.js';

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

describe('any request', () => {
  test('for a name that does not exist is BAD_NAME', () => {
    const app = driveOne();
    assert.equal(app.result(app.request('start', 'nope')), 'failed BAD_NAME');
    assert.equal(app.replies(1)[0]?.text, 'there is no process nope:nope');
    assert.equal(app.replies(1)[0]?.facts, undefined);
    assert.equal(app.result(app.signal('nope')), 'failed BAD_NAME');
  });

  test('on a spawn that is over is a conflict, when its turn comes', () => {
    const app = driveOne().up();
    assert.equal(app.result(app.request('restart', 'app', { ifSpawn: 9 })), 'conflict FAILED');
    assert.equal(app.state(), 'RUNNING');
    app.request('restart', 'app', { ifSpawn: 1 });
    const second = app.request('restart', 'app', { ifSpawn: 1 });
    app.exited().up();
    assert.equal(app.result(second), 'conflict FAILED');
    assert.match(app.replies(second)[0]?.text ?? '', /its last spawn is 2, not 1/);
    assert.equal(app.state(), 'RUNNING');
  });

  test('of stopping, refused as a conflict, takes nothing over', () => {
    const app = driveOne().up();
    const restart = app.request('restart');
    const stop = app.request('stop', 'app', { ifSpawn: 9 });
    assert.equal(app.result(stop), 'conflict FAILED');
    app.exited().up();
    assert.equal(app.result(restart), 'ok');
  });

  test('is busy when 256 wait already, over all processes; those that wait are still served', () => {
    const app = new Driver().config([group('pool', ['a', 'b', 'c'])]);
    for (const name of ['a', 'b', 'c']) app.up(`pool:${name}`);
    app.request('stop', 'pool:a');
    app.request('stop', 'pool:b');
    const waiting: number[] = [];
    for (let i = 0; i < 255; i++) waiting.push(app.request('start', 'pool:a'));
    waiting.push(app.request('start', 'pool:b'));
    assert.equal(app.result(waiting[255] ?? 0), '');
    const busy = app.request('start', 'pool:b');
    assert.equal(app.result(busy), 'busy FAILED');
    assert.match(app.replies(busy)[0]?.text ?? '', /^256 requests are waiting already/);
    assert.equal(app.result(app.request('start', 'pool:c')), 'already ALREADY_STARTED');
    app.exited('pool:a').up('pool:a');
    assert.equal(app.result(waiting[0] ?? 0), 'ok');
    assert.equal(app.result(waiting[254] ?? 0), 'already ALREADY_STARTED');
    assert.equal(app.result(app.request('start', 'pool:b')), '');
  });

  /** 256 requests wait on `pool:a`. */
  const crowded = () => {
    const app = new Driver().config([group('pool', ['a']), group('more', ['b', 'c'])]);
    app.up('pool:a').up('more:b');
    app.request('stop', 'pool:a');
    for (let i = 0; i < 256; i++) app.request('start', 'pool:a');
    return app;
  };

  test('that would be the first to wait is busy too, one that need not wait is not', () => {
    const app = crowded();
    app.request('stop', 'more:b');
    assert.equal(app.result(app.request('start', 'more:b')), 'busy FAILED');
    assert.equal(app.result(app.request('stop', 'more:c')), '');
    assert.equal(app.state('more:c'), 'STARTING');
  });

  test('that takes over a start does not wait, unless others wait before it', () => {
    const app = crowded();
    app.exited('more:b', code(0));
    const start = app.request('start', 'more:b');
    const stop = app.request('stop', 'more:b');
    assert.equal(app.result(start), 'failed ABNORMAL_TERMINATION');
    assert.equal(app.result(stop), '');
    const other = crowded();
    other.exited('pool:a').spawned('pool:a');
    assert.equal(other.result(other.request('restart', 'pool:a')), '');
    assert.equal(other.result(other.request('stop', 'pool:a')), 'busy FAILED');
  });

  test('that cannot take over what is under way waits, and is busy when too many do', () => {
    const app = crowded();
    app.request('start', 'more:c');
    app.exited('more:b', code(0)).request('start', 'more:b');
    app.spawned('more:b');
    assert.equal(app.result(app.request('restart', 'more:b')), 'busy FAILED');
    const other = crowded();
    other.request('stop', 'more:b');
    assert.equal(other.result(other.request('stop', 'more:b')), 'busy FAILED');
  });

  test('that would take over a start is busy when one other waits before it', () => {
    const app = new Driver().config([
      group('pool', ['a']),
      group('more', ['b'], { autostart: false }),
    ]);
    app.up('pool:a').request('stop', 'pool:a');
    for (let i = 0; i < 255; i++) app.request('start', 'pool:a');
    app.request('start', 'more:b');
    assert.equal(app.result(app.request('restart', 'more:b')), '');
    assert.equal(app.result(app.request('stop', 'more:b')), 'busy FAILED');
  });

  test('leaves room again when it is dropped with its process', () => {
    const app = crowded();
    app.config([group('more', ['b', 'c'])]);
    app.request('stop', 'more:b');
    assert.equal(app.result(app.request('start', 'more:b')), '');
  });

  test('to stop what has ended is NOT_RUNNING', () => {
    const app = driveOne().up().exited();
    assert.equal(app.result(app.request('stop')), 'already NOT_RUNNING');
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
