// The fleet as one replica knows it, moved by sessions, heartbeats and the clock.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { FleetEvent } from '../../../common/rows.js';
import { Feed, type HostFacts } from '../../../controller/feed.js';
import { HEALTH_TIMES } from '../../../controller/fleet/health.js';
import { makeRow } from '../../support/rows.js';
import { SimClock } from '../../support/sim-clock.js';

let clock: SimClock;
let feed: Feed;
let told: string[];
let stop: AbortController;

const FACTS: HostFacts = {
  host: 'web1',
  hostUid: 'uid',
  epoch: 1,
  agentVersion: '1',
  labels: new Map(),
};

beforeEach(() => {
  clock = new SimClock();
  feed = new Feed(clock, HEALTH_TIMES);
  stop = new AbortController();
  feed.start(stop.signal);
  told = [];
  feed.subscribe({
    onHostChange: ({ host, state }, from, to) => {
      assert.equal(state, to);
      told.push(`${host} ${from} -> ${to}`);
    },
    onRowChange: (host, row, previous) =>
      told.push(`${host} ${previous?.state ?? 'none'} -> ${row.state}`),
    onRowRemoved: (host, row) => told.push(`${host} ${row.process} removed`),
    onEvent: ({ type, seq }) => told.push(`${type} ${seq}`),
  });
});

function up(): void {
  feed.register(FACTS, '10.0.0.1:1', false, 2_000);
  feed.snapshot('web1', { epoch: 1, seq: 0, rows: [makeRow()] }, 50_000);
  beat(0);
}

function beat(lastStateSeq: number): void {
  const monoMs = 50_000 + clock.nowMs();
  const head = { host: 'web1', epoch: 1, lastStateSeq, spool: 'disk' };
  feed.beat({ ...head, monoMs, wallMs: clock.wallMs() + 3_000 }, 'session');
}

function event(seq: number, state: 'EXITED' | 'FATAL'): FleetEvent {
  const row = makeRow({ state, seq });
  return {
    host: 'web1',
    hostUid: 'uid',
    epoch: 1,
    seq,
    prev: seq - 1,
    class: 'P1',
    wallMs: 0,
    monoMs: 0,
    type: 'process.state',
    group: 'app',
    process: 'app',
    cause: '',
    body: { kind: 'process-changed', from: 'RUNNING', to: state, row, expected: false },
  };
}

test('a host joins, is up, and its changes are told in order, whichever path repeats them', () => {
  up();
  feed.event(event(1, 'EXITED'));
  feed.event(event(1, 'EXITED'));
  feed.event(event(2, 'FATAL'));
  assert.deepEqual(told, [
    'web1 unknown -> joining',
    'web1 none -> RUNNING',
    'web1 joining -> up',
    'web1 RUNNING -> EXITED',
    'process.state 1',
    'web1 EXITED -> FATAL',
    'process.state 2',
  ]);
  assert.equal(feed.counts.duplicate, 1);
});

test('the header tells clock offset, monotonic now, address and age', async () => {
  up();
  await clock.advance(1_000);
  const header = feed.host('web1');
  assert.equal(header?.clockOffsetMs, 3_000);
  assert.equal(header?.monoNowMs, 51_000);
  assert.equal(header?.address, '10.0.0.1:1');
  assert.equal(header?.heartbeatAgeMs, 1_000);
  assert.equal(header?.freshness, 'fresh');
});

test('silence is noticed without anything arriving', async () => {
  up();
  told = [];
  await clock.advance(20_000);
  assert.deepEqual(told, ['web1 up -> suspect', 'web1 suspect -> down']);
  assert.equal(feed.host('web1')?.freshness, 'lost');
  assert.equal(feed.rows('web1').length, 1);
});

test('a host from the records is listed as unknown, then down, with no processes known', async () => {
  feed.know(FACTS);
  assert.equal(feed.host('web1')?.state, 'unknown');
  assert.equal(feed.hasRows('web1'), false);
  await clock.advance(61_000);
  assert.equal(feed.host('web1')?.state, 'down');
});

test('rows that trail what the heartbeat names are stale though the host is up', async () => {
  up();
  beat(4);
  for (let i = 0; i < 3; i++) {
    await clock.advance(1_000);
    beat(4);
  }
  const header = feed.host('web1');
  assert.equal(header?.state, 'up');
  assert.equal(header.freshness, 'stale');
});

test('a missing event asks for a snapshot once its time is over', async () => {
  up();
  const wanted: string[] = [];
  feed.onResyncWanted = (host) => wanted.push(host);
  feed.event(event(3, 'FATAL'));
  await clock.advance(1_500);
  assert.deepEqual(wanted, []);
  await clock.advance(1_000);
  assert.equal(wanted[0], 'web1');
});

test('events of another machine under the same name do not touch the rows', () => {
  up();
  feed.event({ ...event(1, 'FATAL'), hostUid: 'impostor' });
  assert.equal(feed.rows('web1')[0]?.state, 'RUNNING');
});

test('an observer that was stopped does not call its hosts dead', async () => {
  up();
  // The next tick comes 30 s late, as after SIGSTOP.
  const timers = clock as unknown as { now: number };
  timers.now += 30_000;
  told = [];
  await clock.advance(1_000);
  assert.deepEqual(told, []);
  assert.equal(feed.host('web1')?.state, 'up');
});
