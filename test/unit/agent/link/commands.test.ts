// Commands against a core that answers when told to: at most once, in order, never overdue.
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CoreRequest, CoreResult } from '../../../../agent/core.js';
import { Commands, WAITING_MAX, type FleetCommand } from '../../../../agent/link/commands.js';
import { settle, SimClock } from '../../../support/sim-clock.js';
import { temporaryFolder } from '../../../support/folders.js';
import { makeRow } from '../../../support/rows.js';

const ROW = makeRow();
const DONE: CoreResult = { outcome: 'ok', fault: '', text: '', row: ROW };
const QUIET = { log: () => undefined, wants: () => false };

/** Holds every act until `finish`. */
class FakeCore {
  readonly requests: CoreRequest[] = [];
  private readonly waiting: ((result: CoreResult) => void)[] = [];

  execute(request: CoreRequest): Promise<CoreResult> {
    this.requests.push(request);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  row() {
    return ROW;
  }

  async finish(result: CoreResult = DONE): Promise<void> {
    await settle();
    this.waiting.shift()?.(result);
    await settle();
  }
}

function setUp(journalPath?: string, clock = new SimClock()) {
  const core = new FakeCore();
  const commands = new Commands({ core, epoch: 7, journalPath, clock, log: QUIET });
  return { core, commands, clock };
}

const command = (part: Partial<FleetCommand> = {}): FleetCommand => ({
  id: 'c1',
  group: 'app',
  process: 'web',
  actor: 'alice',
  action: 'restart',
  signal: '',
  deadlineLeftMs: 30_000,
  ifEpoch: 0,
  ifSeq: 0,
  ifSpawn: 0,
  rollout: undefined,
  cause: '',
  ...part,
});

test('a command acts and its result comes back with the row', async () => {
  const { core, commands } = setUp();
  const answer = commands.run(command({ ifSeq: 3, ifSpawn: 4 }));
  await core.finish();
  const { outcome, row, repeated } = await answer;
  assert.deepEqual({ outcome, row, repeated }, { outcome: 'ok', row: ROW, repeated: false });
  const [request] = core.requests;
  assert.deepEqual(
    [
      request?.action,
      request?.name,
      request?.until,
      request?.cause,
      request?.ifSeq,
      request?.ifSpawn,
    ],
    ['restart', { group: 'app', process: 'web' }, 'settled', 'c1', 3, 4],
  );
});

test('the same id while it runs gets the same result and does not act again', async () => {
  const { core, commands } = setUp();
  const first = commands.run(command());
  const second = commands.run(command());
  await core.finish();
  assert.equal((await first).repeated, false);
  assert.equal((await second).repeated, true);
  assert.equal(core.requests.length, 1);
});

test('the same id later gets the stored result', async () => {
  const { core, commands } = setUp();
  const first = commands.run(command());
  await core.finish({ outcome: 'failed', fault: 'SPAWN_ERROR', text: 'no such file', row: ROW });
  await first;
  const again = await commands.run(command());
  assert.deepEqual(
    [again.outcome, again.fault, again.message, again.repeated],
    ['failed', 'SPAWN_ERROR', 'no such file', true],
  );
  assert.equal(core.requests.length, 1);
});

test('a restarted agent answers from its journal', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const before = setUp(path);
  const first = before.commands.run(command());
  await before.core.finish();
  assert.equal((await first).unsaved, false);
  const after = setUp(path);
  const again = await after.commands.run(command());
  assert.deepEqual([again.outcome, again.repeated], ['ok', true]);
  assert.equal(after.core.requests.length, 0);
});

test('an agent that died while acting answers interrupted and does not act again', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const before = setUp(path);
  void before.commands.run(command());
  await settle();
  const after = setUp(path);
  assert.equal((await after.commands.run(command())).outcome, 'interrupted');
  assert.equal(after.core.requests.length, 0);
});

test('half a line at the end of the journal is passed over and not joined to the next', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const before = setUp(path);
  const first = before.commands.run(command());
  await before.core.finish();
  await first;
  appendFileSync(path, '{"kind":"inte');
  const second = setUp(path);
  const answer = second.commands.run(command({ id: 'c2' }));
  await second.core.finish();
  await answer;
  const third = setUp(path);
  assert.equal((await third.commands.run(command({ id: 'c2' }))).outcome, 'ok');
  assert.equal((await third.commands.run(command({ id: 'c1' }))).repeated, true);
});

test('the journal is rewritten when it is mostly history', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const old = { kind: 'forget', id: 'x', group: 'g', process: 'p' };
  appendFileSync(path, `${JSON.stringify(old)}\n`.repeat(3_000));
  const { core, commands } = setUp(path);
  const answer = commands.run(command());
  await core.finish();
  await answer;
  assert.ok(readFileSync(path, 'utf8').split('\n').length < 10);
  assert.equal((await setUp(path).commands.run(command())).repeated, true);
});

