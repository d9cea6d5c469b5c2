// What a session does with a controller that reads slowly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outgoing } from '../../../../agent/link/outgoing.js';
import { FakeStream } from '../../../support/fake-stream.js';
import { settle } from '../../../support/sim-clock.js';

function setUp() {
  const stream = new FakeStream<never, string>();
  const out = new Outgoing(stream, () => ['snapshot']);
  return { stream, out };
}

test('messages leave in the order in which they came', async () => {
  const { stream, out } = setUp();
  const all = Array.from({ length: 500 }, (_, i) => String(i));
  for (const [i, message] of all.entries()) {
    if (i % 3 === 0) out.put(message);
    else out.putEvent(message);
  }
  await settle();
  assert.deepEqual(stream.sent, all);
});

test('a reader that stopped makes it blocked, and gets everything in order when it goes on', async () => {
  const { stream, out } = setUp();
  stream.isReading = false;
  const all = Array.from({ length: 300 }, (_, i) => String(i));
  for (const message of all) out.putEvent(message);
  await settle();
  assert.equal(out.isBlocked, true);
  stream.resume();
  await settle();
  assert.equal(out.isBlocked, false);
  assert.deepEqual(stream.sent, all);
});

test('events beyond the bound are replaced by one snapshot; answers are kept', async () => {
  const { stream, out } = setUp();
  stream.isReading = false;
  for (let i = 0; i < 5_000; i++) out.putEvent(String(i));
  out.put('result');
  await settle();
  stream.resume();
  await settle();
  assert.ok(stream.sent.length < 100);
  assert.deepEqual(stream.sent.slice(-2), ['result', 'snapshot']);
  out.putEvent('after');
  await settle();
  assert.equal(stream.sent.at(-1), 'after');
});
