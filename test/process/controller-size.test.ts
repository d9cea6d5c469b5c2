// A status of 1,000 hosts with 20 processes each over real gRPC: complete, in order, in messages of bounded size.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../common/clock.js';
import { silentLogger } from '../../common/log.js';
import { dial, Handlers, readStream, serve } from '../../common/rpc.js';
import { Access } from '../../controller/access.js';
import { Agents } from '../../controller/agents.js';
import { EventHub } from '../../controller/events.js';
import { Feed } from '../../controller/feed.js';
import { HEALTH_TIMES } from '../../controller/fleet/health.js';
import { CONTROL_SERVICE, controlService } from '../../controller/server.js';
import { ControlClient, StatusChunk } from '../../proto/gen/fleetvisor/v1/control.js';
import { makeTestFleet } from '../support/certificates.js';
import { targetOf } from '../support/controller.js';
import { makeRow } from '../support/rows.js';
import { SimExecutor } from '../support/sim-feed.js';

const HOSTS = 1_000;
const ROWS = 20;
const MESSAGE_BYTES_MAX = 1024 * 1024;

function fill(feed: Feed): void {
  for (let at = 1; at <= HOSTS; at++) {
    const host = `web${at}`;
    const labels = new Map([['dc', at % 2 === 0 ? 'fra' : 'ams']]);
    const facts = { host, hostUid: `uid-${at}`, epoch: 1, agentVersion: '1', labels };
    feed.register(facts, '10.0.0.1:1', false, 2_000);
    const rows = Array.from({ length: ROWS }, (_, index) =>
      makeRow({
        process: `worker_${index}`,
        reason: 'a reason of some length, as operators see them',
      }),
    );
    feed.snapshot(host, { epoch: 1, seq: 1, rows }, 1_000);
  }
}

test('20,000 rows of 1,000 hosts arrive whole, in natural order, in messages below 1 MiB', async (t) => {
  const fleet = await makeTestFleet();
  const feed = new Feed(systemClock, HEALTH_TIMES);
  fill(feed);
  const stop = new AbortController();
  const common = { feed, clock: systemClock, log: silentLogger, replica: 'c1' };
  const none = (): never => {
    throw new Error('not part of this test');
  };
  const onBug = (error: unknown): never => {
    throw error;
  };
  const handlers = controlService(new Handlers({ fleet: 'test', peers: ['user'], onBug }), {
    ...common,
    agents: new Agents(feed, systemClock, silentLogger),
    access: new Access(new Map()),
    executor: new SimExecutor(),
    events: new EventHub({ ...common, bus: undefined, fleet: 'test', signal: stop.signal }),
    alerts: { list: () => [] },
    rollouts: { start: none, watch: none, abort: none, list: none, holderOf: () => undefined },
    streamsMax: 100,
    busProblem: () => '',
  });
  const server = await serve({
    listen: '127.0.0.1:0',
    tls: await fleet.tls('controller', 'c1'),
    services: [{ definition: CONTROL_SERVICE, handlers }],
  });
  const tls = await fleet.tls('user', 'anna');
  const client = dial(ControlClient, { address: `127.0.0.1:${server.port}`, tls });
  try {
    for (const round of ['first', 'second']) {
      const beganMs = performance.now();
      const names: string[] = [];
      let rows = 0;
      let largest = 0;
      for await (const chunk of readStream(client.status({ target: targetOf() }))) {
        for (const { header, rows: own } of chunk.hosts) {
          names.push(header?.host ?? '');
          rows += own.length;
        }
        largest = Math.max(largest, StatusChunk.encode(chunk).finish().length);
        if (chunk.summary !== undefined) assert.equal(chunk.summary.rows, HOSTS * ROWS);
      }
      const tookMs = Math.round(performance.now() - beganMs);
      t.diagnostic(`${round}: ${rows} rows in ${tookMs} ms, largest message ${largest} bytes`);
      assert.equal(rows, HOSTS * ROWS);
      assert.deepEqual(
        names,
        Array.from({ length: HOSTS }, (_, at) => `web${at + 1}`),
      );
      assert.ok(largest < MESSAGE_BYTES_MAX);
    }
    let some = 0;
    const target = targetOf({ selectors: ['@dc=fra:app:worker_3'] });
    for await (const { hosts } of readStream(client.status({ target }))) {
      for (const { rows } of hosts) some += rows.length;
    }
    assert.equal(some, HOSTS / 2);
  } finally {
    client.close();
    await server.close(0);
    fleet.remove();
  }
});
