// Exit codes, row by row (spec fleet 8).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  exitOfResults,
  exitOfRollout,
  exitOfStatus,
  type StatusSeen,
  type Tally,
} from '../../../cli/exit.js';

const RESULTS: readonly (readonly [Tally, number, number])[] = [
  [{ ok: 3 }, 0, 0],
  [{ ok: 1, already: 1 }, 0, 0],
  [{ already: 2 }, 0, 0],
  [{ failed: 1 }, 0, 1],
  [{ unreachable: 2 }, 0, 1],
  [{ conflict: 1, busy: 1, skipped: 1 }, 0, 1],
  [{ ok: 1, failed: 1 }, 0, 20],
  [{ already: 1, unreachable: 1 }, 0, 20],
  [{ timeout: 1 }, 0, 21],
  [{ ok: 5, interrupted: 1 }, 0, 21],
  [{ ok: 1, failed: 1, timeout: 1 }, 0, 21],
  [{ locked: 1 }, 0, 24],
  [{ ok: 1, locked: 1, timeout: 1 }, 0, 24],
  [{ denied: 1 }, 0, 4],
  [{ denied: 1, locked: 1, timeout: 1, ok: 1 }, 0, 4],
  [{ ok: 1 }, 1, 2],
  [{ denied: 1 }, 1, 2],
  [{}, 0, 2],
  [{}, 1, 2],
];
for (const [tally, problems, exit] of RESULTS) {
  test(`${JSON.stringify(tally)} and ${problems} unmatched selectors: ${exit}`, () => {
    assert.equal(exitOfResults(tally, problems), exit);
  });
}

const STATUS: readonly (readonly [StatusSeen, number])[] = [
  [
    { states: ['RUNNING', 'STARTING', 'BACKOFF', 'STOPPING'], freshness: ['fresh'], problems: 0 },
    0,
  ],
  [{ states: [], freshness: [], problems: 0 }, 0],
  [{ states: ['RUNNING', 'STOPPED'], freshness: ['fresh'], problems: 0 }, 3],
  [{ states: ['EXITED'], freshness: ['fresh'], problems: 0 }, 3],
  [{ states: ['FATAL'], freshness: ['fresh'], problems: 0 }, 3],
  [{ states: ['UNKNOWN'], freshness: ['fresh'], problems: 0 }, 3],
  [{ states: ['RUNNING'], freshness: ['fresh', 'stale'], problems: 0 }, 4],
  [{ states: ['STOPPED'], freshness: ['lost'], problems: 0 }, 4],
  [{ states: ['STOPPED'], freshness: ['fresh'], problems: 1 }, 4],
];
for (const [seen, exit] of STATUS) {
  test(`status ${JSON.stringify(seen)}: ${exit}`, () => {
    assert.equal(exitOfStatus(seen), exit);
  });
}

test('a rollout has an exit code when it stands still', () => {
  const codes = ['completed', 'paused', 'aborted', 'failed', 'running', 'planned', 'aborting'];
  assert.deepEqual(codes.map(exitOfRollout), [0, 22, 23, 23, undefined, undefined, undefined]);
});
