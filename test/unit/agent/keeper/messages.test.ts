// Spawn requests and child records on the keeper's wire: what is refused before it is sent, what statuses mean.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeChild,
  decodeNotice,
  encodeForSpawn,
  encodeSpawn,
  waitStatus,
} from '../../../../agent/keeper/messages.js';
import {
  bytesField,
  Field,
  type Frame,
  FrameReader,
  FrameWriter,
  Message,
  numberField,
  ProtocolError,
  textField,
} from '../../../../agent/keeper/protocol.js';
import type { SpawnRequest } from '../../../../agent/spawner.js';

const REQUEST: SpawnRequest = {
  spawn: 9,
  tag: 'web:web',
  path: '/bin/sh',
  argv: ['sh', '-c', 'true'],
  env: { A: '1', B: 'x=y' },
  cwd: undefined,
  credentials: undefined,
  umask: undefined,
  rlimits: [],
  stdin: { kind: 'pipe' },
  stdout: { kind: 'null' },
  stderr: { kind: 'stdout' },
};

function read(bytes: Buffer): Frame {
  const [frame] = new FrameReader().push(bytes);
  assert.ok(frame);
  return frame;
}

const texts = (frame: Frame, tag: number): string[] =>
  frame.fields
    .filter((field) => field.tag === tag)
    .map((field) => field.data.toString().slice(0, -1));

test('a spawn carries what it was given and leaves out what it was not', () => {
  const frame = read(encodeSpawn(REQUEST, 4, '/srv'));
  assert.equal(frame.type, Message.spawn);
  assert.equal(frame.id, 4);
  assert.deepEqual(texts(frame, Field.arg), ['sh', '-c', 'true']);
  assert.deepEqual(texts(frame, Field.env), ['A=1', 'B=x=y']);
  assert.equal(textField(frame, Field.cwd), '/srv');
  assert.equal(textField(frame, Field.stdin), 'pipe');
  assert.equal(textField(frame, Field.stderr), 'stdout');
  for (const tag of [
    Field.uid,
    Field.groups,
    Field.umask,
    Field.rlimit,
    Field.session,
    Field.nice,
  ]) {
    assert.equal(bytesField(frame, tag), undefined);
  }
});

test('users, groups, limits and sockets have their own forms', () => {
  const frame = read(
    encodeSpawn(
      {
        ...REQUEST,
        credentials: { uid: 0, gid: 5, groups: [5, 70000] },
        rlimits: [{ resource: 7, soft: 1024, hard: Infinity }],
        stdin: { kind: 'socket', name: 'fcgi' },
        nice: -5,
        oomScoreAdj: -100,
        newSession: true,
      },
      1,
      '/',
    ),
  );
  assert.equal(numberField(frame, Field.uid), 0);
  assert.equal(bytesField(frame, Field.groups)?.toString('hex'), '05000000' + '70110100');
  const limit = '0700000000000000' + '0004000000000000' + 'ffffffffffffffff';
  assert.equal(bytesField(frame, Field.rlimit)?.toString('hex'), limit);
  assert.equal(textField(frame, Field.stdin), 'socket:fcgi');
  assert.equal(numberField(frame, Field.nice), -5);
  assert.equal(numberField(frame, Field.oomScoreAdj), -100);
  assert.equal(numberField(frame, Field.session), 1);
});

test('a request beyond a limit is refused before it is sent', () => {
  const cases: [string, Partial<SpawnRequest>][] = [
    ['a long tag', { tag: 'ü'.repeat(513) }],
    ['a zero byte in an argument', { argv: ['a\0b'] }],
    ['a large environment', { env: { A: 'x'.repeat(1024 * 1024) } }],
    ['many arguments', { argv: Array.from({ length: 16385 }, () => 'x') }],
    ['the uid that means "keep root"', { credentials: { uid: 2 ** 32 - 1, gid: 1, groups: [] } }],
    ['a negative group', { credentials: { uid: 1, gid: 1, groups: [-1] } }],
    ['a negative limit', { rlimits: [{ resource: 1, soft: -1, hard: 1 }] }],
  ];
  for (const [name, more] of cases) {
    assert.throws(() => encodeSpawn({ ...REQUEST, ...more }, 1, '/'), ProtocolError, name);
  }
});

test('a raw wait status is a code or a signal', () => {
  assert.deepEqual(waitStatus(0), { kind: 'code', code: 0 });
  assert.deepEqual(waitStatus(0xff00), { kind: 'code', code: 255 });
  assert.deepEqual(waitStatus(9), { kind: 'signal', signal: 9, coreDumped: false });
  assert.deepEqual(waitStatus(0x8b), { kind: 'signal', signal: 11, coreDumped: true });
});

/** The bytes of a child as the keeper sends them. */
function child(): FrameWriter {
  return new FrameWriter()
    .number(Field.spawn, 3)
    .number(Field.pid, 77)
    .bytes(Field.tag, Buffer.from('web:1'))
    .number(Field.startTicks, 500)
    .number(Field.startedUs, 1_500_250);
}

test('a live child has pipes under /proc of the keeper, and fields of a newer keeper are skipped', () => {
  const frame = read(
    child()
      .number(Field.state, 2)
      .number(Field.stdoutFd, 12)
      .text(999, 'from the future')
      .finish(Message.child, 5),
  );
  assert.deepEqual(decodeChild(frame, 42), {
    spawn: 3,
    tag: 'web:1',
    pid: 77,
    startTicks: 500,
    startedAtMs: 1500.25,
    exit: undefined,
    pipes: { stdout: '/proc/42/fd/12' },
  });
});

test('an ended child has its status, and what was spilled of its output', () => {
  const frame = read(
    child()
      .number(Field.state, 3)
      .number(Field.waitStatus, 0x300)
      .number(Field.exitedUs, 2_000_000)
      .number(Field.acknowledged, 1)
      .text(Field.spillStderr, '/spill/spawn-3.stderr')
      .number(Field.spillStderrBytes, 10)
      .number(Field.spillStderrDropped, 2)
      .finish(Message.child, 5),
  );
  const record = decodeChild(frame, 42);
  assert.deepEqual(record.exit, {
    status: { kind: 'code', code: 3 },
    atMs: 2000,
    acknowledged: true,
  });
  const stderr = { path: '/spill/spawn-3.stderr', spilledBytes: 10, droppedBytes: 2 };
  assert.deepEqual(record.spill, { stderr });
});

test('a failed start names its stage; an unknown stage is the keeper', () => {
  const failed = (stage: number) =>
    decodeNotice(
      read(
        new FrameWriter()
          .number(Field.spawn, 3)
          .number(Field.stage, stage)
          .number(Field.errno, 2)
          .finish(Message.spawnFailed, 0),
      ),
      42,
      () => 'ENOENT',
    );
  const notice = { kind: 'spawn-failed', spawn: 3, errno: 2, errorName: 'ENOENT' };
  assert.deepEqual(failed(10), { ...notice, stage: 'exec' });
  assert.deepEqual(failed(99), { ...notice, stage: 'keeper' });
});

test('notices of other kinds are none of ours', () => {
  const frame = read(encodeForSpawn(200, 0, 3));
  assert.equal(decodeNotice(frame, 42, String), undefined);
});
