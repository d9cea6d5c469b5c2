// A sample of the engine's worlds, so that every test run lives through some; `npm run sim` does more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './engine/world.js';
import { ENGINE_SEEDS } from './seeds.js';

const SAMPLE = 200;

test('seeds that once found something find nothing', () => {
  for (const { seed, found } of ENGINE_SEEDS) {
    assert.doesNotThrow(() => new World(seed).run(), `seed ${seed}: ${found}`);
  }
});

test(`${SAMPLE} worlds break no rule`, () => {
  for (let seed = 1; seed <= SAMPLE; seed++) {
    assert.doesNotThrow(() => new World(seed).run(), `replay: npm run sim -- --seed ${seed}`);
  }
});

test('the same seed is the same world', () => {
  assert.deepEqual(new World(42).run(), new World(42).run());
});

test('worlds are eventful', () => {
  const report = new World(42).run();
  assert.ok(report.spawns > 5 && report.requests > 20, JSON.stringify(report));
});
