// Values from callbacks to one reader: order, bounds, failure, the producer's patience.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel } from '../../../controller/channel.js';
import { settle } from '../../support/sim-clock.js';

const never = new AbortController().signal;

test('a reader gets every value in order, also those from before it came, and then the end', async () => {
  const channel = new Channel<number>();
  channel.push(1);
  const got: number[] = [];
  const reading = (async () => {
    for await (const value of channel.take(never)) got.push(value);
  })();
  await settle();
  channel.push(2);
  await settle();
  assert.deepEqual(got, [1, 2]);
  channel.push(3);
  channel.close();
  channel.push(4);
  await reading;
  assert.deepEqual(got, [1, 2, 3]);
});

test('beyond its bound the oldest values are lost and counted', () => {
  const channel = new Channel<number>(2);
  for (const value of [1, 2, 3, 4]) channel.push(value);
  assert.equal(channel.takeLost(), 2);
  assert.equal(channel.takeLost(), 0);
  assert.deepEqual(channel.drain(), [3, 4]);
});

test('a failure reaches the reader after what is there', async () => {
  const channel = new Channel<number>();
  channel.push(1);
  channel.fail(new Error('broken'));
  const reader = channel.take(never);
  assert.equal((await reader.next()).value, 1);
  await assert.rejects(reader.next(), /broken/);
});

test('a producer waits for its reader', async () => {
  const channel = new Channel<number>();
  channel.push(1);
  channel.push(2);
  let went = false;
  const waiting = channel.roomBelow(2, never).then(() => (went = true));
  await settle();
  assert.equal(went, false);
  channel.drain();
  await waiting;
  assert.equal(went, true);
});

test('an abort ends the reader and frees the producer', async () => {
  const stop = new AbortController();
  const channel = new Channel<number>();
  const reading = channel.ready(stop.signal);
  channel.push(1);
  const full = channel.roomBelow(1, stop.signal);
  assert.equal(await reading, true);
  stop.abort();
  await full;
  channel.drain();
  assert.equal(await channel.ready(stop.signal), false);
});
