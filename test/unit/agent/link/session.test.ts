// A session, message by message, and the pauses between sessions, in virtual time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Action,
  Outcome,
  type Accepted,
  type AgentMessage,
  type Command,
  type ControllerMessage,
  type TransferDown,
  type TransferUp,
} from '../../../../proto/gen/fleetvisor/v1/session.js';
import { Commands } from '../../../../agent/link/commands.js';
import { ControllerLink } from '../../../../agent/link/controller.js';
import { digestRows } from '../../../../common/digest.js';
import { FleetError } from '../../../../common/errors.js';
import { FakeActivityLog, FakeCore } from '../../../support/fake-core.js';
import { FakeStream } from '../../../support/fake-stream.js';
import { makeRow } from '../../../support/rows.js';
import { settle, SimClock } from '../../../support/sim-clock.js';
import { simOutbox } from '../../../support/sim-outbox.js';

type Stream = FakeStream<ControllerMessage, AgentMessage>;
type Case = NonNullable<AgentMessage['body']>['$case'];

const ACCEPTED: Accepted = {
  protocol: 1,
  heartbeatMs: 2_000,
  replica: 'c1',
  fence: 0,
  busUrls: [],
  fleet: 'acme',
};

function setUp() {
  const clock = new SimClock();
  const core = new FakeCore(() => clock.nowMs());
  const outbox = simOutbox(clock);
  const log = new FakeActivityLog();
  const streams: Stream[] = [];
  const accepted: Accepted[] = [];
  let refusal: FleetError | undefined;
  const link = new ControllerLink({
    address: 'c1:9500',
    dial: () => {
      if (refusal !== undefined) throw refusal;
      return {
        connect: () => {
          const stream: Stream = new FakeStream();
          streams.push(stream);
          return stream;
        },
        transfer: () => new FakeStream<TransferDown, TransferUp>(),
        close: () => undefined,
      };
    },
    core,
    outbox,
    commands: new Commands({ core, epoch: 1_000, journalPath: undefined, clock, log }),
    clock,
    // The longest pauses, so that their bounds show.
    random: { next: () => 0.999_999, bytes: (length) => new Uint8Array(length) },
    log,
    register: () => ({
      host: 'web1',
      hostUid: 'uid',
      epoch: 1_000,
      bootId: 'boot',
      agentVersion: '1',
      protocolMin: 1,
      protocolMax: 1,
      labels: [],
      capabilities: [],
      configHash: '',
      wallMs: 0,
      lastSeq: outbox.lastSeq(),
      spool: 'disk',
      agentPid: 1,
    }),
    heartbeat: () => ({
      epoch: 1_000,
      lastSeq: outbox.lastSeq(),
      lastStateSeq: outbox.lastStateSeq(),
      monoMs: clock.nowMs(),
      wallMs: 0,
      spoolDepth: 0,
      loadCenti: 0,
      host: 'web1',
      uptimeMs: 0,
      spool: 'disk',
    }),
    onAccepted: (message) => accepted.push(message),
  });
  const record = (): void => {
    const [row = makeRow()] = core.list;
    const body = {
      kind: 'process-changed',
      from: 'STARTING',
      to: 'RUNNING',
      row,
      expected: true,
    } as const;
    outbox.record({
      type: 'process.state',
      class: 'P1',
      group: 'app',
      process: 'web',
      cause: '',
      body,
    });
  };
  return {
    clock,
    core,
    outbox,
    log,
    streams,
    accepted,
    link,
    record,
    refuse: (error: FleetError | undefined) => (refusal = error),
    latest: (): Stream => {
      const stream = streams.at(-1);
      assert.ok(stream !== undefined);
      return stream;
    },
  };
}

/** Started, registered and accepted. */
async function joined() {
  const world = setUp();
  world.link.start();
  await world.clock.advance(500);
  world.latest().say({ body: { $case: 'accepted', value: ACCEPTED } });
  await settle();
  return world;
}

