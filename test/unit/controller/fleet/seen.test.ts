// One event by two paths counts once, in bounded memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenEvents } from '../../../../controller/fleet/seen.js';

test('an event counts once, on whichever path it comes, in whatever order', () => {
  const seen = new SeenEvents();
  const order = [3, 1, 2, 3, 1, 5, 4, 5];
  assert.deepEqual(
    order.map((seq) => seen.add('web1', 1, seq)),
    [true, true, true, false, false, true, true, false],
  );
});

test('sources and lives are told apart', () => {
  const seen = new SeenEvents();
  assert.ok(seen.add('web1', 1, 1));
  assert.ok(seen.add('web1', 2, 1));
  assert.ok(seen.add('web2', 1, 1));
  assert.equal(seen.add('web1', 1, 1), false);
});

test('what falls out of the window counts as seen, and memory stays bounded', () => {
  const seen = new SeenEvents();
  for (let seq = 2; seq <= 60_000; seq += 2) assert.ok(seen.add('web1', 1, seq));
  assert.equal(seen.add('web1', 1, 1), false);
  assert.equal(seen.add('web1', 1, 2), false);
  assert.ok(seen.add('web1', 1, 59_999));
});

test('a life long past counts as seen', () => {
  const seen = new SeenEvents();
  for (let epoch = 10; epoch < 20; epoch++) assert.ok(seen.add('web1', epoch, 1));
  assert.equal(seen.add('web1', 3, 1), false);
});
