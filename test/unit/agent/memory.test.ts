// What is remembered of processes from one life of the agent to the next.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ProcessFacts } from '../../../agent/engine/types.js';
import { ProcessMemory } from '../../../agent/memory.js';
import { temporaryFolder } from '../../support/folders.js';

const facts = (process: string, more: Partial<ProcessFacts> = {}): ProcessFacts => ({
  name: { group: 'g', process },
  program: process,
  groupPriority: 999,
  priority: 999,
  autostart: true,
  startMs: 1000,
  stopWaitMs: 10_000,
  state: 'RUNNING',
  pid: 7,
  spawn: 3,
  childStartedAtMs: 5,
  lastStartAtMs: 5,
  lastStopAtMs: undefined,
  exit: undefined,
  reason: '',
  attempts: 0,
  cause: '',
  ...more,
});

const open = (dir: string, boot = 'b'): ProcessMemory =>
  new ProcessMemory(dir, boot, () => undefined);

test('the last note of each process is found again, a torn one is passed over', async (t) => {
  const dir = await temporaryFolder(t);
  const first = open(dir);
  first.note(facts('a'));
  const exit = { kind: 'signal', signal: 9, name: 'SIGKILL', coreDumped: false } as const;
  first.note(facts('a', { state: 'EXITED', pid: 0, exit }));
  first.note(facts('b', { state: 'STOPPED', reason: 'x' }));
  first.close();
  appendFileSync(join(dir, 'processes.jsonl'), '["g:c",{"state":"RUN');
  const { previous } = open(dir);
  assert.deepEqual([...previous.keys()], ['g:a', 'g:b']);
  assert.deepEqual(previous.get('g:a')?.exit, exit);
  assert.equal(previous.get('g:b')?.reason, 'x');
});

test('it outlives a life that notes nothing, but not a boot, nor a clean shutdown', async (t) => {
  const dir = await temporaryFolder(t);
  const first = open(dir);
  first.note(facts('a'));
  first.close();
  open(dir).close();
  assert.equal(open(dir).previous.size, 1);
  const last = open(dir);
  last.forget();
  last.close();
  assert.equal(open(dir).previous.size, 0);
  open(dir).note(facts('a'));
  assert.equal(open(dir, 'other boot').previous.size, 0);
});

test('the journal does not grow for ever', async (t) => {
  const dir = await temporaryFolder(t);
  const memory = open(dir);
  for (let i = 0; i < 20_000; i++) memory.note(facts('a', { spawn: i }));
  memory.close();
  assert.equal(open(dir).previous.get('g:a')?.spawn, 19_999);
});
