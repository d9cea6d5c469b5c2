// The pool of sessions: commands find their answers, deadlines pass, newer sessions take over, logs are opened.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { silentLogger } from '../../../common/log.js';
import { AGENT_LIMITS, Agents, COMMANDS_MAX, type Session } from '../../../controller/agents.js';
import { Feed } from '../../../controller/feed.js';
import { HEALTH_TIMES } from '../../../controller/fleet/health.js';
import {
  Action,
  Channel,
  Outcome,
  type Command,
  type CommandResult,
  type ControllerMessage,
  type TransferDown,
  type TransferUp,
} from '../../../proto/gen/fleetvisor/v1/session.js';
import type { MessageStream } from '../../../common/rpc.js';
import { settle, SimClock } from '../../support/sim-clock.js';

let clock: SimClock;
let feed: Feed;
let agents: Agents;
const waits = new AbortController().signal;

beforeEach(() => {
  clock = new SimClock();
  feed = new Feed(clock, HEALTH_TIMES);
  agents = new Agents(feed, clock, silentLogger, { ...AGENT_LIMITS, admissionsPerSecond: 10 });
});

interface FakeSession extends Session {
  readonly sent: ControllerMessage[];
  closed: boolean;
}

function open(host: string, epoch = 1): FakeSession {
  const sent: ControllerMessage[] = [];
  const labels = new Map<string, string>();
  const session: FakeSession = {
    facts: { host, hostUid: `uid-${host}`, epoch, agentVersion: '1', labels },
    sent,
    closed: false,
    send: (message) => {
      sent.push(message);
      return Promise.resolve(true);
    },
    close: () => {
      session.closed = true;
    },
  };
  agents.open(session, '10.0.0.1:1', false, 2_000);
  return session;
}

function command(part: Partial<Command> = {}): Omit<Command, 'ticket'> {
  return {
    id: 'id',
    actor: 'anna',
    action: Action.STOP,
    group: 'app',
    process: 'app',
    signal: '',
    deadlineLeftMs: 5_000,
    preconditions: undefined,
    rollout: undefined,
    cause: '',
    ...part,
  };
}

function sentCommands(session: FakeSession): Command[] {
  return session.sent.flatMap(({ body }) => (body?.$case === 'command' ? [body.value] : []));
}

function resultFor({ ticket, id, group, process }: Command): CommandResult {
  const rest = { fault: '', message: '', row: undefined, repeatedAnswer: false, unsaved: false };
  return { ticket, id, group, process, outcome: Outcome.OK, ...rest };
}

function claim(host: string, epoch = 1) {
  const hostUid = `uid-${host}`;
  return { host, provenHost: host, hostUid, epoch, protocolMin: 1, protocolMax: 1 };
}

test('an answer finds the command it belongs to, whatever the order', async () => {
  const session = open('web1');
  const first = agents.command('web1', command({ process: 'a' }), waits);
  const second = agents.command('web1', command({ process: 'b' }), waits);
  const [a, b] = sentCommands(session) as [Command, Command];
  agents.result(session, resultFor(b));
  agents.result(session, resultFor(a));
  const answers = await Promise.all([first, second]);
  assert.deepEqual(
    answers.map((answer) => (answer.kind === 'answered' ? answer.result.process : answer.kind)),
    ['a', 'b'],
  );
});

test('a host without a session is unreachable at once', async () => {
  assert.deepEqual(await agents.command('web1', command(), waits), { kind: 'unreachable' });
});

test('a deadline that passes, and a session that is lost, leave the outcome unknown', async () => {
  const session = open('web1');
  const late = agents.command('web1', command({ deadlineLeftMs: 1_000 }), waits);
  const lost = agents.command('web1', command(), waits);
  await clock.advance(1_000);
  assert.equal((await late).kind, 'timeout');
  agents.closed(session);
  assert.equal((await lost).kind, 'timeout');
  assert.equal(agents.isConnected('web1'), false);
});

