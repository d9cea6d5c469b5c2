// Names of hosts and processes: parsed, shown, ordered as a person would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compareNatural,
  formatNameSpec,
  parseHostId,
  parseNameSpec,
} from '../../../common/names.js';

test('numbers inside names compare as numbers', () => {
  const ordered = [
    'a',
    'a1',
    'a1b',
    'a01b',
    'a2',
    'a10',
    'a10b2',
    'a10b10',
    'b',
    'web',
    'web_9',
    'web_10',
  ];
  const shuffled = [...ordered].reverse();
  // Equal but for leading zeros: a fixed order, whichever comes first.
  const sorted = shuffled.sort(compareNatural).filter((name) => name !== 'a01b');
  assert.deepEqual(
    sorted,
    ordered.filter((name) => name !== 'a01b'),
  );
  assert.notEqual(compareNatural('a01b', 'a1b'), 0);
  assert.equal(Math.sign(compareNatural('a01b', 'a1b')), -Math.sign(compareNatural('a1b', 'a01b')));
  assert.ok(compareNatural(`x${'9'.repeat(30)}`, `x1${'0'.repeat(30)}`) < 0, 'digits beyond 2^53');
  assert.equal(compareNatural('same1', 'same1'), 0);
});

test('the order is total and consistent for names of all kinds', () => {
  const names = [
    '',
    '0',
    '00',
    '1',
    '01',
    'a',
    'a0',
    'a00',
    'a1',
    'A',
    '-',
    '1a',
    '1-',
    'ü',
    '10',
    '9',
  ];
  for (const a of names) {
    for (const b of names) {
      assert.equal(
        Math.sign(compareNatural(a, b)),
        -Math.sign(compareNatural(b, a)) + 0,
        `${a} ${b}`,
      );
      if (compareNatural(a, b) === 0) assert.equal(a, b);
      for (const c of names) {
        if (compareNatural(a, b) < 0 && compareNatural(b, c) < 0) {
          assert.ok(compareNatural(a, c) < 0, `${a} ${b} ${c}`);
        }
      }
    }
  }
});

test('a process is named by its group and itself, shortened where both are equal', () => {
  assert.deepEqual(parseNameSpec('web:a:b'), { group: 'web', process: 'a:b' });
  assert.deepEqual(parseNameSpec('web'), { group: 'web', process: 'web' });
  assert.equal(formatNameSpec({ group: 'web', process: 'web' }), 'web');
  assert.equal(formatNameSpec({ group: 'web', process: 'a' }), 'web:a');
});

test('a host name is lower case and none of the reserved words', () => {
  assert.equal(parseHostId('Web1.Example'), 'web1.example');
  for (const bad of [
    '',
    'all',
    'NONE',
    'local',
    'self',
    '-a',
    'a-',
    'a b',
    'a/b',
    'x'.repeat(64),
  ]) {
    assert.equal(parseHostId(bad), undefined, bad);
  }
});
