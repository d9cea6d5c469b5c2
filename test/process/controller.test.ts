// A controller over real gRPC and mutual TLS, with agents that do what a test says; without a bus.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { digestRows } from '../../common/digest.js';
import { FleetError } from '../../common/errors.js';
import { callUnary, dial, readStream } from '../../common/rpc.js';
import { eventFromWire, hostRowsFromWire, outcomeFromWire } from '../../common/wire.js';
import {
  ControlClient,
  type EventsReply,
  type ExecuteReply,
  type HostRows,
  type StatusSummary,
  type TailReply,
  type Target,
} from '../../proto/gen/fleetvisor/v1/control.js';
import { Action, Channel, Outcome, type Command } from '../../proto/gen/fleetvisor/v1/session.js';
import { FakeAgent, type FakeAgentPlan } from '../support/fake-agent.js';
import { startTestController, targetOf, type TestController } from '../support/controller.js';
import { makeRow } from '../support/rows.js';
import { until } from '../support/wait.js';

const LIMITS = { timeoutMs: 20_000 };

let controller: TestController;
let ctl: ControlClient;
const agents: FakeAgent[] = [];

before(async () => {
  controller = await startTestController('[limits]\nheartbeat=200ms\nsuspect=600ms\ndown=1500ms');
  ctl = await controller.control();
});

after(async () => {
  await Promise.all(agents.map((agent) => agent.close()));
  await controller.stop();
});

async function connect(host: string, plan: Partial<FakeAgentPlan> = {}): Promise<FakeAgent> {
  const tls = await controller.fleet.tls('host', host);
  const agent = new FakeAgent({ host, tls, address: controller.address, ...plan });
  agents.push(agent);
  return agent;
}

async function join(host: string, plan: Partial<FakeAgentPlan> = {}): Promise<FakeAgent> {
  const agent = await (await connect(host, plan)).ready();
  await until(`${host} up`, async () => (await stateOf(host)) === 'up');
  return agent;
}

async function headerOf(host: string) {
  const { hosts } = await callUnary(ctl.hosts.bind(ctl), { hosts: [host] }, LIMITS);
  return hosts[0];
}

async function stateOf(host: string): Promise<string | undefined> {
  return (await headerOf(host))?.state;
}

async function status(
  part: Partial<Target> = {},
): Promise<{ hosts: HostRows[]; summary: StatusSummary | undefined }> {
  const hosts: HostRows[] = [];
  let summary: StatusSummary | undefined;
  for await (const chunk of readStream(ctl.status({ target: targetOf(part) }))) {
    hosts.push(...chunk.hosts);
    summary ??= chunk.summary;
  }
  return { hosts, summary };
}

async function execute(
  part: Partial<Target>,
  more: { id?: string; deadlineMs?: number } = {},
): Promise<ExecuteReply['body'][]> {
  const bodies: ExecuteReply['body'][] = [];
  const request = {
    id: more.id ?? 'id-1',
    action: Action.RESTART,
    target: targetOf(part),
    signal: '',
    deadlineMs: more.deadlineMs ?? 0,
    preconditions: undefined,
  };
  for await (const { body } of readStream(ctl.execute(request))) bodies.push(body);
  return bodies;
}

/** `host:group:process outcome` of every result, sorted. */
function outcomes(bodies: ExecuteReply['body'][]): string[] {
  return bodies
    .flatMap((body) => (body?.$case === 'result' ? [body.value] : []))
    .map(
      ({ outcome, target }) =>
        `${target?.host}:${target?.group}:${target?.process} ${outcomeFromWire(outcome)}`,
    )
    .sort();
}

test('an agent registers, tells its rows and is shown with them', async () => {
  const rows = [makeRow({ process: 'b', priority: 2 }), makeRow({ process: 'a', priority: 1 })];
  await join('web1', { rows, labels: { role: 'web' } });
  const { hosts, summary } = await status({ hosts: ['web1'] });
  const [shown] = hosts.map(hostRowsFromWire);
  assert.equal(shown?.header.state, 'up');
  assert.equal(shown.header.freshness, 'fresh');
  assert.equal(shown.header.labels.get('role'), 'web');
  assert.deepEqual(shown.rows, [rows[1], rows[0]]);
  assert.equal(summary?.replica, 'c1');
  assert.equal(summary.warmingUp, true);
});

