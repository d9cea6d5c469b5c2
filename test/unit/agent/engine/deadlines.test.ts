// Which process is due next.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../../../../agent/engine/deadlines.js';
import { NEW_RECORD } from '../../../../agent/engine/facts.js';
import type { Slot } from '../../../../agent/engine/requests.js';
import { policy } from '../../../support/engine.js';

function slot(name: string): Slot {
  const process = {
    name: { group: name, process: name },
    groupPriority: 1,
    policy: policy(),
    status: { state: 'STOPPED' as const },
    record: NEW_RECORD,
  };
  return { process, retiring: false, seen: [], active: undefined, queue: [] };
}

const names = (slots: Iterable<Slot>) =>
  [...slots].map(({ process }) => process.name.process).sort();

test('nothing is due where nothing is set', () => {
  const deadlines = new Deadlines();
  assert.equal(deadlines.nextMs(), undefined);
  assert.deepEqual(names(deadlines.takeDue(1000)), []);
});

test('the earliest counts, whatever the order of setting', () => {
  // Every order of five moments.
  const orders = (items: number[]): number[][] =>
    items.length === 0
      ? [[]]
      : items.flatMap((item) =>
          orders(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
        );
  for (const order of orders([10, 20, 30, 40, 50])) {
    const deadlines = new Deadlines();
    for (const dueMs of order) deadlines.set(slot(`at${dueMs}`), dueMs);
    for (const dueMs of [10, 20, 30, 40, 50]) {
      assert.equal(deadlines.nextMs(), dueMs, order.join());
      assert.deepEqual(names(deadlines.takeDue(dueMs)), [`at${dueMs}`], order.join());
    }
    assert.equal(deadlines.nextMs(), undefined);
  }
});

test('all that are due are taken, once', () => {
  const deadlines = new Deadlines();
  const [a, b, c] = [slot('a'), slot('b'), slot('c')];
  deadlines.set(a, 10);
  deadlines.set(b, 10);
  deadlines.set(c, 11);
  assert.deepEqual(names(deadlines.takeDue(9)), []);
  assert.deepEqual(names(deadlines.takeDue(10)), ['a', 'b']);
  assert.deepEqual(names(deadlines.takeDue(10)), []);
  deadlines.set(a, 10);
  assert.deepEqual(names(deadlines.takeDue(20)), ['a', 'c']);
});

test('a moved moment counts only where it is now', () => {
  const deadlines = new Deadlines();
  const [a, b] = [slot('a'), slot('b')];
  deadlines.set(a, 10);
  deadlines.set(b, 30);
  deadlines.set(a, 50);
  assert.equal(deadlines.nextMs(), 30);
  deadlines.set(a, 20);
  assert.equal(deadlines.nextMs(), 20);
  assert.deepEqual(names(deadlines.takeDue(40)), ['a', 'b']);
  assert.equal(deadlines.nextMs(), undefined);
});

test('a removed moment does not come', () => {
  const deadlines = new Deadlines();
  const a = slot('a');
  deadlines.set(a, 10);
  deadlines.set(a, undefined);
  assert.equal(deadlines.nextMs(), undefined);
  assert.deepEqual(names(deadlines.takeDue(100)), []);
  deadlines.set(a, 10);
  assert.equal(deadlines.nextMs(), 10);
});
