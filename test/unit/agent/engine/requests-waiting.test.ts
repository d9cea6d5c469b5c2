// Requests that cannot be carried out, must wait, or are too many (spec fleet 8 D34, D35).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { code, Driver, driveOne, group } from '../../../support/engine.js';

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