test('an answer after its deadline is ignored', async () => {
  const session = open('web1');
  const late = agents.command('web1', command({ deadlineLeftMs: 1_000 }), waits);
  await clock.advance(1_000);
  await late;
  agents.result(session, resultFor(sentCommands(session)[0] as Command));
});

test('more commands than an agent takes are busy', async () => {
  open('web1');
  for (let i = 0; i < COMMANDS_MAX; i++) void agents.command('web1', command(), waits);
  assert.deepEqual(await agents.command('web1', command(), waits), { kind: 'busy' });
});

test('a newer session takes over: the older is closed and its end changes nothing', async () => {
  const older = open('web1', 1);
  const waiting = agents.command('web1', command(), waits);
  const newer = open('web1', 2);
  assert.equal(older.closed, true);
  assert.equal((await waiting).kind, 'timeout');
  agents.closed(older);
  assert.equal(agents.isCurrent(newer), true);
  assert.equal(agents.isCurrent(older), false);
});

test('admissions are limited by the second, and the rest is asked back one after another', async () => {
  const answers = Array.from({ length: 40 }, (_, i) => agents.admit(claim(`h${i}`)));
  assert.equal(answers.filter(({ kind }) => kind === 'accepted').length, 10);
  const delays = answers.flatMap((answer) =>
    answer.kind === 'rejected' ? [answer.retryAfterMs] : [],
  );
  assert.equal(delays.length, 30);
  assert.deepEqual(
    delays,
    [...new Set(delays)].sort((a, b) => a - b),
    'each has its own turn',
  );
  await clock.advance(1_000);
  assert.equal(agents.admit(claim('h39')).kind, 'accepted');
});

test('a snapshot is asked for once, and again when the answer does not come', async () => {
  const session = open('web1');
  const asked = (): string[] =>
    session.sent.flatMap(({ body }) => (body?.$case === 'resync' ? [body.value.id] : []));
  feed.onResyncWanted('web1');
  feed.onResyncWanted('web1');
  assert.equal(asked().length, 1);
  await clock.advance(10_000);
  feed.onResyncWanted('web1');
  assert.equal(asked().length, 2);
  agents.snapshotCame('web1', asked()[1] as string);
  feed.onResyncWanted('web1');
  assert.equal(asked().length, 3);
});

/** A transfer that only knows whether it was cancelled. */
function fakeTransfer() {
  const over = new AbortController();
  const stream: MessageStream<TransferUp, TransferDown> = {
    incoming: (async function* () {})(),
    send: () => Promise.resolve(true),
    pending: 0,
    end: () => undefined,
    cancel: () => over.abort(),
    signal: over.signal,
  };
  return stream;
}

const TAIL = {
  group: 'app',
  process: 'app',
  channel: Channel.STDOUT,
  follow: true,
  bytes: 0,
  lines: 10,
};

test('a transfer goes to who asked for it, and only from the host that was asked', async () => {
  const session = open('web1');
  const stop = new AbortController();
  const opening = agents.openTail('web1', TAIL, stop.signal);
  const { body } = session.sent[0] as ControllerMessage;
  assert.equal(body?.$case, 'openTransfer');
  const { transferId } = body.value;
  const stream = fakeTransfer();
  assert.equal(agents.takeTransfer('web2', transferId, stream), false);
  assert.equal(agents.takeTransfer('web1', transferId, stream), true);
  assert.equal(agents.takeTransfer('web1', transferId, stream), false);
  assert.equal(await opening, stream);
  stop.abort();
  assert.equal(stream.signal.aborted, true);
});

test('an agent that does not open the log is told to forget it', async () => {
  const session = open('web1');
  const opening = agents.openTail('web1', TAIL, waits);
  await clock.advance(10_000);
  assert.match(String(await opening), /did not open/);
  await settle();
  assert.equal(session.sent.at(-1)?.body?.$case, 'closeTransfer');
});

test('a log of a host without a session is unreachable', async () => {
  assert.equal(await agents.openTail('web1', TAIL, waits), 'unreachable');
});
