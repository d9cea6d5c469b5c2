// The text made from pieces is the text that the structs make.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processInfo } from '../../../../agent/local/info.js';
import { encodeAllProcessInfo } from '../../../../agent/local/infocache.js';
import type { ProcessRow } from '../../../../common/rows.js';
import { encodeResponse } from '../../../../common/xmlrpc.js';

const row = (process: string, more: Partial<ProcessRow> = {}): ProcessRow => ({
  group: 'g<&>',
  process,
  program: 'p',
  state: 'RUNNING',
  pid: 12,
  spawn: 1,
  startedMonoMs: 1_000,
  startedWallMs: 1_700_000_000_000,
  stoppedWallMs: 0,
  exit: undefined,
  reason: '',
  attempts: 0,
  seq: 1,
  groupPriority: 999,
  priority: 999,
  autostart: true,
  startMs: 1_000,
  stopWaitMs: 10_000,
  cause: '',
  ...more,
});

test('rows from the cache read like rows made afresh, at any time', () => {
  const rows = [
    row('a'),
    row('b', {
      state: 'EXITED',
      pid: 0,
      stoppedWallMs: 1_700_000_100_000,
      exit: { kind: 'code', code: 3 },
    }),
    row('c', { state: 'FATAL', pid: 0, reason: "can't find command 'x'" }),
  ];
  for (const monoMs of [2_000, 90_000_000]) {
    const times = { monoMs, wallMs: 1_700_000_000_000 + monoMs };
    const wanted = encodeResponse(rows.map((each) => processInfo(each, undefined, times)));
    assert.equal(
      encodeAllProcessInfo(rows, () => undefined, times),
      wanted,
    );
  }
  const empty = encodeAllProcessInfo([], () => undefined, { monoMs: 0, wallMs: 0 });
  assert.equal(empty, encodeResponse([]));
});
