// When the agent was stopped, what it reads next may be old (spec fleet D33).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StallWatch } from '../../../../agent/link/stall.js';

test('a session that runs on time reports no stall', () => {
  const watch = new StallWatch(0);
  watch.expect(2_000);
  assert.equal(watch.observe(1_500), 0);
  assert.equal(watch.observe(2_100), 0);
});

test('a message read before the late timer fires counts as having waited through the silence', () => {
  const watch = new StallWatch(0);
  watch.expect(2_000);
  watch.observe(500);
  assert.equal(watch.observe(60_500), 60_000);
});

test('every message of the burst behind a stall counts, the timer having fired or not', () => {
  const watch = new StallWatch(0);
  watch.expect(2_000);
  watch.observe(40_000);
  assert.equal(watch.observe(40_001), 40_000);
  watch.expect(42_000);
  assert.equal(watch.observe(40_002), 40_000);
});

test('two seconds later messages are fresh again', () => {
  const watch = new StallWatch(0);
  watch.expect(2_000);
  watch.observe(40_000);
  watch.expect(43_000);
  assert.equal(watch.observe(42_500), 0);
});
