// Acting on many targets: one result each as it completes, fan-out, locks, deadlines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TargetName } from '../../../common/rows.js';
import type { CommandAnswer } from '../../../controller/agents.js';
import { deadlineMs, FleetExecutor, type ExecuteWorld } from '../../../controller/execute.js';
import type { ExecuteOrder, ExecuteResult } from '../../../controller/ports.js';
import { Outcome, type Command } from '../../../proto/gen/fleetvisor/v1/session.js';
import { makeRow } from '../../support/rows.js';
import { settle, SimClock } from '../../support/sim-clock.js';

type Sent = { host: string; command: Omit<Command, 'ticket'>; answer: (a: CommandAnswer) => void };

/** Hosts that answer when the test says so. */
class FakeWorld implements ExecuteWorld {
  readonly sent: Sent[] = [];
  readonly clock = new SimClock();
  readonly gone = new Set<string>();
  readonly held = new Map<string, string>();
  readonly agents = {
    isConnected: (host: string) => !this.gone.has(host),
    command: (host: string, command: Omit<Command, 'ticket'>) =>
      new Promise<CommandAnswer>((answer) => this.sent.push({ host, command, answer })),
  };
  readonly feed = {
    row: (target: TargetName) => (target.process === '*' ? undefined : makeRow({ ...target })),
    host: () => ({ epoch: 7 }),
  };
  readonly holderOf = (target: TargetName): string | undefined => this.held.get(target.process);
}

function order(hosts: readonly string[], part: Partial<ExecuteOrder> = {}): ExecuteOrder {
  const targets = hosts.map((host) => ({ host, group: 'app', process: 'app' }));
  return { id: 'id', actor: 'anna', action: 'restart', targets, ...part };
}

function ok(): CommandAnswer {
  const head = { ticket: 1, id: 'id', group: 'app', process: 'app', fault: '', message: '' };
  const rest = { row: undefined, repeatedAnswer: false, unsaved: false };
  return { kind: 'answered', result: { ...head, outcome: Outcome.OK, ...rest } };
}

/** Collects results as they come. */
function collect(world: FakeWorld, what: ExecuteOrder, stop = new AbortController()) {
  const results: ExecuteResult[] = [];
  const run = async (): Promise<void> => {
    for await (const result of new FleetExecutor(world).run(what, stop.signal))
      results.push(result);
  };
  return { results, done: run() };
}

test('results come as the agents answer, one per target', async () => {
  const world = new FakeWorld();
  const { done, results } = collect(world, order(['a', 'b', 'c']));
  await settle();
  assert.deepEqual(
    world.sent.map(({ host }) => host),
    ['a', 'b', 'c'],
  );
  world.sent[1]?.answer(ok());
  await settle();
  assert.deepEqual(
    results.map(({ target }) => target.host),
    ['b'],
  );
  world.sent[2]?.answer({ kind: 'timeout', message: 'late' });
  world.sent[0]?.answer({ kind: 'busy' });
  await done;
  assert.deepEqual(
    results.map(({ outcome, target }) => `${target.host} ${outcome}`),
    ['b ok', 'c timeout', 'a busy'],
  );
  assert.equal(results[0]?.epoch, 7);
});

test('a host without a session is unreachable before anybody else has answered', async () => {
  const world = new FakeWorld();
  world.gone.add('b');
  const { results } = collect(world, order(['a', 'b']));
  await settle();
  assert.deepEqual(
    results.map(({ outcome, target }) => `${target.host} ${outcome}`),
    ['b unreachable'],
  );
});

test('at most 64 hosts are acted upon at once, the rest follows', async () => {
  const world = new FakeWorld();
  const hosts = Array.from({ length: 70 }, (_, i) => `h${i}`);
  const { done, results } = collect(world, order(hosts));
  await settle();
  assert.equal(world.sent.length, 64);
  world.sent[0]?.answer(ok());
  await settle();
  assert.equal(world.sent.length, 65);
  while (results.length < 70) {
    for (const { answer } of world.sent) answer(ok());
    await settle();
  }
  await done;
});

test('a target of an active rollout is locked for everybody but the rollout', async () => {
  const world = new FakeWorld();
  world.held.set('app', 'r1');
  const { done, results } = collect(world, order(['a']));
  await done;
  assert.equal(results[0]?.outcome, 'locked');
  assert.match(results[0].message, /r1/);
  const own = collect(world, order(['a'], { rollout: { id: 'r1', fence: 1, step: 1 } }));
  await settle();
  world.sent[0]?.answer(ok());
  await own.done;
  assert.equal(own.results[0]?.outcome, 'ok');
});

test('a host that has not told its processes is not sent patterns', async () => {
  const world = new FakeWorld();
  const targets = [{ host: 'a', group: '*', process: '*' }];
  const { done, results } = collect(world, order([], { targets }));
  await done;
  assert.equal(results[0]?.outcome, 'unreachable');
  assert.equal(world.sent.length, 0);
});

test('the envelope carries id, actor, time left, preconditions and cause', async () => {
  const world = new FakeWorld();
  const { done } = collect(
    world,
    order(['a'], { deadlineMs: 5_000, preconditions: { ifSpawn: 3 }, cause: 'r1' }),
  );
  await settle();
  const { command } = world.sent[0] as Sent;
  assert.equal(command.id, 'id');
  assert.equal(command.actor, 'anna');
  assert.equal(command.deadlineLeftMs, 5_000);
  assert.deepEqual(command.preconditions, { ifEpoch: 0, ifSeq: 0, ifSpawn: 3 });
  assert.equal(command.cause, 'r1');
  world.sent[0]?.answer(ok());
  await done;
});

test('default deadlines follow the process: 30 s, or what starting and stopping it may take', () => {
  const slow = makeRow({ startMs: 60_000, stopWaitMs: 90_000 });
  assert.equal(deadlineMs('start', undefined), 30_000);
  assert.equal(deadlineMs('start', slow), 70_000);
  assert.equal(deadlineMs('stop', slow), 100_000);
  assert.equal(deadlineMs('restart', slow), 170_000);
  assert.equal(deadlineMs('signal', slow), 30_000);
});

test('a caller that goes away ends the answer; what waits is not sent any more', async () => {
  const world = new FakeWorld();
  const stop = new AbortController();
  const hosts = Array.from({ length: 70 }, (_, i) => `h${i}`);
  const { done } = collect(world, order(hosts), stop);
  await settle();
  stop.abort();
  for (const { answer } of world.sent) answer({ kind: 'timeout', message: '' });
  await done;
  await settle();
  assert.equal(world.sent.length, 64);
});
