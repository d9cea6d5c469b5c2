// Logs on their way to a reader that is quick, slow, or gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Channel,
  type TailSpec,
  type TransferDown,
  type TransferUp,
} from '../../../../proto/gen/fleetvisor/v1/session.js';
import { Transfers } from '../../../../agent/link/transfer.js';
import { FakeCore } from '../../../support/fake-core.js';
import { FakeStream } from '../../../support/fake-stream.js';
import { settle } from '../../../support/sim-clock.js';

type Stream = FakeStream<TransferDown, TransferUp>;

function setUp() {
  const core = new FakeCore();
  const streams: Stream[] = [];
  const transfers = new Transfers(core, () => {
    const stream: Stream = new FakeStream();
    streams.push(stream);
    return stream;
  });
  return { core, streams, transfers };
}

const spec = (part: Partial<TailSpec> = {}): TailSpec => ({
  group: 'app',
  process: 'web',
  channel: Channel.STDOUT,
  follow: false,
  bytes: 0,
  lines: 0,
  ...part,
});

const textOf = (stream: Stream | undefined): string =>
  (stream?.sent ?? [])
    .map(({ body }) => (body?.$case === 'tail' ? body.value.data.toString() : ''))
    .join('');
const endOf = (stream: Stream | undefined) =>
  stream?.sent.flatMap(({ body }) => (body?.$case === 'end' ? [body.value] : []))[0];
const gapsOf = (stream: Stream | undefined): number =>
  (stream?.sent ?? []).reduce(
    (sum, { body }) => sum + (body?.$case === 'tail' ? body.value.gapBytes : 0),
    0,
  );

test('a tail says whom it answers, sends what there is, and ends', async () => {
  const { core, streams, transfers } = setUp();
  core.log.write('one\ntwo\n');
  transfers.open('t1', spec({ bytes: 4 }));
  await settle();
  const [stream] = streams;
  assert.deepEqual(stream?.sent[0]?.body, { $case: 'opened', value: { transferId: 't1' } });
  assert.equal(textOf(stream), 'two\n');
  assert.deepEqual(endOf(stream), { fault: '', message: '' });
  assert.equal(stream?.hasEnded, true);
  assert.equal(core.log.openFollowers, 0);
});

test('a tail without follow ends although the program goes on writing', async () => {
  const { core, streams, transfers } = setUp();
  core.log.write(Buffer.alloc(300_000, 'a'));
  const open = core.openLog.bind(core);
  core.openLog = (...place) => {
    const log = open(...place);
    if ('fault' in log) return log;
    const read = (bytesMax: number) => {
      core.log.write(Buffer.alloc(100_000, 'b'));
      return log.read(bytesMax);
    };
    return { ...log, read };
  };
  transfers.open('t1', spec());
  await settle();
  await settle();
  assert.equal(textOf(streams[0]).length, 300_000);
  assert.equal(textOf(streams[0]).includes('b'), false);
  assert.notEqual(endOf(streams[0]), undefined);
});

for (const [what, part, fault] of [
  ['an unknown process', { process: 'nobody' }, 'BAD_NAME'],
  ['a channel that is not logged', { channel: Channel.STDERR }, 'NO_FILE'],
] as const) {
  test(`${what} is told as ${fault}`, async () => {
    const { streams, transfers } = setUp();
    transfers.open('t1', spec(part));
    await settle();
    assert.equal(endOf(streams[0])?.fault, fault);
    assert.notEqual(endOf(streams[0])?.message, '');
  });
}

test('a follower gets new bytes until it is closed', async () => {
  const { core, streams, transfers } = setUp();
  transfers.open('t1', spec({ follow: true }));
  await settle();
  core.log.write('hello\n');
  await settle();
  core.log.write('again\n');
  await settle();
  assert.equal(textOf(streams[0]), 'hello\nagain\n');
  assert.equal(endOf(streams[0]), undefined);
  transfers.close('t1');
  await settle();
  assert.notEqual(endOf(streams[0]), undefined);
  assert.equal(core.log.openFollowers, 0);
});

test('a reader that stopped holds one chunk, then skips ahead and is told how much', async () => {
  const { core, streams, transfers } = setUp();
  transfers.open('t1', spec({ follow: true }));
  await settle();
  const [stream] = streams;
  assert.ok(stream !== undefined);
  stream.isReading = false;
  for (let i = 0; i < 50; i++) {
    core.log.write(Buffer.alloc(100_000, 'x'));
    await settle();
  }
  assert.equal(stream.pending, 1);
  stream.resume();
  await settle();
  core.log.write('end\n');
  await settle();
  assert.equal(gapsOf(stream) + textOf(stream).length, core.log.data.length);
  assert.ok(gapsOf(stream) > 4_000_000);
  assert.ok(textOf(stream).endsWith('end\n'));
});

test('a reader less than 1 MiB behind loses nothing', async () => {
  const { core, streams, transfers } = setUp();
  transfers.open('t1', spec({ follow: true }));
  await settle();
  const [stream] = streams;
  assert.ok(stream !== undefined);
  stream.isReading = false;
  for (let i = 0; i < 10; i++) {
    core.log.write(Buffer.alloc(100_000, 'x'));
    await settle();
  }
  stream.resume();
  await settle();
  assert.equal(gapsOf(stream), 0);
  assert.equal(textOf(stream).length, 1_000_000);
});

test('a follower that asked for a long beginning gets it', async () => {
  const { core, streams, transfers } = setUp();
  core.log.write(Buffer.alloc(3_000_000, 'x'));
  transfers.open('t1', spec({ follow: true, bytes: 3_000_000 }));
  for (let i = 0; i < 10; i++) await settle();
  assert.equal(gapsOf(streams[0]), 0);
  assert.equal(textOf(streams[0]).length, 3_000_000);
});

test('closing a transfer whose reader stopped frees the log', async () => {
  const { core, streams, transfers } = setUp();
  transfers.open('t1', spec({ follow: true }));
  await settle();
  const [stream] = streams;
  assert.ok(stream !== undefined);
  stream.isReading = false;
  core.log.write('stuck\n');
  await settle();
  transfers.close('t1');
  await settle();
  assert.equal(stream.signal.aborted, true);
  assert.equal(core.log.openFollowers, 0);
});

test('cancel from the controller ends the transfer', async () => {
  const { core, streams, transfers } = setUp();
  transfers.open('t1', spec({ follow: true }));
  await settle();
  streams[0]?.say({ body: { $case: 'cancel', value: true } });
  await settle();
  assert.equal(core.log.openFollowers, 0);
});

test('more than a hundred logs at once are refused as busy', async () => {
  const { streams, transfers } = setUp();
  for (let i = 0; i <= 100; i++) transfers.open(`t${i}`, spec({ follow: true }));
  await settle();
  assert.equal(streams.filter((stream) => endOf(stream) !== undefined).length, 1);
  assert.equal(endOf(streams[100])?.fault, 'BUSY');
  transfers.closeAll();
});