const cases = (stream: Stream): (Case | undefined)[] => stream.sent.map(({ body }) => body?.$case);

function bodies<Kind extends Case>(stream: Stream, kind: Kind) {
  return stream.sent.flatMap(({ body }) =>
    body?.$case === kind ? [body.value as Extract<typeof body, { $case: Kind }>['value']] : [],
  );
}

const command = (part: Partial<Command> = {}): ControllerMessage => ({
  body: {
    $case: 'command',
    value: {
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
      ticket: 42,
      ...part,
    },
  },
});

test('the first message is the registration, and nothing follows until it is accepted', async () => {
  const { link, clock, latest, record } = setUp();
  link.start();
  await clock.advance(500);
  record();
  await clock.advance(5_000);
  assert.deepEqual(cases(latest()), ['register']);
});

test('accepted: a snapshot, then a heartbeat, then events as they come', async () => {
  const { latest, record, accepted } = await joined();
  record();
  record();
  await settle();
  assert.deepEqual(cases(latest()), ['register', 'snapshot', 'heartbeat', 'event', 'event']);
  const [snapshot] = bodies(latest(), 'snapshot');
  assert.deepEqual(
    [snapshot?.epoch, snapshot?.seq, snapshot?.last, snapshot?.rows.length, snapshot?.resyncId],
    [1_000, 0, true, 1, ''],
  );
  assert.deepEqual(
    bodies(latest(), 'event').map(({ seq, prev }) => [seq, prev]),
    [
      [1, 0],
      [2, 1],
    ],
  );
  assert.equal(accepted.length, 1);
});

test('events before the snapshot are in it, not behind it', async () => {
  const { link, clock, latest, record } = setUp();
  link.start();
  record();
  await clock.advance(500);
  record();
  latest().say({ body: { $case: 'accepted', value: ACCEPTED } });
  await settle();
  record();
  await settle();
  assert.equal(bodies(latest(), 'snapshot')[0]?.seq, 2);
  assert.deepEqual(
    bodies(latest(), 'event').map(({ seq }) => seq),
    [3],
  );
});

test('payloads do not travel over sessions', async () => {
  const { latest, outbox } = await joined();
  const body = { kind: 'payload', data: Buffer.from('x') } as const;
  outbox.record({ type: 'remote', class: 'P1', group: '', process: '', cause: '', body });
  await settle();
  assert.equal(bodies(latest(), 'event').length, 0);
});

test('heartbeats come at the interval the controller named, at most a tenth later', async () => {
  const { latest, clock } = await joined();
  await clock.advance(22_000);
  assert.equal(bodies(latest(), 'heartbeat').length, 11);
});

test('a large snapshot comes in pieces below the message limit, the last one marked', async () => {
  const { latest, core } = await joined();
  core.list = Array.from({ length: 12_000 }, (_, i) =>
    makeRow({ group: 'app', process: `p${i}`, reason: 'r'.repeat(100) }),
  );
  latest().say({ body: { $case: 'resync', value: { id: 'r1' } } });
  await settle();
  const pieces = bodies(latest(), 'snapshot').slice(1);
  assert.ok(pieces.length > 2);
  assert.deepEqual(
    pieces.map(({ last }) => last),
    pieces.map((_, index) => index === pieces.length - 1),
  );
  assert.ok(pieces.every(({ resyncId }) => resyncId === 'r1'));
  assert.equal(
    pieces.reduce((sum, { rows }) => sum + rows.length, 0),
    12_000,
  );
});

test('a digest of the rows comes every 30 s', async () => {
  const { latest, clock, core } = await joined();
  await clock.advance(61_000);
  const digests = bodies(latest(), 'digest');
  assert.equal(digests.length, 2);
  assert.deepEqual(digests[0]?.sha256, Buffer.from(digestRows(core.rows())));
});

