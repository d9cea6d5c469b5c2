// What is remembered of commands and of rollouts, and for how long (spec fleet D31, D39).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandMemory, type MemoryRecord } from '../../../../agent/link/command-memory.js';

const LIMITS = { commandsMax: 3, ageMsMax: 1_000, rolloutsMax: 2 };
const key = (id: string) => ({ id, group: 'app', process: 'web' });
const OK = { outcome: 'ok', fault: '', message: '' } as const;

test('an id is unknown, then running, then has its result', () => {
  const memory = new CommandMemory();
  assert.equal(memory.lookup(key('a')), undefined);
  memory.intend(key('a'), 0);
  assert.deepEqual(memory.lookup(key('a')), { kind: 'running' });
  memory.finish(key('a'), OK);
  assert.deepEqual(memory.lookup(key('a')), { kind: 'result', result: OK });
});

test('the same id on another target is another command', () => {
  const memory = new CommandMemory();
  memory.intend(key('a'), 0);
  assert.equal(memory.lookup({ ...key('a'), process: 'other' }), undefined);
});

test('beyond the number the oldest is forgotten', () => {
  const memory = new CommandMemory(LIMITS);
  for (const id of ['a', 'b', 'c', 'd']) {
    memory.intend(key(id), 0);
    memory.finish(key(id), OK);
  }
  assert.equal(memory.lookup(key('a')), undefined);
  assert.notEqual(memory.lookup(key('b')), undefined);
});

test('beyond the age the oldest are forgotten', () => {
  const memory = new CommandMemory(LIMITS);
  memory.intend(key('a'), 0);
  memory.finish(key('a'), OK);
  memory.intend(key('b'), 1_001);
  assert.equal(memory.lookup(key('a')), undefined);
});

test('what is running is not forgotten, however old', () => {
  const memory = new CommandMemory(LIMITS);
  memory.intend(key('a'), 0);
  for (const id of ['b', 'c', 'd', 'e']) memory.intend(key(id), 5_000);
  assert.deepEqual(memory.lookup(key('a')), { kind: 'running' });
});

test('an intent of an earlier life without a result is interrupted', () => {
  const before: MemoryRecord[] = [
    { kind: 'intent', ...key('a'), action: 'stop', actor: 'u', wallMs: 0 },
    { kind: 'intent', ...key('b'), action: 'stop', actor: 'u', wallMs: 0 },
    { kind: 'result', ...key('b'), ...OK, wallMs: 0 },
    { kind: 'intent', ...key('c'), action: 'stop', actor: 'u', wallMs: 0 },
    { kind: 'forget', ...key('c') },
  ];
  const memory = new CommandMemory();
  for (const record of before) memory.recall(record, 0);
  assert.deepEqual(memory.lookup(key('a')), { kind: 'interrupted' });
  assert.deepEqual(memory.lookup(key('b')), { kind: 'result', result: OK });
  assert.equal(memory.lookup(key('c')), undefined);
});

test('its own records bring back the same memory', () => {
  const memory = new CommandMemory();
  memory.intend(key('a'), 10);
  memory.finish(key('a'), OK);
  memory.raiseFence({ id: 'r', fence: 3, step: 4 });
  const again = new CommandMemory();
  for (const record of memory.records((atMs) => atMs)) again.recall(record, 0);
  assert.deepEqual(again.lookup(key('a')), { kind: 'result', result: OK });
  assert.notEqual(again.higherFence({ id: 'r', fence: 3, step: 3 }), undefined);
  assert.equal(again.size, memory.size);
});

for (const [fence, step, may] of [
  [5, 2, true],
  [5, 3, true],
  [6, 1, true],
  [5, 1, false],
  [4, 9, false],
] as const) {
  test(`after fence 5, step 2 an executor with fence ${fence}, step ${step} ${may ? 'may' : 'may not'} act`, () => {
    const memory = new CommandMemory();
    memory.raiseFence({ id: 'r', fence: 5, step: 2 });
    const higher = memory.higherFence({ id: 'r', fence, step });
    assert.equal(higher === undefined, may);
    assert.equal(memory.higherFence({ id: 'other', fence: 1, step: 1 }), undefined);
  });
}

test('rollouts are bounded, the one that acted longest ago goes', () => {
  const memory = new CommandMemory(LIMITS);
  for (const id of ['r1', 'r2', 'r3']) memory.raiseFence({ id, fence: 9, step: 9 });
  assert.equal(memory.higherFence({ id: 'r1', fence: 1, step: 1 }), undefined);
  assert.notEqual(memory.higherFence({ id: 'r2', fence: 1, step: 1 }), undefined);
});
