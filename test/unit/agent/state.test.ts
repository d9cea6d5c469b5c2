// What an agent remembers: identity, epochs that only grow, spawn numbers that are never used twice.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openState, StateLockedError, type AgentState } from '../../../agent/state.js';
import { systemRandom } from '../../../common/random.js';
import { temporaryFolder } from '../../support/folders.js';

function open(root: string, wallMs: number, warnings: string[] = []): AgentState {
  return openState({
    configPath: '/etc/supervisord.conf',
    stateDir: undefined,
    env: { STATE_DIRECTORY: root },
    owner: undefined,
    isRoot: false,
    wallMs: () => wallMs,
    random: systemRandom,
    warn: (text) => warnings.push(text),
  });
}

test('identity stays, the epoch grows even when the clock goes back', async (t) => {
  const root = await temporaryFolder(t);
  const first = open(root, 5_000);
  first.release();
  const second = open(root, 1_000);
  second.release();
  assert.match(first.hostUid, /^[0-9a-f]{32}$/);
  assert.equal(second.hostUid, first.hostUid);
  assert.deepEqual([first.epoch, second.epoch], [5_000, 5_001]);
});

test('a spawn number handed out is never the first of a later life', async (t) => {
  const root = await temporaryFolder(t);
  let last = 0;
  for (const count of [1, 10, 3_500]) {
    const state = open(root, 1);
    assert.ok(state.firstSpawn > last, `${state.firstSpawn} after ${last}`);
    for (let i = 0; i < count; i++) state.reserveSpawn((last = state.firstSpawn + i));
    // As a crash leaves it: the lock's holder is this very process, so it has to be freed by hand.
    state.release();
  }
});

test('a second agent on the same state directory is told who has it', async (t) => {
  const root = await temporaryFolder(t);
  const first = open(root, 1);
  assert.throws(
    () => open(root, 1),
    (error: unknown) => {
      return error instanceof StateLockedError && error.pid === process.pid;
    },
  );
  first.release();
  open(root, 1).release();
});

test('files and folders are for their owner only', async (t) => {
  const root = await temporaryFolder(t);
  const state = open(root, 1);
  const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  assert.equal(mode(state.dir ?? ''), '700');
  assert.equal(mode(state.runDir), '700');
  assert.equal(mode(join(state.dir ?? '', 'state.json')), '600');
  state.release();
});

test('a damaged file begins afresh, above the clock', async (t) => {
  const root = await temporaryFolder(t);
  const first = open(root, 10);
  first.release();
  const path = join(first.dir ?? '', 'state.json');
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 20));
  const second = open(root, 20);
  second.release();
  assert.equal(second.epoch, 20);
  assert.notEqual(second.hostUid, first.hostUid);
});

test('where nothing can be written the agent runs from memory and says so', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'file'), '');
  const warnings: string[] = [];
  const state = open(join(root, 'file'), 77, warnings);
  assert.deepEqual([state.dir, state.durable, state.epoch], [undefined, false, 77]);
  assert.match(warnings.join(), /could not use state directory .*; running from memory/);
  assert.equal(statSync(state.runDir).isDirectory(), true);
  state.release();
});

test('sockets get a short folder where the state directory is deep', async (t) => {
  const root = join(await temporaryFolder(t), 'd'.repeat(120));
  mkdirSync(root);
  const state = open(root, 1);
  assert.ok(Buffer.byteLength(join(state.runDir, 'keeper.sock')) < 107, state.runDir);
  state.release();
});

test('a place where nothing can be made costs the memory of this life only, with a warning', () => {
  const warnings: string[] = [];
  const state = open('/proc/nowhere/state', 7, warnings);
  assert.equal(state.epoch, 7);
  assert.match(warnings.join(), /\/proc\/nowhere\/state/);
  state.release();
});