test('a change on a host is shown in the next status', async () => {
  const agent = await join('change1', { rows: [makeRow()] });
  agent.changed('RUNNING', makeRow({ state: 'EXITED', pid: 0, seq: 1 }));
  await until('EXITED', async () => {
    const { hosts } = await status({ hosts: ['change1'] });
    return hosts[0] !== undefined && hostRowsFromWire(hosts[0]).rows[0]?.state === 'EXITED';
  });
});

test('selected rows are sent alone, and a selector that matches nothing is named', async () => {
  await join('select1', { rows: [makeRow({ process: 'a' }), makeRow({ process: 'b' })] });
  const { hosts, summary } = await status({ selectors: ['select1:app:b', 'select1:app:nope'] });
  assert.deepEqual(
    hosts.map(({ rows }) => rows.map(({ process }) => process)),
    [['b']],
  );
  assert.deepEqual(summary?.problems, [
    { selector: 'select1:app:nope', message: 'no such process' },
  ]);
});

test('a missing event leads to a snapshot', async () => {
  const agent = await join('gap1', { rows: [makeRow({ state: 'FATAL', pid: 0 })] });
  agent.seq += 5;
  agent.changed('RUNNING', makeRow({ state: 'FATAL', pid: 0, seq: 6 }));
  const resync = await agent.message('resync');
  assert.notEqual(resync.id, '');
  await until('fresh again', async () => (await headerOf('gap1'))?.seq === 6);
});

test('a restart reaches exactly the selected processes and shows each result', async () => {
  const onCommand = (command: Command) => ({
    outcome: command.process === 'bad' ? Outcome.FAILED : Outcome.OK,
    fault: command.process === 'bad' ? 'SPAWN_ERROR' : '',
  });
  const rows = [makeRow({ process: 'good' }), makeRow({ process: 'bad' }), makeRow({ group: 'x' })];
  const agent = await join('exec1', { rows, onCommand });
  const bodies = await execute({ selectors: ['exec1:app:*'] });
  assert.equal(bodies[0]?.$case, 'resolved');
  assert.deepEqual(outcomes(bodies), ['exec1:app:bad failed', 'exec1:app:good ok']);
  assert.deepEqual(agent.commands.map(({ process }) => process).sort(), ['bad', 'good']);
  const [command] = agent.commands;
  assert.equal(command?.actor, 'anna');
  // stopwaitsecs 10 + startsecs 1 + 20 s, at most: it is the time left.
  assert.equal(command?.deadlineLeftMs, 31_000);
});

test('a host without a session is unreachable at once while the others act', async () => {
  const gone = await join('gone1', {});
  await join('here1', { onCommand: () => ({}) });
  await gone.close();
  await until('gone', async () => (await stateOf('gone1')) !== 'up');
  const bodies = await execute({ selectors: ['{gone,here}1:*:*'] });
  assert.deepEqual(outcomes(bodies), ['gone1:app:app unreachable', 'here1:app:app ok']);
});

test('a session lost after the command was sent leaves the outcome unknown', async () => {
  const agent = await join('lost1', { onCommand: () => undefined });
  const running = execute({ selectors: ['lost1:*:*'] });
  await agent.message('command');
  await agent.close();
  assert.deepEqual(outcomes(await running), ['lost1:app:app timeout']);
});

test('a deadline that passes leaves the outcome unknown', async () => {
  await join('late1', { onCommand: () => undefined });
  const bodies = await execute({ selectors: ['late1:*:*'] }, { deadlineMs: 50 });
  assert.deepEqual(outcomes(bodies), ['late1:app:app timeout']);
});

