// How samples of the benchmarks become medians, factors and verdicts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, quantile, type Row } from '../../../../tools/bench/stats.js';
import { renderTable } from '../../../../tools/bench/table.js';

const row = (part: Partial<Row>): Row => ({
  ...{ name: 'restart all', unit: 'ms', better: 'less' },
  samples: { supervisord: [900, 1000, 5000], fleetvisor: [90, 100, 101] },
  ...part,
});

test('a quantile lies between its neighbours', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([1, 2], 0.5), 1.5);
  assert.equal(quantile([0, 100], 0.99), 99);
});

test('less is better: the factor is theirs by ours, at the medians', () => {
  const verdict = judge(row({ goal: { kind: 'times', atLeast: 10 } }));
  assert.equal(verdict.times, 10);
  assert.equal(verdict.isMet, true);
});

test('more is better: the factor is ours by theirs', () => {
  const verdict = judge(row({ better: 'more', goal: { kind: 'times', atLeast: 1 } }));
  assert.equal(verdict.times, 0.1);
  assert.equal(verdict.isMet, false);
});

test('a goal in figures is about our median alone', () => {
  const samples = { fleetvisor: [10, 40, 60] };
  assert.equal(judge(row({ samples, goal: { kind: 'atMost', value: 40 } })).isMet, true);
  assert.equal(judge(row({ samples, goal: { kind: 'atMost', value: 39 } })).isMet, false);
});

test('without supervisord a factor is neither met nor missed', () => {
  const verdict = judge(
    row({ samples: { supervisord: [], fleetvisor: [1] }, goal: { kind: 'times', atLeast: 2 } }),
  );
  assert.equal(verdict.times, undefined);
  assert.equal(verdict.isMet, undefined);
});

test('the table shows median, spread, factor, goal and verdict of each row, notes below', () => {
  const text = renderTable([
    judge(row({ goal: { kind: 'times', atLeast: 20 }, note: 'over the socket' })),
  ]);
  assert.match(text, /1,000 \(900\.\.5,000\) +100 \(90\.\.101\) +10x +>= 20x +NO/);
  assert.match(text, /\n\nrestart all: over the socket$/);
});
