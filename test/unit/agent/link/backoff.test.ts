// Reconnect delays: bounds of spec fleet 3.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jitteredMs, retryDelayMs } from '../../../../agent/link/backoff.js';

const ALMOST_ONE = 1 - 2 ** -32;

for (const [attempt, bound] of [
  [0, 500],
  [1, 1_000],
  [2, 2_000],
  [5, 16_000],
  [6, 30_000],
  [7, 30_000],
  [5_000, 30_000],
] as const) {
  test(`attempt ${attempt} waits between 0 and ${bound} ms`, () => {
    assert.equal(retryDelayMs(attempt, 0), 0);
    assert.ok(retryDelayMs(attempt, ALMOST_ONE) <= bound);
    assert.ok(retryDelayMs(attempt, ALMOST_ONE) > bound * 0.99);
  });
}

test('heartbeats vary by a tenth to either side', () => {
  assert.equal(Math.round(jitteredMs(2_000, 0)), 1_800);
  assert.ok(jitteredMs(2_000, ALMOST_ONE) <= 2_200);
});