test('acting without a host scope is refused and names the flag', async () => {
  await assert.rejects(execute({ selectors: ['app'], allHosts: false }), (error) => {
    assert.ok(error instanceof FleetError);
    assert.equal(error.code, 'SCOPE_MISSING');
    assert.match(error.hint, /--all-hosts/);
    return true;
  });
});

test('a silent host becomes suspect and down, keeps its rows, and they are never called fresh', async () => {
  const agent = await join('silent1', {});
  await agent.close();
  await until('suspect', async () => (await stateOf('silent1')) === 'suspect');
  await until('down', async () => (await stateOf('silent1')) === 'down');
  const [host] = (await status({ hosts: ['silent1'] })).hosts;
  assert.equal(host?.header?.freshness, 'lost');
  assert.equal(host.rows.length, 1);
  assert.ok((host.header.ageMs ?? 0) > 0);
});

test('a host that says goodbye has left', async () => {
  const agent = await join('bye1', {});
  agent.say('leaving', { reason: 'shutdown' });
  await until('left', async () => (await stateOf('bye1')) === 'left');
});

test('an agent whose certificate is for another host is refused', async () => {
  const tls = await controller.fleet.tls('host', 'other1');
  const agent = await connect('mismatch1', { tls });
  const { reason } = await agent.message('rejected');
  assert.equal(reason, 'IDENTITY_MISMATCH');
});

test('a second machine of the same name is refused while the first is up', async () => {
  await join('twin1', { hostUid: 'first' });
  const second = await connect('twin1', { hostUid: 'second' });
  assert.equal((await second.message('rejected')).reason, 'IDENTITY_CONFLICT');
  assert.equal(await stateOf('twin1'), 'up');
});

test('a later life of an agent takes over, an earlier one is refused', async () => {
  const first = await join('life1', { epoch: 10 });
  await join('life1', { epoch: 11 });
  await first.over;
  const stale = await connect('life1', { epoch: 9 });
  assert.equal((await stale.message('rejected')).reason, 'STALE_EPOCH');
});

test('a certificate of a host may not call what ctl calls', async () => {
  const tls = await controller.fleet.tls('host', 'web1');
  const client = dial(ControlClient, { address: controller.address, tls });
  try {
    await assert.rejects(callUnary(client.hosts.bind(client), { hosts: [] }, LIMITS), {
      code: 'IDENTITY_REJECTED',
    });
  } finally {
    client.close();
  }
});

test('events are told live, once and in order, and remembered without a bus', async () => {
  const agent = await join('event1', {});
  const request = {
    hosts: ['event1'],
    types: ['process.'],
    selectors: [],
    sinceWallMs: 0,
    untilWallMs: 0,
    follow: true,
    limit: 3,
  };
  const replies: EventsReply[] = [];
  const read = async (): Promise<void> => {
    for await (const reply of readStream(ctl.events(request))) {
      replies.push(reply);
      if (!reply.live || replies.length > 1) continue;
      agent.changed('RUNNING', makeRow({ state: 'EXITED' }));
      agent.changed('EXITED', makeRow({ state: 'STARTING' }));
      agent.changed('STARTING', makeRow({ state: 'RUNNING' }));
    }
  };
  await read();
  const seqs = replies.flatMap(({ events }) => events.map((event) => eventFromWire(event).seq));
  assert.deepEqual(seqs, [1, 2, 3]);

  const past: number[] = [];
  for await (const reply of readStream(ctl.events({ ...request, follow: false, limit: 0 }))) {
    past.push(...reply.events.map(({ seq }) => seq));
  }
  assert.deepEqual(past, [1, 2, 3]);
});

test('changes of a host are events of their own', async () => {
  const agent = await join('hostevent1', {});
  await agent.close();
  await until('down', async () => (await stateOf('hostevent1')) === 'down');
  const request = {
    hosts: ['hostevent1'],
    types: ['host.'],
    selectors: [],
    sinceWallMs: 1,
    untilWallMs: 0,
    follow: false,
    limit: 0,
  };
  const types: string[] = [];
  for await (const { events } of readStream(ctl.events(request))) {
    types.push(...events.map(({ type }) => type));
  }
  assert.deepEqual(types, ['host.up', 'host.suspect', 'host.down']);
});

