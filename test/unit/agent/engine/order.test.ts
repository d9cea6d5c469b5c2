// The fixed order of starting and stopping (spec process 9).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareGroups, stopOrder } from '../../../../agent/engine/order.js';
import { group } from '../../../support/engine.js';

test('groups come by priority, then by name', () => {
  const groups = [group('b', [], {}, 2), group('a', [], {}, 10), group('a2', [], {}, 2)];
  const names = groups.sort(compareGroups).map(({ name }) => name);
  assert.deepEqual(names, ['a2', 'b', 'a']);
});

test('stopping goes down the priorities, and back through the start order among equals', () => {
  const started = [
    { name: 'a', priority: 1 },
    { name: 'b', priority: 5 },
    { name: 'c', priority: 1 },
  ];
  const names = stopOrder(started, ({ priority }) => priority).map(({ name }) => name);
  assert.deepEqual(names, ['b', 'c', 'a']);
  assert.equal(started[0]?.name, 'a');
});
