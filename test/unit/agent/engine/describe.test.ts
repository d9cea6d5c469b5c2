// The line status shows for a process (spec process 5, spec xmlrpc 8.2).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  describe,
  formatUptime,
  type Described,
  type LocalTime,
} from '../../../../agent/engine/describe.js';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

function line(changes: Partial<Described>): string {
  return describe({
    name: 'app',
    state: 'RUNNING',
    pid: 812,
    uptimeMs: 0,
    reason: '',
    stoppedAt: undefined,
    ...changes,
  });
}

function stopped(changes: Partial<LocalTime>): string {
  const stoppedAt = { month: 11, day: 20, hour: 23, minute: 41, ...changes };
  return line({ state: 'STOPPED', stoppedAt });
}

test('uptime is H:MM:SS, with days in front from one day on', () => {
  const cases: [number, string][] = [
    [0, '0:00:00'],
    [999, '0:00:00'],
    [-5000, '0:00:00'],
    [59 * SECOND, '0:00:59'],
    [100 * SECOND, '0:01:40'],
    [HOUR - 1, '0:59:59'],
    [11 * HOUR + 61 * SECOND, '11:01:01'],
    [DAY - 1, '23:59:59'],
    [DAY, '1 day, 0:00:00'],
    [2 * DAY + 3 * HOUR + 4 * SECOND, '2 days, 3:00:04'],
  ];
  for (const [uptimeMs, expected] of cases) assert.equal(formatUptime(uptimeMs), expected);
});

test('a running process shows its pid and uptime', () => {
  assert.equal(line({ uptimeMs: 100 * SECOND }), 'pid 812, uptime 0:01:40');
});

test('BACKOFF and FATAL show the reason, or where to look', () => {
  assert.equal(line({ state: 'BACKOFF', reason: 'why' }), 'why');
  assert.equal(line({ state: 'FATAL' }), 'unknown error (try "tail app")');
});

test('STOPPED and EXITED show when, on a twelve-hour clock', () => {
  assert.equal(stopped({}), 'Nov 20 11:41 PM');
  assert.equal(stopped({ month: 1, day: 5, hour: 0, minute: 7 }), 'Jan 05 12:07 AM');
  assert.equal(stopped({ month: 12, hour: 12, minute: 0 }), 'Dec 20 12:00 PM');
  assert.equal(stopped({ month: 6, hour: 11 }), 'Jun 20 11:41 AM');
  assert.equal(
    line({ state: 'EXITED', stoppedAt: { month: 2, day: 28, hour: 13, minute: 5 } }),
    'Feb 28 01:05 PM',
  );
});

test('what never ran says so', () => {
  assert.equal(line({ state: 'STOPPED' }), 'Not started');
});

test('STARTING, STOPPING and UNKNOWN say nothing', () => {
  for (const state of ['STARTING', 'STOPPING', 'UNKNOWN'] as const) {
    assert.equal(line({ state, reason: 'why' }), '');
  }
});
