// gRPC in house terms, over real sockets and real certificates on loopback.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FleetError } from '../../../common/errors.js';
import {
  callUnary,
  deadlineOf,
  dial,
  duplex,
  Handlers,
  readStream,
  serve,
  type CallContext,
  type MessageStream,
  type RpcServer,
} from '../../../common/rpc.js';
import {
  ControlClient,
  ControlService,
  HostsReply,
  TailReply,
} from '../../../proto/gen/fleetvisor/v1/control.js';
import type { AgentMessage } from '../../../proto/gen/fleetvisor/v1/session.js';
import {
  Channel,
  ControllerMessage,
  SessionsClient,
  SessionsService,
} from '../../../proto/gen/fleetvisor/v1/session.js';
import { makeTestFleet, type TestFleet } from '../../support/certificates.js';

let fleet: TestFleet;
let server: RpcServer;
const seen: CallContext[] = [];
const bugs: unknown[] = [];
let tailsTaken = 0;
let connect: (
  stream: MessageStream<AgentMessage, ControllerMessage>,
  context: CallContext,
) => Promise<void>;

before(async () => {
  fleet = await makeTestFleet();
  const onBug = (error: unknown): void => void bugs.push(error);
  const users = new Handlers({ fleet: 'test', peers: ['user'], onBug });
  const hosts = new Handlers({ fleet: 'test', peers: ['host'], onBug });
  const unused = users.unary(() => Promise.reject(new Error('not part of this test')));
  const unusedStream = users.stream(async function* () {
    yield* [];
  });
  server = await serve({
    listen: '127.0.0.1:0',
    tls: await fleet.tls('controller', 'c1'),
    services: [
      {
        definition: ControlService,
        handlers: {
          hosts: users.unary((_request, context) => {
            seen.push(context);
            return Promise.resolve(HostsReply.fromPartial({ replica: 'c1' }));
          }),
          alerts: users.unary(() => {
            throw new FleetError('LOCKED', 'web1 is being rolled — ü', { hint: 'wait for it' });
          }),
          tail: users.stream(async function* () {
            for (;;) {
              tailsTaken++;
              yield TailReply.fromPartial({ data: Buffer.alloc(64 * 1024) });
              await Promise.resolve();
            }
          }),
          status: unusedStream,
          execute: unusedStream,
          events: users.stream(async function* () {
            yield await Promise.resolve({ events: [], live: true, notice: 'first' });
            throw new FleetError('BAD_SELECTOR', 'no such pattern');
          }),
          startRollout: unused,
          watchRollout: unusedStream,
          abortRollout: unused,
          listRollouts: unused,
        },
      },
      {
        definition: SessionsService,
        handlers: {
          connect: hosts.duplex<AgentMessage, ControllerMessage>((stream, context) =>
            connect(stream, context),
          ),
          transfer: hosts.duplex(async () => undefined),
        },
      },
    ],
  });
});
after(async () => {
  await server.close(0);
  fleet.remove();
});

async function control(kind: 'user' | 'host' = 'user'): Promise<ControlClient> {
  const tls = await fleet.tls(kind, kind === 'user' ? 'ann' : 'web1');
  return dial(ControlClient, { address: `127.0.0.1:${server.port}`, tls });
}

test('a call tells the server who calls', async () => {
  const client = await control();
  const reply = await callUnary(client.hosts.bind(client), { hosts: [] }, { timeoutMs: 5000 });
  assert.equal(reply.replica, 'c1');
  assert.deepEqual(seen.at(-1)?.peer, { fleet: 'test', kind: 'user', name: 'ann' });
  client.close();
});

test('an error keeps its code, message and hint on the way', async () => {
  const client = await control();
  const call = callUnary(
    client.alerts.bind(client),
    { includeResolved: false },
    { timeoutMs: 5000 },
  );
  await assert.rejects(call, {
    code: 'LOCKED',
    message: 'web1 is being rolled — ü',
    hint: 'wait for it',
  });
  client.close();
});

test('a stream delivers what came before its error', async () => {
  const client = await control();
  const notices: string[] = [];
  const request = {
    hosts: [],
    types: [],
    selectors: [],
    sinceWallMs: 0,
    untilWallMs: 0,
    follow: false,
    limit: 0,
  };
  const reading = async (): Promise<void> => {
    for await (const reply of readStream(client.events(request, deadlineOf({ timeoutMs: 5000 })))) {
      notices.push(reply.notice);
    }
  };
  await assert.rejects(reading(), { code: 'BAD_SELECTOR' });
  assert.deepEqual(notices, ['first']);
  client.close();
});

