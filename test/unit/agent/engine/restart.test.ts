// Programs that crash in a loop.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, driveOne } from '../../../support/engine.js';

describe('restarting in a loop', () => {
  const crash = (times: number, livedMs: number) => {
    const app = driveOne({ startMs: 0, autorestart: 'always' });
    for (let i = 0; i < times; i++) app.spawned().pass(livedMs).exited('app', code(1));
    return app;
  };

  test('the first ten fast ends are followed at once by a new start', () => {
    assert.equal(crash(10, 5).spawns().length, 11);
  });

  test('after that, starts are a second apart', () => {
    const app = crash(11, 5);
    assert.equal(app.spawns().length, 11);
    assert.equal(app.state(), 'EXITED');
    assert.equal(app.engine.deadlineMs(), app.nowMs + 995);
    app.pass(994);
    assert.equal(app.spawns().length, 11);
    app.pass(1);
    assert.equal(app.spawns().length, 12);
    assert.equal(app.state(), 'STARTING');
  });

  test('a child that lives for a second is not fast', () => {
    assert.equal(crash(20, 1000).spawns().length, 21);
    const app = crash(10, 999);
    app.spawned().pass(1000).exited('app', code(1));
    for (let i = 0; i < 10; i++) app.spawned().pass(5).exited('app', code(1));
    assert.equal(app.spawns().length, 22);
    app.spawned().pass(5).exited('app', code(1));
    assert.equal(app.spawns().length, 22);
  });

  test('an exit read after the second is over starts at once', () => {
    const app = crash(10, 5).spawned();
    const diedAtMs = app.nowMs + 5;
    app.nowMs += 1200;
    app.exited('app', code(1), diedAtMs);
    assert.equal(app.state(), 'STARTING');
  });
});