test('a command is carried out and answered with its ticket', async () => {
  const { latest, core } = await joined();
  latest().say(command());
  await settle();
  const [result] = bodies(latest(), 'result');
  assert.deepEqual(
    [result?.ticket, result?.id, result?.outcome, result?.row?.process],
    [42, 'c1', Outcome.OK, 'web'],
  );
  assert.equal(core.requests[0]?.action, 'restart');
});

test('a command that was read after a stall longer than its deadline is not begun', async () => {
  const { latest, core, clock } = await joined();
  await clock.advance(1_000);
  // Stopped: time passes, no timer runs, and the socket is read first.
  const now = clock.nowMs();
  clock.nowMs = () => now + 60_000;
  latest().say(command());
  await settle();
  assert.equal(bodies(latest(), 'result')[0]?.outcome, Outcome.TIMEOUT);
  assert.equal(core.requests.length, 0);
});

test('an unknown message is passed over', async () => {
  const { latest } = await joined();
  latest().say({ body: undefined });
  latest().say(command());
  await settle();
  assert.equal(bodies(latest(), 'result').length, 1);
});

test('a session that breaks is followed by another, which starts with a fresh snapshot', async () => {
  const { latest, clock, streams, record, log } = await joined();
  latest().break(new FleetError('CONTROLLER_UNREACHABLE', 'gone'));
  await settle();
  record();
  await clock.advance(1_000);
  assert.equal(streams.length, 2);
  latest().say({ body: { $case: 'accepted', value: ACCEPTED } });
  await settle();
  assert.deepEqual(cases(latest()), ['register', 'snapshot', 'heartbeat']);
  assert.equal(bodies(latest(), 'snapshot')[0]?.seq, 1);
  assert.ok(log.lines.some((line) => line.includes('gone')));
});

test('pauses grow to 30 s and no further, and one problem is logged once', async () => {
  const { link, clock, refuse, log } = setUp();
  refuse(new FleetError('CONFIG_INVALID', 'certificate expired'));
  link.start();
  await clock.advance(3_600_000);
  assert.equal(log.lines.filter((line) => line.includes('expired')).length, 1);
  refuse(new FleetError('CONFIG_INVALID', 'something else'));
  await clock.advance(30_000);
  assert.equal(log.lines.filter((line) => line.includes('something else')).length, 1);
});

test('a controller that never answers the registration is given up after 10 s', async () => {
  const { link, clock, streams } = setUp();
  link.start();
  await clock.advance(500 + 10_000 + 1_000);
  assert.equal(streams.length, 2);
});

test('a refusal is logged with its reason and its pause is kept', async () => {
  const { link, clock, streams, latest, log } = setUp();
  link.start();
  await clock.advance(500);
  const value = { reason: 'STALE_EPOCH', message: 'epoch 1001 is known', retryAfterMs: 20_000 };
  latest().say({ body: { $case: 'rejected', value } });
  await clock.advance(19_000);
  assert.equal(streams.length, 1);
  await clock.advance(3_000);
  assert.equal(streams.length, 2);
  assert.ok(log.lines.some((line) => line.includes('STALE_EPOCH: epoch 1001 is known')));
});

test('leaving says so, then ends; nothing is dialled again', async () => {
  const { link, latest, clock, streams } = await joined();
  const closed = link.close(true);
  await clock.advance(1_000);
  await closed;
  assert.equal(cases(latest()).at(-1), 'leaving');
  assert.equal(latest().signal.aborted, true);
  await clock.advance(120_000);
  assert.equal(streams.length, 1);
});

test('a controller that reads nothing gets no stale heartbeats later', async () => {
  const { latest, clock, record } = await joined();
  latest().isReading = false;
  for (let i = 0; i < 100; i++) record();
  await clock.advance(60_000);
  const before = bodies(latest(), 'heartbeat').length;
  latest().resume();
  await settle();
  assert.equal(bodies(latest(), 'heartbeat').length, before);
  assert.equal(bodies(latest(), 'event').length, 100);
});
