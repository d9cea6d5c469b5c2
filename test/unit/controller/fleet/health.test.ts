// A host's states, from its sessions and heartbeats alone: every edge, each on time (spec fleet 4).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heartbeatMs, HEALTH_TIMES, HostHealth } from '../../../../controller/fleet/health.js';

/** A host that is up at `nowMs` = 0, heard on the session. */
function upHost(): HostHealth {
  const host = new HostHealth(HEALTH_TIMES, 0);
  host.register(false, 2_000, 0);
  host.evaluate(0);
  host.snapshotComplete();
  host.beat('session', 1, 0);
  host.evaluate(0);
  assert.equal(host.state, 'up');
  return host;
}

/** Evaluates every 100 ms; returns when each state began. */
function watch(host: HostHealth, fromMs: number, toMs: number): Record<string, number> {
  const began: Record<string, number> = {};
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 100) {
    const change = host.evaluate(nowMs);
    if (change !== undefined) began[change.to] = nowMs;
  }
  return began;
}

test('a registered host is joining until its snapshot is complete', () => {
  const host = new HostHealth(HEALTH_TIMES, 0);
  host.register(false, 2_000, 0);
  assert.deepEqual(host.evaluate(0), { from: 'unknown', to: 'joining' });
  host.snapshotComplete();
  assert.deepEqual(host.evaluate(1), { from: 'joining', to: 'up' });
});

test('a silent host is suspect after 3 heartbeats and down after 7.5, on time (D11)', () => {
  const began = watch(upHost(), 0, 30_000);
  assert.equal(began['suspect'], 6_000);
  assert.equal(began['down'], 15_000);
});

test('heartbeats on either path keep a host up', () => {
  const host = upHost();
  for (let nowMs = 0; nowMs < 60_000; nowMs += 2_000) {
    host.beat(nowMs < 30_000 ? 'session' : 'bus', 1, nowMs);
    host.evaluate(nowMs);
    assert.equal(host.state, 'up');
  }
});

test('a broken session makes a host suspect within 3 s, and down no later than silence does', () => {
  const host = upHost();
  host.sessionClosed(500);
  const began = watch(host, 500, 20_000);
  assert.ok((began['suspect'] ?? Infinity) <= 3_500);
  assert.equal(began['down'], 15_000);
});

test('a broken session is forgiven while the bus goes on', () => {
  const host = upHost();
  host.beat('bus', 1, 0);
  host.sessionClosed(500);
  for (let nowMs = 1_000; nowMs < 30_000; nowMs += 100) {
    if (nowMs % 2_000 === 0) host.beat('bus', 1, nowMs);
    host.evaluate(nowMs);
    assert.equal(host.state, 'up', `at ${nowMs}`);
  }
  assert.equal(host.path(30_000), 'bus-only');
});

test('an agent back within 13 s was never down', () => {
  const host = upHost();
  host.sessionClosed(100);
  const began = watch(host, 100, 12_900);
  host.register(false, 2_000, 13_000);
  host.evaluate(13_000);
  assert.equal(began['down'], undefined);
  assert.equal(host.state, 'joining');
});

test('a reconnection of the same life is up at once', () => {
  const host = upHost();
  host.sessionClosed(100);
  host.register(true, 2_000, 200);
  assert.equal(host.evaluate(200), undefined);
  assert.equal(host.state, 'up');
});

test('a host that left stays so, whatever was still under way, until it comes back', () => {
  const host = upHost();
  host.leave(1);
  host.evaluate(100);
  host.beat('bus', 1, 200);
  host.sessionClosed(300);
  watch(host, 300, 60_000);
  assert.equal(host.state, 'left');
  host.register(false, 2_000, 61_000);
  host.evaluate(61_000);
  assert.equal(host.state, 'joining');
});

test('a known host that is not heard is unknown for 60 s, then down', () => {
  const host = new HostHealth(HEALTH_TIMES, 0);
  const began = watch(host, 0, 70_000);
  assert.deepEqual(began, { down: 60_000 });
});

test('a late observer moves every deadline by how late it was (D13)', () => {
  const host = upHost();
  host.shift(20_000, 20_000);
  assert.equal(host.evaluate(20_000), undefined);
  const began = watch(host, 20_000, 40_000);
  assert.equal(began['suspect'], 26_000);
  assert.equal(began['down'], 35_000);
});

test('one path for 60 s is a partition, both paths end it', () => {
  const host = upHost();
  for (let nowMs = 0; nowMs <= 60_000; nowMs += 1_000) {
    host.beat('session', 1, nowMs);
    host.evaluate(nowMs);
    assert.equal(host.isPartitioned(nowMs), nowMs >= 60_000, `at ${nowMs}`);
  }
  host.beat('bus', 1, 61_000);
  host.evaluate(61_000);
  assert.equal(host.path(61_000), 'both');
  assert.equal(host.isPartitioned(61_000), false);
});

test('four changes between up and not-up in 10 minutes are flapping, 10 quiet minutes are not', () => {
  const host = upHost();
  let nowMs = 0;
  const outage = (): void => {
    nowMs += 7_000;
    host.evaluate(nowMs);
    assert.equal(host.state, 'suspect');
    host.beat('session', 1, nowMs);
    host.evaluate(nowMs);
  };
  outage();
  assert.equal(host.isFlapping(nowMs), false);
  outage();
  assert.equal(host.isFlapping(nowMs), true);
  assert.equal(host.isFlapping(nowMs + 600_000), false);
});

test('large fleets beat slower and are given longer', () => {
  assert.equal(heartbeatMs(HEALTH_TIMES, 3), 2_000);
  assert.equal(heartbeatMs(HEALTH_TIMES, 5_000), 10_000);
  const host = new HostHealth(HEALTH_TIMES, 0);
  host.register(true, 10_000, 0);
  const began = watch(host, 0, 100_000);
  assert.equal(began['suspect'], 30_000);
  assert.equal(began['down'], 75_000);
});