test('a reader that stops reading stops the sender, and leaving the loop ends the call', async () => {
  const client = await control();
  const request = {
    target: undefined,
    channel: Channel.STDOUT,
    follow: true,
    bytes: 0,
    lines: 0,
  };
  let taken = 0;
  const stream = readStream(client.tail(request, {}));
  await stream.next();
  // The sender goes on until the windows are full, then stands still although it never waits by itself.
  let before = -1;
  while (before !== tailsTaken) {
    before = tailsTaken;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(tailsTaken < 100, `${tailsTaken} messages of 64 KiB were taken ahead of the reader`);
  for await (const reply of stream) {
    assert.equal(reply.data.length, 64 * 1024);
    if (++taken === 200) break;
  }
  assert.ok(tailsTaken >= 200);
  client.close();
});

test('a certificate of the wrong kind is refused by the service', async () => {
  const client = await control('host');
  const call = callUnary(client.hosts.bind(client), { hosts: [] }, { timeoutMs: 5000 });
  await assert.rejects(call, {
    code: 'IDENTITY_REJECTED',
    message: /spiffe:\/\/test\/host\/web1 may not/,
  });
  client.close();
});

test('a server that is no controller is refused by the client', async () => {
  const impostor = await serve({
    listen: '127.0.0.1:0',
    tls: await fleet.tls('host', 'web1'),
    services: [],
  });
  const address = `127.0.0.1:${impostor.port}`;
  const client = dial(ControlClient, { address, tls: await fleet.tls('user', 'ann') });
  const call = callUnary(client.hosts.bind(client), { hosts: [] }, { timeoutMs: 5000 });
  await assert.rejects(call, {
    code: 'CONTROLLER_UNREACHABLE',
    message: /the peer is spiffe:\/\/test\/host\/web1, expected spiffe:\/\/test\/controller\/\*/,
  });
  client.close();
  await impostor.close(0);
});

test('a certificate of another authority gets no connection', async () => {
  const stranger = await makeTestFleet();
  const { ca } = await fleet.tls('user', 'ann');
  const tls = { ...(await stranger.tls('user', 'eve')), ca };
  const client = dial(ControlClient, { address: `127.0.0.1:${server.port}`, tls });
  const call = callUnary(client.hosts.bind(client), { hosts: [] }, { timeoutMs: 5000 });
  await assert.rejects(call, { code: 'CONTROLLER_UNREACHABLE' });
  client.close();
  stranger.remove();
});

test('both directions of a session carry messages until one side ends it', async () => {
  const got: string[] = [];
  let ended = false;
  connect = async (stream, context) => {
    assert.equal(context.peer.name, 'web1');
    for await (const message of stream.incoming) {
      if (message.body?.$case !== 'leaving') continue;
      got.push(message.body.value.reason);
      await stream.send(
        ControllerMessage.fromPartial({
          body: { $case: 'resync', value: { id: `r${got.length}` } },
        }),
      );
    }
    ended = true;
  };
  const address = `127.0.0.1:${server.port}`;
  const client = dial(SessionsClient, { address, tls: await fleet.tls('host', 'web1') });
  const stream = duplex<ControllerMessage, AgentMessage>(client.connect());
  const answers: string[] = [];
  assert.ok(await stream.send({ body: { $case: 'leaving', value: { reason: 'one' } } }));
  for await (const message of stream.incoming) {
    answers.push(message.body?.$case === 'resync' ? message.body.value.id : '?');
    if (answers.length === 1)
      await stream.send({ body: { $case: 'leaving', value: { reason: 'two' } } });
    else stream.end();
  }
  assert.deepEqual([got, answers, ended], [['one', 'two'], ['r1', 'r2'], true]);
  assert.equal(await stream.send({ body: undefined }), false, 'sending after the end tells so');
  client.close();
});

test('a session whose client vanishes ends for the server without an error', async () => {
  let over: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (over = resolve));
  connect = async (stream, context) => {
    await stream.send({ body: undefined });
    for await (const message of stream.incoming) assert.ok(message);
    // The end of the messages may be seen a moment before the cause.
    if (context.signal.aborted) over();
    else context.signal.addEventListener('abort', over);
  };
  const address = `127.0.0.1:${server.port}`;
  const client = dial(SessionsClient, { address, tls: await fleet.tls('host', 'web1') });
  const stream = duplex<ControllerMessage, AgentMessage>(client.connect());
  const first = await stream.incoming[Symbol.asyncIterator]().next();
  assert.equal(first.done, false);
  stream.cancel();
  await done;
  assert.ok(stream.signal.aborted);
  client.close();
});

test('an unexpected exception is INTERNAL for the caller and reported to the server', async () => {
  const client = await control();
  const call = callUnary(client.listRollouts.bind(client), {}, { timeoutMs: 5000 });
  await assert.rejects(call, { code: 'INTERNAL' });
  assert.match(String(bugs.at(-1)), /not part of this test/);
  client.close();
});

test('a port that is taken is said plainly', async () => {
  const again = serve({
    listen: `127.0.0.1:${server.port}`,
    tls: await fleet.tls('controller', 'c1'),
    services: [],
  });
  await assert.rejects(again, {
    code: 'CONFIG_INVALID',
    message: new RegExp(`cannot listen on 127.0.0.1:${server.port}`),
  });
});
