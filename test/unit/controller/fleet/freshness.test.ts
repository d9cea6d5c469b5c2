// How far rows may be trusted: by the host's state, and by how far the view trails what the host named (spec fleet D23).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostState } from '../../../../common/states.js';
import { BEHIND_MS, HostFreshness } from '../../../../controller/fleet/freshness.js';

const at = (seq: number, epoch = 1): { epoch: number; seq: number } => ({ epoch, seq });

test('each host state allows at most its freshness', () => {
  const host = new HostFreshness();
  host.snapshot(at(1), 0);
  const expected: Record<HostState, string> = {
    up: 'fresh',
    joining: 'stale',
    suspect: 'stale',
    down: 'lost',
    left: 'lost',
    unknown: 'lost',
  };
  for (const [state, freshness] of Object.entries(expected)) {
    assert.equal(host.freshness(state as HostState, 10), freshness, state);
  }
});

test('rows that trail what the host named for more than 2 s are stale, and age from when they were true', () => {
  const host = new HostFreshness();
  host.snapshot(at(1), 0);
  host.heard(at(3), at(1), 1_000);
  assert.equal(host.freshness('up', 1_000 + BEHIND_MS), 'fresh');
  assert.equal(host.freshness('up', 1_001 + BEHIND_MS), 'stale');
  assert.equal(host.ageMs(5_000), 5_000);
  host.moved(at(3), 6_000);
  assert.equal(host.freshness('up', 6_000), 'fresh');
  assert.equal(host.ageMs(6_000), 0);
});

test('a new life that the view has not seen yet makes the rows stale', () => {
  const host = new HostFreshness();
  host.snapshot(at(9), 0);
  host.heard(at(0, 2), at(9), 0);
  assert.equal(host.freshness('up', BEHIND_MS + 1), 'stale');
});

test('a heartbeat that was overtaken by a newer one proves nothing', () => {
  const host = new HostFreshness();
  host.snapshot(at(1), 0);
  host.heard(at(5), at(1), 1_000);
  host.heard(at(1), at(1), 1_100);
  assert.equal(host.freshness('up', 1_001 + BEHIND_MS), 'stale');
});
