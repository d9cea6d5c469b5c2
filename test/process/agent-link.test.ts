// The agent's link against a real gRPC server, and a real nats-server where there is one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventFrame } from '../../proto/gen/fleetvisor/v1/event.js';
import {
  Action,
  Channel,
  Outcome,
  type Accepted,
  type TransferUp,
} from '../../proto/gen/fleetvisor/v1/session.js';
import type { FleetLink } from '../../agent/core.js';
import { openLink } from '../../agent/link/link.js';
import { systemClock } from '../../common/clock.js';
import { openNats } from '../../common/nats/connection.js';
import { systemRandom } from '../../common/random.js';
import { allBeatsSubject, allEventsSubject, inboxPrefix } from '../../common/subjects.js';
import { checkPeer } from '../../common/tls.js';
import { natsServerConfig, natsUsersConfig } from '../../controller/bus/server-config.js';
import { FakeActivityLog, FakeCore } from '../support/fake-core.js';
import {
  FakeController,
  FLEET,
  makeCertificates,
  type FakeSession,
} from '../support/fake-controller.js';
import { temporaryFolder } from '../support/folders.js';
import { findProgram, needs } from '../support/need.js';
import { freePort } from '../support/ports.js';
import { until } from '../support/wait.js';

const accepted = (busUrls: string[] = []): Accepted => ({
  protocol: 1,
  heartbeatMs: 200,
  replica: 'c1',
  fence: 0,
  busUrls,
  fleet: FLEET,
});

async function setUp(context: TestContext) {
  const folder = await temporaryFolder(context);
  await makeCertificates(folder);
  const controller = new FakeController(folder, await freePort());
  await controller.start();
  context.after(() => controller.stop());
  const log = new FakeActivityLog();
  const core = new FakeCore(() => systemClock.nowMs());
  let epoch = 1_000;

  /** A life of the agent: the next one has the next epoch and the same state directory. */
  const startAgent = async (identifier = 'web1'): Promise<FleetLink> => {
    epoch += 1;
    const link = await openLink({
      fleet: {
        controllers: [{ host: '127.0.0.1', port: controller.port }],
        nats: [],
        ca: join(folder, 'ca.crt'),
        cert: join(folder, 'host-web1.crt'),
        key: join(folder, 'host-web1.key'),
        labels: { role: 'web' },
        stateDir: undefined,
      },
      identifier,
      state: {
        dir: folder,
        durable: true,
        runDir: folder,
        hostUid: 'f'.repeat(32),
        epoch,
        bootId: 'boot',
        firstSpawn: 1,
        reserveSpawn: () => undefined,
        release: () => undefined,
      },
      log,
      clock: systemClock,
      random: systemRandom,
    });
    link.start(core);
    context.after(() => link.close(false));
    return link;
  };
  return { folder, controller, log, core, startAgent };
}

/** The session that comes next, registered. */
async function nextSession(controller: FakeController, count: number): Promise<FakeSession> {
  return until(`session ${count}`, () => {
    const session = controller.sessions[count - 1];
    return session !== undefined && session.all('register').length > 0 ? session : undefined;
  });
}

function record(link: FleetLink, type = 'agent.running'): number {
  const body = { kind: 'agent-changed', state: 'running', detail: '' } as const;
  return link.sink.record({ type, class: 'P0', group: '', process: '', cause: '', body }).seq;
}

