// The rollout driver: records before acts, locks, takeover; on simulated records, lease, time and fleet.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../common/log.js';
import type { RolloutOrder, RolloutRecord } from '../../../controller/ports.js';
import { Rollouts } from '../../../controller/rollouts.js';
import { settle, SimClock } from '../../support/sim-clock.js';
import { SimExecutor, SimFeed } from '../../support/sim-feed.js';
import { SimLease } from '../../support/sim-lease.js';
import { SimRecords } from '../../support/sim-records.js';

function world() {
  const parts = {
    records: new SimRecords(),
    lease: new SimLease(),
    executor: new SimExecutor(),
    feed: new SimFeed(),
    clock: new SimClock(),
  };
  const stop = new AbortController();
  const open = (signal: AbortSignal = stop.signal, activeMax = 100) =>
    new Rollouts({ ...parts, log: silentLogger, signal, activeMax });
  return { ...parts, open };
}

const order = (id: string, hosts: readonly string[]): RolloutOrder => ({
  id,
  action: 'restart',
  actor: 'ann',
  targets: hosts.map((host) => ({ host, group: 'app', process: 'app' })),
  batch: 1,
  batchPercent: 0,
  soakMs: 0,
  maxFailures: 0,
  unreachable: 'fail',
});

const first = 'r1/web1:app:app';
const second = 'r1/web2:app:app';

describe('rollouts', () => {
  it('walks over the targets and shows each step to its watchers', async () => {
    const { open, executor } = world();
    const rollouts = open();
    await rollouts.start(order('r1', ['web1', 'web2']));
    const seen: RolloutRecord[] = [];
    const watching = (async () => {
      for await (const record of rollouts.watch('r1', new AbortController().signal)) {
        seen.push(record);
      }
    })();
    await settle();
    executor.answer(first);
    await settle();
    executor.answer(second);
    await watching;
    assert.equal(seen.at(-1)?.state, 'completed');
    assert.equal(seen[0]?.partial, false);
    const steps = seen.flatMap((record) =>
      record.targets.map((entry) => `${entry.target.host} ${entry.state}`),
    );
    assert.deepEqual(
      steps.filter((step) => step.startsWith('web2')),
      ['web2 pending', 'web2 acting', 'web2 done'],
    );
  });

  it('refuses more active rollouts than the limit, and counts those that ended no longer', async () => {
    const { open, executor } = world();
    const rollouts = open(undefined, 1);
    await rollouts.start(order('r1', ['web1']));
    await assert.rejects(rollouts.start(order('r2', ['web2'])), { code: 'LIMIT_EXCEEDED' });
    await settle();
    executor.answer(first);
    await settle();
    assert.equal((await rollouts.start(order('r2', ['web2']))).id, 'r2');
  });

  it('stores the intent before it acts', async () => {
    const { open, executor, records } = world();
    await open().start(order('r1', ['web1']));
    await settle();
    const stored = (await records.get('rollout.r1'))?.value as { targets: { state: string }[] };
    assert.deepEqual(
      executor.orders.map(({ id }) => id),
      [first],
    );
    assert.equal(stored.targets[0]?.state, 'acting');
  });

  it('refuses a second rollout on the same target, naming the first', async () => {
    const { open } = world();
    const rollouts = open();
    await rollouts.start(order('r1', ['web1', 'web2']));
    await assert.rejects(rollouts.start(order('r2', ['web2'])), { code: 'LOCKED', message: /r1/ });
    assert.equal(rollouts.holderOf({ host: 'web2', group: 'app', process: 'app' }), 'r1');
  });

  it('refuses to start without the bus and forgets the attempt', async () => {
    const { open, records } = world();
    const rollouts = open();
    records.away = true;
    await assert.rejects(rollouts.start(order('r1', ['web1'])), { code: 'COORDINATION_LOST' });
    assert.equal(rollouts.holderOf({ host: 'web1', group: 'app', process: 'app' }), undefined);
  });

  it('is taken up by the next controller, which asks again under the same command id', async () => {
    const { open, executor } = world();
    const death = new AbortController();
    await open(death.signal).start(order('r1', ['web1', 'web2']));
    await settle();
    death.abort();
    await settle();
    executor.answer(first);
    const successor = open();
    await successor.resume();
    await settle();
    executor.answer(second);
    await settle();
    assert.deepEqual(
      executor.orders.map(({ id }) => id),
      [first, first, second],
    );
    assert.equal((await successor.list())[0]?.state, 'completed');
  });

  it('waits while records cannot be written, then goes on where it was', async () => {
    const { open, executor, records, lease } = world();
    const rollouts = open();
    await rollouts.start(order('r1', ['web1', 'web2']));
    await settle();
    records.away = true;
    executor.answer(first);
    await settle();
    assert.equal(executor.orders.length, 1, 'no act without a stored intent');
    records.away = false;
    lease.revoke('rollout.r1');
    await settle();
    const [record] = await rollouts.list();
    assert.equal(record?.state, 'running');
  });

  it('finishes what it began when it is aborted', async () => {
    const { open, executor } = world();
    const rollouts = open();
    await rollouts.start(order('r1', ['web1', 'web2']));
    await settle();
    await rollouts.abort('r1', 'bob', 'wrong build');
    executor.answer(first);
    await settle();
    const [record] = await rollouts.list();
    assert.equal(record?.state, 'aborted');
    assert.match(record?.reason ?? '', /bob: wrong build/);
    assert.equal(executor.orders.length, 1);
  });

  it('says which rollout it does not know', () => {
    const { open } = world();
    assert.throws(() => open().abort('nope', 'ann', ''), { code: 'NO_SUCH_ROLLOUT' });
  });
});
