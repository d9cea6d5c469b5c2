// Which children found at a start are whose.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planAdoption } from '../../../agent/adopt.js';
import type { Remembered } from '../../../agent/memory.js';
import type { ChildRecord } from '../../../agent/spawner.js';
import { encodeTag } from '../../../agent/tag.js';

const web = { group: 'web', process: 'web' };

function record(spawn: number, more: Partial<ChildRecord> = {}): ChildRecord {
  const tag = encodeTag({ ...web, stdout: '/l', stderr: undefined });
  return {
    spawn,
    tag,
    pid: 100 + spawn,
    startTicks: 1,
    startedAtMs: 5,
    exit: undefined,
    pipes: {},
    ...more,
  };
}

const exit = { status: { kind: 'code', code: 3 }, atMs: 9 } as const;
const running: Remembered = {
  state: 'RUNNING',
  spawn: 4,
  pid: 104,
  attempts: 0,
  reason: '',
  exit: undefined,
  lastStartAtMs: 5,
  lastStopAtMs: undefined,
};
const never = (): boolean => false;

test('a living child goes to its process, with what was remembered', () => {
  const plan = planAdoption([web], [record(4)], new Map([['web:web', running]]), never);
  assert.deepEqual(plan.adoptions, [
    { name: web, previous: running, child: { kind: 'alive', spawn: 4, pid: 104, startedAtMs: 5 } },
  ]);
  assert.deepEqual(
    plan.claimed.map(({ isAdopted, tag }) => [isAdopted, tag.stdout]),
    [[true, '/l']],
  );
  assert.deepEqual(plan.strangers, []);
});

test('an end that nobody has heard of is adopted with its true status', () => {
  const [adoption] = planAdoption([web], [record(4, { exit })], new Map(), never).adoptions;
  assert.deepEqual(adoption?.child, {
    kind: 'ended',
    spawn: 4,
    pid: 104,
    startedAtMs: 5,
    exit: { kind: 'code', code: 3 },
    atMs: 9,
  });
});

test('an end that was acknowledged is only drained', () => {
  const known = record(4, { exit: { ...exit, acknowledged: true } });
  const plan = planAdoption([web], [known], new Map(), never);
  assert.deepEqual(plan.adoptions, []);
  assert.deepEqual(
    plan.claimed.map(({ isAdopted }) => isAdopted),
    [false],
  );
});

test('of two living children the younger is kept and the other left alone', () => {
  const plan = planAdoption([web], [record(4), record(9)], new Map(), never);
  assert.deepEqual(
    plan.adoptions.map(({ child }) => child.kind !== 'none' && child.spawn),
    [9],
  );
  assert.deepEqual(
    plan.strangers.map((stranger) => stranger.record.spawn),
    [4],
  );
});

test('children that nobody is configured for are strangers', () => {
  const plan = planAdoption([], [record(4), record(5, { tag: 'whatever' })], new Map(), never);
  assert.deepEqual(
    plan.strangers.map(({ name }) => name),
    [web, undefined],
  );
});

test('a remembered child that may live without a keeper is in doubt, else it is gone', () => {
  const previous = new Map([['web:web', running]]);
  const kinds = [() => true, never].map(
    (mayLive) => planAdoption([web], [], previous, mayLive).adoptions[0]?.child.kind,
  );
  assert.deepEqual(kinds, ['doubtful', 'none']);
});