test('a life with the fleet: register, snapshot, events, a command, a repeated one, goodbye', async (context) => {
  const { controller, core, startAgent } = await setUp(context);
  const link = await startAgent();
  const session = await nextSession(controller, 1);
  const [register] = session.all('register');
  assert.deepEqual(
    [register?.host, register?.epoch, register?.labels, register?.spool],
    ['web1', 1_001, [{ key: 'role', value: 'web' }], 'disk'],
  );
  record(link);
  await session.say({ $case: 'accepted', value: accepted() });
  const [snapshot] = await until('a snapshot', () => {
    const all = session.all('snapshot');
    return all.length > 0 ? all : undefined;
  });
  assert.deepEqual([snapshot?.epoch, snapshot?.seq, snapshot?.rows.length], [1_001, 1, 1]);
  const seq = record(link);
  await until('the event', () => session.all('event').some((event) => event.seq === seq));
  await until('heartbeats', () => session.all('heartbeat').length >= 3);
  assert.equal(session.all('heartbeat').at(-1)?.lastStateSeq, 2);

  const command = {
    id: 'c1',
    actor: 'alice',
    action: Action.RESTART,
    group: 'app',
    process: 'web',
    signal: '',
    deadlineLeftMs: 30_000,
    preconditions: undefined,
    rollout: undefined,
    cause: '',
  };
  await session.say({ $case: 'command', value: { ...command, ticket: 1 } });
  await session.say({ $case: 'command', value: { ...command, ticket: 2 } });
  await until('both results', () => session.all('result').length === 2);
  const results = session.all('result');
  assert.deepEqual(
    results.map(({ ticket, outcome, repeatedAnswer, unsaved }) => [
      ticket,
      outcome,
      repeatedAnswer,
      unsaved,
    ]),
    [
      [1, Outcome.OK, false, false],
      [2, Outcome.OK, true, false],
    ],
  );
  assert.equal(core.requests.length, 1);

  await session.say({ $case: 'resync', value: { id: 'r1' } });
  await until('the resync', () => session.all('snapshot').some((part) => part.resyncId === 'r1'));
  await link.close(true);
  await until('goodbye', () => session.all('leaving').length === 1);
});

test('a controller that dies is found again, and the agent answers it from its memory', async (context) => {
  const { controller, core, startAgent, log } = await setUp(context);
  const link = await startAgent();
  const first = await nextSession(controller, 1);
  await first.say({ $case: 'accepted', value: accepted() });
  await until('a snapshot', () => first.all('snapshot').length > 0);
  await controller.stop();
  record(link);
  await until('the loss in the log', () => log.lines.some((line) => line.includes('trying again')));
  await controller.start();
  const second = await nextSession(controller, 2);
  await second.say({ $case: 'accepted', value: accepted() });
  const snapshot = await until('a fresh snapshot', () => second.all('snapshot')[0]);
  assert.equal(snapshot.seq, 1);
  assert.equal(core.requests.length, 0);
});

test('a refusal as stale is logged, kept to its pause, and tried again', async (context) => {
  const { controller, startAgent, log } = await setUp(context);
  await startAgent();
  const session = await nextSession(controller, 1);
  const value = { reason: 'STALE_EPOCH', message: 'epoch 2000 is known', retryAfterMs: 300 };
  await session.say({ $case: 'rejected', value });
  await nextSession(controller, 2);
  assert.ok(log.lines.some((line) => line.includes('STALE_EPOCH: epoch 2000 is known')));
});

