// What a person sees: tables that fit, ages, states that are not fresh, untrusted bytes made harmless.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINE_BYTES_MAX, LineSplitter } from '../../../../cli/render/lines.js';
import { processJson } from '../../../../cli/render/json.js';
import { describeProcess, formatState, statusCells } from '../../../../cli/render/process.js';
import { renderTable } from '../../../../cli/render/table.js';
import { fitWidth, formatAge, formatUptime, showControls } from '../../../../cli/render/text.js';
import type { HostHeader, ProcessRow } from '../../../../common/rows.js';

const HEADER: HostHeader = {
  host: 'web1',
  state: 'up',
  freshness: 'fresh',
  ageMs: 500,
  heartbeatAgeMs: 500,
  stateAgeMs: 60_000,
  epoch: 7,
  seq: 9,
  monoNowMs: 100_000,
  labels: new Map([['role', 'web']]),
  agentVersion: '0.1.0',
  path: 'both',
  clockOffsetMs: 0,
  processCount: 1,
  hostUid: 'u',
  spool: 'disk',
  address: '127.0.0.1:1',
};
const ROW: ProcessRow = {
  group: 'app',
  process: 'app_0',
  program: 'app',
  state: 'RUNNING',
  pid: 42,
  spawn: 3,
  startedMonoMs: 94_000,
  startedWallMs: Date.UTC(2026, 10, 21, 12),
  stoppedWallMs: 0,
  exit: undefined,
  reason: '',
  attempts: 0,
  seq: 5,
  groupPriority: 999,
  priority: 999,
  autostart: true,
  startMs: 1000,
  stopWaitMs: 10_000,
  cause: '',
};

test('a state is a plain word only while its host is fresh', () => {
  assert.equal(formatState('RUNNING', HEADER), 'RUNNING');
  for (const freshness of ['stale', 'lost'] as const) {
    assert.equal(
      formatState('RUNNING', { ...HEADER, freshness, ageMs: 42_900 }),
      'RUNNING? 42s ago',
    );
  }
});

test('a running process shows pid and uptime by the clock of its host', () => {
  assert.equal(describeProcess(ROW, HEADER), 'pid 42, uptime 0:00:06');
});

test('an ended process shows when and how', () => {
  const exited = {
    ...ROW,
    state: 'EXITED',
    pid: 0,
    stoppedWallMs: Date.UTC(2026, 5, 5),
    exit: { kind: 'code', code: 3 },
  } as const;
  assert.match(describeProcess(exited, HEADER), /^Jun 0[45] \d\d:\d\d [AP]M, exit code 3$/);
  assert.equal(describeProcess({ ...ROW, state: 'STOPPED', pid: 0 }, HEADER), 'Not started');
  const fatal = { ...ROW, state: 'FATAL', pid: 0, reason: 'Exited too quickly' } as const;
  assert.equal(describeProcess(fatal, HEADER), 'Exited too quickly');
  const code = { kind: 'code', code: 7 } as const;
  assert.equal(
    describeProcess({ ...fatal, exit: code }, HEADER),
    'Exited too quickly, exit code 7',
  );
  // The end of an earlier child is no part of a spawn that failed.
  const missing = { ...fatal, reason: "can't find command '/x'", exit: code };
  assert.equal(describeProcess(missing, HEADER), "can't find command '/x'");
});

test('JSON has the agreed fields in the agreed order', () => {
  const json = processJson(ROW, HEADER, 'c1');
  assert.deepEqual(
    Object.keys(json).slice(0, 17),
    'kind host group process state pid spawn started_at uptime_ms exit reason health freshness age_ms epoch seq replica'.split(
      ' ',
    ),
  );
  assert.deepEqual([json['kind'], json['uptime_ms'], json['exit']], ['process', 6000, null]);
  assert.equal(json['started_at'], '2026-11-21T12:00:00.000Z');
});

test('columns are as wide as their content and lines as long as the terminal', () => {
  const rows = [
    statusCells(ROW, HEADER),
    statusCells({ ...ROW, process: 'a-much-longer-name' }, HEADER),
  ];
  const free = renderTable(rows, { width: undefined, color: false });
  assert.deepEqual(free, [
    'web1  app:app_0               RUNNING  pid 42, uptime 0:00:06',
    'web1  app:a-much-longer-name  RUNNING  pid 42, uptime 0:00:06',
  ]);
  for (const width of [5, 20, 40, 61]) {
    const lines = renderTable(rows, { width, color: false });
    assert.ok(
      lines.every((line) => line.length <= width),
      `${width}: ${lines.join('|')}`,
    );
  }
  assert.equal(
    renderTable(rows, { width: 41, color: false })[0],
    'web1  app:app_0               RUNNING  p…',
  );
});

test('colour stands around a state only where it is asked for', () => {
  const cells = [statusCells(ROW, HEADER)];
  assert.match(
    renderTable(cells, { width: undefined, color: true })[0] ?? '',
    /\x1b\[32mRUNNING\x1b\[0m/,
  );
  assert.ok(!(renderTable(cells, { width: undefined, color: false })[0] ?? '').includes('\x1b'));
});

test('ages and uptimes', () => {
  const ages = [0, 999, 59_999, 60_000, 3_600_000, 5_430_000, 86_400_000, 90_000_000];
  assert.deepEqual(ages.map(formatAge), ['0s', '0s', '59s', '1m', '1h', '1h30m', '1d', '1d1h']);
  const uptimes = [-5, 143_000, 36_000_000, 86_400_000, 3 * 86_400_000 + 61_000];
  assert.deepEqual(uptimes.map(formatUptime), [
    '0:00:00',
    '0:02:23',
    '10:00:00',
    '1 day, 0:00:00',
    '3 days, 0:01:01',
  ]);
});

test('control characters are shown, not obeyed', () => {
  assert.equal(showControls('a\x1b[2J\r\tb\n\x7f\x9b ü'), 'a\\x1b[2J\\x0d\tb\n\\x7f\\x9b ü');
  assert.equal(fitWidth('abcdef', 4), 'abc…');
});

test('lines are put together over chunks, and a long one is continued with a mark', () => {
  const splitter = new LineSplitter();
  const push = (text: string): string[] => splitter.push(Buffer.from(text)).map(String);
  assert.deepEqual(push('one\ntw'), ['one']);
  assert.deepEqual(push('o\n\nthree'), ['two', '']);
  assert.deepEqual(splitter.flush().map(String), ['three']);
  assert.deepEqual(splitter.flush(), []);
  const [first, ...rest] = push(`${'x'.repeat(LINE_BYTES_MAX + 5)}\n`);
  assert.equal(first, `${'x'.repeat(LINE_BYTES_MAX)} …`);
  assert.deepEqual(rest, ['xxxxx']);
});