test('a disk that refuses costs only the memory of it', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const { core, commands } = setUp(path);
  mkdirSync(path);
  const answer = commands.run(command());
  await core.finish();
  assert.deepEqual([(await answer).outcome, (await answer).unsaved], ['ok', true]);
});

test('changes of one process happen one after the other, in order of arrival', async () => {
  const { core, commands } = setUp();
  void commands.run(command({ id: 'c1', action: 'stop' }));
  void commands.run(command({ id: 'c2', action: 'start' }));
  void commands.run(command({ id: 'c3', action: 'restart' }));
  for (const expected of [['stop'], ['stop', 'start'], ['stop', 'start', 'restart']]) {
    await settle();
    assert.deepEqual(
      core.requests.map(({ action }) => action),
      expected,
    );
    await core.finish();
  }
});

test('a stop does not wait for the start before it, and what follows waits for both', async () => {
  const { core, commands } = setUp();
  void commands.run(command({ id: 'c1', action: 'start' }));
  void commands.run(command({ id: 'c2', action: 'stop' }));
  void commands.run(command({ id: 'c3', action: 'start' }));
  const acted = (): string[] => core.requests.map(({ action }) => action);
  await settle();
  assert.deepEqual(acted(), ['start', 'stop']);
  await core.finish();
  assert.deepEqual(acted(), ['start', 'stop'], 'the stop is not over yet');
  await core.finish();
  assert.deepEqual(acted(), ['start', 'stop', 'start']);
});

test('other processes and signals do not wait', async () => {
  const { core, commands } = setUp();
  void commands.run(command({ id: 'c1' }));
  void commands.run(command({ id: 'c2', process: 'other' }));
  void commands.run(command({ id: 'c3', action: 'signal', signal: 'HUP' }));
  await settle();
  assert.equal(core.requests.length, 3);
  assert.equal(core.requests[2]?.signal, 'HUP');
});

test('more than 256 waiting commands are refused as busy', async () => {
  const { commands } = setUp();
  for (let i = 0; i <= WAITING_MAX; i++) void commands.run(command({ id: `c${i}` }));
  assert.equal((await commands.run(command({ id: 'last' }))).outcome, 'busy');
});

test('what is overdue on arrival is not begun', async () => {
  const { core, commands } = setUp();
  const { outcome } = await commands.run(command({ deadlineLeftMs: 0 }));
  assert.equal(outcome, 'timeout');
  assert.equal(core.requests.length, 0);
});

test('what becomes overdue in the queue is not begun, and its id may come again', async () => {
  const { core, commands, clock } = setUp();
  void commands.run(command({ id: 'c1' }));
  const late = commands.run(command({ id: 'c2', deadlineLeftMs: 1_000 }));
  await clock.advance(1_001);
  await core.finish();
  assert.equal((await late).outcome, 'timeout');
  const again = commands.run(command({ id: 'c2' }));
  await core.finish();
  assert.deepEqual([(await again).outcome, (await again).repeated], ['ok', false]);
});

test('another epoch than the one asked for is a conflict', async () => {
  const { core, commands } = setUp();
  assert.equal((await commands.run(command({ ifEpoch: 6 }))).outcome, 'conflict');
  assert.equal(core.requests.length, 0);
  void commands.run(command({ ifEpoch: 7 }));
  await settle();
  assert.equal(core.requests.length, 1);
});

test('a conflict did nothing, so the id may come again', async () => {
  const { core, commands } = setUp();
  const first = commands.run(command({ ifSeq: 3 }));
  await core.finish({ outcome: 'conflict', fault: '', text: 'moved on', row: ROW });
  assert.equal((await first).outcome, 'conflict');
  void commands.run(command({ ifSeq: 4 }));
  await settle();
  assert.equal(core.requests.length, 2);
});

test('an old executor of a rollout is refused, also after a restart', async (context) => {
  const path = join(await temporaryFolder(context), 'journal');
  const { core, commands } = setUp(path);
  const first = commands.run(command({ rollout: { id: 'r', fence: 5, step: 2 } }));
  await core.finish();
  await first;
  const after = setUp(path);
  const old = command({ id: 'c2', rollout: { id: 'r', fence: 4, step: 9 } });
  assert.equal((await after.commands.run(old)).outcome, 'conflict');
  assert.equal(after.core.requests.length, 0);
});

test('an old executor still gets the stored result of what was done', async () => {
  const { core, commands } = setUp();
  const done = commands.run(command({ rollout: { id: 'r', fence: 4, step: 1 } }));
  await core.finish();
  await done;
  const next = commands.run(command({ id: 'c2', rollout: { id: 'r', fence: 5, step: 1 } }));
  await core.finish();
  await next;
  const again = await commands.run(command({ rollout: { id: 'r', fence: 4, step: 1 } }));
  assert.deepEqual([again.outcome, again.repeated], ['ok', true]);
});

test('an action of a newer controller is refused by name', async () => {
  const { commands } = setUp();
  const answer = await commands.run(command({ action: undefined }));
  assert.deepEqual([answer.outcome, answer.fault], ['failed', 'UNKNOWN_METHOD']);
});