test('a flooding log and a reader that stopped: one chunk and the transport fill, the session goes on', async (context) => {
  const { controller, core, startAgent } = await setUp(context);
  await startAgent();
  const session = await nextSession(controller, 1);
  await session.say({ $case: 'accepted', value: accepted() });
  const tail = {
    group: 'app',
    process: 'web',
    channel: Channel.STDOUT,
    follow: true,
    bytes: 0,
    lines: 0,
  };
  await session.say({
    $case: 'openTransfer',
    value: { transferId: 't1', kind: { $case: 'tail', value: tail } },
  });
  const transfer = await until('the transfer', () => controller.transfers[0]);
  const line = Buffer.alloc(100_000, 'x');
  // 40 MB while nobody reads, with heartbeats passing meanwhile.
  for (let i = 0; i < 400; i++) {
    core.log.write(line);
    if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const beats = session.all('heartbeat').length;
  await until('heartbeats beside the flood', () => session.all('heartbeat').length > beats + 2);

  core.log.write('the end\n');
  let bytes = 0;
  let gap = 0;
  let last = '';
  const isTail = (message: TransferUp) => message.body?.$case === 'tail';
  const opened = await transfer.next();
  assert.equal(opened?.body?.$case, 'opened');
  while (!last.endsWith('the end\n')) {
    const message = await transfer.next();
    assert.ok(message !== undefined && isTail(message));
    if (message.body?.$case !== 'tail') continue;
    bytes += message.body.value.data.length;
    gap += message.body.value.gapBytes;
    last = message.body.value.data.toString();
  }
  assert.equal(bytes + gap, core.log.data.length);
  assert.ok(gap > 30_000_000, `a stopped reader cost ${bytes} bytes of buffers`);
  await session.say({ $case: 'closeTransfer', value: { transferId: 't1' } });
  await until('the log is free', () => core.log.openFollowers === 0);
  transfer.close();
});

test('many logs whose readers stopped do not hold up the session beside them', async (context) => {
  const { controller, core, startAgent } = await setUp(context);
  await startAgent();
  const session = await nextSession(controller, 1);
  await session.say({ $case: 'accepted', value: accepted() });
  for (let i = 0; i < 50; i++) {
    const spec = { group: 'app', process: 'web', channel: Channel.STDOUT, bytes: 0, lines: 0 };
    const kind = { $case: 'tail', value: { ...spec, follow: true } } as const;
    await session.say({ $case: 'openTransfer', value: { transferId: `t${i}`, kind } });
  }
  await until('the transfers', () => controller.transfers.length === 50);
  for (let i = 0; i < 50; i++) {
    core.log.write(Buffer.alloc(100_000, 'x'));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const beats = session.all('heartbeat').length;
  await until('heartbeats', () => session.all('heartbeat').length > beats + 2);
  for (const transfer of controller.transfers) transfer.close();
});

test('a certificate of another host is said plainly and no session is made', async (context) => {
  const { controller, startAgent, log } = await setUp(context);
  const link = await startAgent('db1');
  assert.ok(
    log.lines.some((line) => line.includes('spiffe://acme/host/web1, but this host is db1')),
    log.lines.join('\n'),
  );
  record(link);
  assert.equal(link.sink.lastSeq(), 1);
  assert.equal(controller.sessions.length, 0);
});

test('a name that no host can have is refused with what to change', async (context) => {
  const { startAgent } = await setUp(context);
  await assert.rejects(startAgent('not a name'), /"not a name" cannot be a host name.*identifier=/);
});

test(
  'events and beats reach the bus, also those of the life before',
  { skip: needs('nats-server') },
  async (context) => {
    const { folder, controller, startAgent } = await setUp(context);
    const before = await startAgent();
    record(before, 'agent.starting');
    record(before);
    await before.close(false);

    const port = await freePort();
    const file = (name: string): string => join(folder, name);
    writeFileSync(file('users.conf'), natsUsersConfig(FLEET, ['c1'], ['web1']));
    const plan = {
      listen: { host: '127.0.0.1', port },
      tls: { ca: file('ca.crt'), cert: file('bus-b1.crt'), key: file('bus-b1.key') },
      storeDir: file('store'),
      storeBytesMax: 100_000_000,
    };
    writeFileSync(file('nats.conf'), natsServerConfig(plan));
    const server = spawn(findProgram('nats-server') as string, ['-c', file('nats.conf')], {
      stdio: 'ignore',
    });
    context.after(() => void server.kill('SIGKILL'));
    const bus = openNats({
      servers: [`127.0.0.1:${port}`],
      name: 'test',
      inboxPrefix: inboxPrefix('controller', 'c1'),
      tls: {
        ca: file('ca.crt'),
        cert: file('controller-c1.crt'),
        key: file('controller-c1.key'),
        checkServer: checkPeer(FLEET, ['bus']),
      },
    });
    context.after(() => bus.close());
    await until('the bus', () => bus.status().kind === 'connected');
    await bus.ensureStream('EVENTS', {
      subjects: [allEventsSubject(FLEET)],
      ageMsMax: 3_600_000,
      bytesMax: 10_000_000,
      duplicateWindowMs: 600_000,
    });
    let beats = 0;
    bus.subscribe(allBeatsSubject(FLEET), () => (beats += 1));

    const now = await startAgent();
    record(now);
    const session = await nextSession(controller, controller.sessions.length + 1);
    await session.say({ $case: 'accepted', value: accepted([`127.0.0.1:${port}`]) });
    await until('beats on the bus', () => beats > 1);
    await now.close(true);

    const seen: string[] = [];
    await bus.consume(
      'EVENTS',
      {
        subjects: [allEventsSubject(FLEET)],
        sinceWallMs: 0,
        follow: false,
        signal: AbortSignal.timeout(10_000),
      },
      ({ data }) => {
        for (const event of EventFrame.decode(data).events) {
          seen.push(`${event.epoch}/${event.seq} ${event.type}`);
        }
      },
    );
    assert.deepEqual(seen, [
      '1001/1 agent.starting',
      '1001/2 agent.running',
      '1002/1 agent.running',
    ]);
  },
);
