// The one table of errors, and docs/errors.md held against it in both directions.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ERRORS,
  exitCodeOf,
  FAULTS,
  FleetError,
  isErrorCode,
  statusOf,
  type ErrorCode,
} from '../../../common/errors.js';
import { fromStatus, toStatus } from '../../../common/rpc.js';
import { ROOT } from '../../support/sources.js';

const CODES = Object.keys(ERRORS) as ErrorCode[];

test('the page lists each code with its status, exit code and fault, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` +\| ([A-Z_]+) +\| (\d+) +\| (\d*) *\|/gm)].map(
    ([, code = '', status = '', exit = '', fault = '']) => [code, status, exit, fault].join(' '),
  );
  const wanted = CODES.map((code) =>
    [code, statusOf(code), exitCodeOf(code), FAULTS[code as keyof typeof FAULTS] ?? ''].join(' '),
  );
  assert.deepEqual([...rows].sort(), [...wanted].sort());
});

test('no two words share a fault number', () => {
  const numbers = Object.values(FAULTS);
  assert.equal(new Set(numbers).size, numbers.length);
  assert.ok(!CODES.some((code) => (code as string) === 'SUCCESS'));
});

test('each error survives the way through a gRPC status', () => {
  for (const code of CODES) {
    const sent = new FleetError(code, `what: ${code}`, { hint: 'do this — ü' });
    const arrived = fromStatus(Object.assign(new Error('x'), toStatus(sent)));
    assert.deepEqual(
      [arrived.code, arrived.message, arrived.hint],
      [code, sent.message, sent.hint],
    );
  }
});

test('codes from elsewhere are known or not', () => {
  assert.ok(isErrorCode('LOCKED'));
  assert.ok(!isErrorCode('constructor'));
  assert.ok(!isErrorCode('NOPE'));
});
