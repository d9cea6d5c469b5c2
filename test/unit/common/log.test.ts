// A daemon's log: one bounded JSON object a line, whatever is logged, and never an exception.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../common/log.js';

function logTo(lines: string[], level: 'error' | 'warn' | 'info' | 'debug' = 'info') {
  return createLogger({ level, write: (line) => lines.push(line), wallMs: () => 0 });
}

test('a line is one JSON object with stamp, level, message and fields', () => {
  const lines: string[] = [];
  logTo(lines).with({ fleet: 'f' }).info('session opened', { host: 'web1', epoch: 3 });
  assert.deepEqual(lines, [
    '{"at":"1970-01-01T00:00:00.000Z","level":"info","message":"session opened","fleet":"f","host":"web1","epoch":3}\n',
  ]);
});

test('what is less urgent than the level is not written', () => {
  const lines: string[] = [];
  const log = logTo(lines, 'warn');
  log.info('a');
  log.debug('b');
  log.warn('c');
  log.error('d');
  assert.equal(lines.length, 2);
});

test('a line break in a field does not break the line', () => {
  const lines: string[] = [];
  logTo(lines).info('x', { reason: 'a\nb' });
  assert.equal(lines[0]?.split('\n').length, 2);
});

test('a line is bounded and still one JSON object', () => {
  const lines: string[] = [];
  logTo(lines).info('x', { reason: 'y'.repeat(1_000_000) });
  assert.ok((lines[0]?.length ?? 0) < 20_000);
  JSON.parse(lines[0] as string);
});

test('a log that cannot be written does not throw', () => {
  const write = (): never => {
    throw new Error('EPIPE');
  };
  createLogger({ level: 'info', write, wallMs: () => 0 }).info('x');
});
