// Hosts stay known over controllers and bus outages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../../common/log.js';
import type { HostFacts } from '../../../controller/feed.js';
import { KnownHosts } from '../../../controller/known-hosts.js';
import { settle, SimClock } from '../../support/sim-clock.js';
import { SimRecords } from '../../support/sim-records.js';

function facts(part: Partial<HostFacts> = {}): HostFacts {
  const labels = new Map([['role', 'web']]);
  return { host: 'web1', hostUid: 'a', epoch: 5, agentVersion: '1', labels, ...part };
}

async function recorded(records: SimRecords): Promise<HostFacts[]> {
  const found: HostFacts[] = [];
  const stop = new AbortController();
  const hosts = new KnownHosts(records, new SimClock(), silentLogger, stop.signal);
  const following = hosts.follow((host) => found.push(host));
  await settle();
  stop.abort();
  await following;
  return found;
}

test('a host that registered is known to the next controller, with all it said', async () => {
  const records = new SimRecords();
  const stop = new AbortController();
  new KnownHosts(records, new SimClock(), silentLogger, stop.signal).remember(facts());
  await settle();
  assert.deepEqual(await recorded(records), [facts()]);
});

test('while the records are away nothing is lost', async () => {
  const records = new SimRecords();
  const clock = new SimClock();
  const stop = new AbortController();
  const hosts = new KnownHosts(records, clock, silentLogger, stop.signal);
  records.away = true;
  hosts.remember(facts());
  hosts.remember(facts({ host: 'web2' }));
  hosts.remember(facts({ epoch: 6 }));
  await clock.advance(10_000);
  records.away = false;
  await clock.advance(10_000);
  const found = await recorded(records);
  assert.deepEqual(found.map(({ epoch, host }) => `${host} ${epoch}`).sort(), ['web1 6', 'web2 5']);
});

test('an earlier life does not overwrite a later one', async () => {
  const records = new SimRecords();
  const stop = new AbortController();
  const hosts = () => new KnownHosts(records, new SimClock(), silentLogger, stop.signal);
  hosts().remember(facts({ epoch: 9 }));
  await settle();
  hosts().remember(facts({ epoch: 8 }));
  await settle();
  assert.equal((await recorded(records))[0]?.epoch, 9);
});

test('a record that this version does not understand is left alone', async () => {
  const records = new SimRecords();
  await records.compareAndSet('host.odd', { something: 'else' }, 0);
  assert.deepEqual(await recorded(records), []);
});