test('logs of several hosts arrive in order, with their gaps and their ends', async () => {
  const plan = (text: string): Partial<FakeAgentPlan> => ({
    onTransfer: (_open, stream) => {
      const chunk = (data: string, gapBytes: number) =>
        stream.send({
          body: {
            $case: 'tail',
            value: { data: Buffer.from(data), gapBytes, offset: 0, generation: 1 },
          },
        });
      void chunk(`${text} 1\n`, 0);
      void chunk(`${text} 2\n`, 7);
      void stream.send({ body: { $case: 'end', value: { fault: '', message: '' } } });
      stream.end();
    },
  });
  await join('tail1', plan('one'));
  await join('tail2', plan('two'));
  const replies: TailReply[] = [];
  const request = {
    target: targetOf({ selectors: ['tail{1,2}:*:*'] }),
    channel: Channel.STDOUT,
    follow: false,
    bytes: 0,
    lines: 10,
  };
  for await (const reply of readStream(ctl.tail(request))) replies.push(reply);
  for (const [host, text] of [
    ['tail1', 'one'],
    ['tail2', 'two'],
  ]) {
    const own = replies.filter(({ target }) => target?.host === host);
    assert.equal(own.map(({ data }) => data.toString()).join(''), `${text} 1\n${text} 2\n`);
    assert.deepEqual(
      own.map(({ gapBytes }) => gapBytes),
      [0, 7, 0],
    );
    assert.equal(own.at(-1)?.end, true);
  }
});

test('a reader that stops is felt by the agent, and its other streams go on', async () => {
  let sent = 0;
  await join('flood1', {
    onTransfer: (_open, stream) => {
      const data = Buffer.alloc(64 * 1024, 'x');
      const run = async (): Promise<void> => {
        const value = { data, gapBytes: 0, offset: 0, generation: 1 };
        while (await stream.send({ body: { $case: 'tail', value } })) sent += data.length;
      };
      void run();
    },
  });
  const request = {
    target: targetOf({ selectors: ['flood1:*:*'] }),
    channel: Channel.STDOUT,
    follow: true,
    bytes: 0,
    lines: 10,
  };
  const call = ctl.tail(request);
  call.on('error', () => undefined);
  call.once('data', () => call.pause());
  // Flow control has the last word when nothing more goes out; until then bytes move along.
  let before = -1;
  await until('the flood to stand still', async () => {
    const still = sent > 0 && sent === before;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return still;
  });
  assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes are on their way to a reader that stopped`);
  assert.equal(await stateOf('flood1'), 'up');
  call.cancel();
});

test('HTTP tells health and metrics, and changes nothing', async () => {
  const base = `http://127.0.0.1:${controller.httpPort}`;
  assert.equal((await fetch(`${base}/healthz`)).status, 200);
  assert.match(await (await fetch(`${base}/metrics`)).text(), /^fleetvisor_hosts\{state="up"\} /m);
  assert.equal((await fetch(`${base}/metrics`, { method: 'POST' })).status, 405);
});

test('a session that falls silent is closed', async () => {
  const agent = await connect('mute1', {});
  await agent.message('accepted');
  agent.snapshot('');
  await agent.over;
});

test('a digest that differs at an equal cursor leads to a snapshot, one that fits does not', async () => {
  const agent = await join('digest1', { rows: [makeRow({ seq: 0 })] });
  const digest = (sha256: Uint8Array): void =>
    agent.say('digest', { epoch: agent.epoch, seq: agent.seq, sha256: Buffer.from(sha256) });
  digest(digestRows([makeRow({ seq: 0 })]));
  await callUnary(ctl.hosts.bind(ctl), { hosts: [] }, LIMITS);
  assert.ok(!agent.messages.some(({ body }) => body?.$case === 'resync'));
  digest(Buffer.alloc(32));
  await agent.message('resync');
});
