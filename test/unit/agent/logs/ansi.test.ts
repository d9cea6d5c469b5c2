// strip_ansi as Supervisor does it, oddities included.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripAnsi } from '../../../../agent/logs/ansi.js';

const strip = (text: string): string => Buffer.from(stripAnsi(Buffer.from(text))).toString();

test('sequences vanish up to their final letter, text stays', () => {
  assert.equal(strip('\x1b[31mred\x1b[0m plain'), 'red plain');
  assert.equal(strip('no escapes'), 'no escapes');
  assert.equal(strip('a\x1b[2Kb\x1b[10;20Hc'), 'abc');
});

test('an unknown letter swallows text up to the next known one; other escapes stay', () => {
  assert.equal(strip('\x1b[3Xtext\x1b[0mend'), 'end');
  assert.equal(strip('\x1b]0;title\x07x'), '\x1b]0;title\x07x');
  assert.equal(strip('cut\x1b[3'), 'cut');
});
