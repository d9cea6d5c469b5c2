// The keeper between agents: what survives when the agent goes, who may take over, when the keeper itself ends.
import assert from 'node:assert/strict';
import { execFileSync, spawn as spawnProcess } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { KeeperClient } from '../../agent/keeper/client.js';
import { KeeperError } from '../../agent/keeper/errors.js';
import { FrameWriter } from '../../agent/keeper/protocol.js';
import { startKeeper } from '../../agent/keeper/start.js';
import {
  eventually,
  keeperFlags,
  keeperVariant,
  readOutput,
  Recorder,
  request,
  shell,
  TestKeeper,
  type TestKeeperOptions,
} from '../support/keeper.js';

const asRoot = process.getuid?.() === 0 ? {} : { skip: 'needs root' };

async function withKeeper(
  context: TestContext,
  options: TestKeeperOptions = {},
): Promise<TestKeeper> {
  const keeper = await TestKeeper.start(options);
  context.after(async () => {
    assert.deepEqual(await keeper.stop(), { code: 0, stderr: '' });
  });
  return keeper;
}

const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

test('children survive the agent; the next one finds them by tag and learns the true status', async (context) => {
  const keeper = await withKeeper(context);
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  first.spawn(shell(1, 'exec sleep 1000', { tag: 'web' }));
  first.spawn(shell(2, 'read line; exit 42', { tag: 'job' }));
  const job = (await recorder.next('spawned', 2)).child;
  await recorder.next('spawned', 1);
  await first.close();
  process.kill(job.pid, 0);
  execFileSync('sh', ['-c', `echo go > ${job.pipes.stdin}`]);
  await eventually(() => (alive(job.pid) ? undefined : true), 'the end of the job');

  const later = new Recorder();
  const second = await keeper.connect(later);
  assert.equal(second.info.lastSpawn, 2);
  assert.equal(second.info.children, 2);
  const [web, done] = await second.list();
  assert.equal(web?.tag, 'web');
  assert.equal(web.exit, undefined);
  assert.equal(done?.tag, 'job');
  assert.deepEqual(done.exit?.status, { kind: 'code', code: 42 });
  assert.equal(done.startTicks, job.startTicks);
  assert.deepEqual(later.notices, [], 'what the list tells is not told again');
  await second.signal(1, 9, 'process');
  await later.next('exited', 1);
});

test('exits between connecting and listing are told once', async (context) => {
  const keeper = await withKeeper(context);
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  first.spawn(request(1, ['/bin/sleep', '1000']));
  const { child } = await recorder.next('spawned', 1);
  await first.close();
  const later = new Recorder();
  const second = await keeper.connect(later);
  process.kill(child.pid, 15);
  await eventually(() => (alive(child.pid) ? undefined : true), 'the end of the child');
  const [record] = await second.list();
  assert.deepEqual(record?.exit?.status, { kind: 'signal', signal: 15, coreDumped: false });
  assert.deepEqual(later.notices, []);
});

test('a newer agent displaces the older one', async (context) => {
  const keeper = await withKeeper(context);
  const old = new Recorder();
  const first = await keeper.connect(old);
  const second = await keeper.connect();
  const lost = await old.next('lost');
  assert.match(lost.reason, /another agent took over/);
  assert.equal(lost.displaced, true);
  first.spawn(request(1, ['/bin/true']));
  assert.equal((await old.next('spawn-failed', 1)).errorName, 'EIO');
  await assert.rejects(first.list(), KeeperError);
  assert.deepEqual(await second.list(), []);
  await first.close();
  await first.close();
});

test('output written while nobody is connected is spilled, and a child is not blocked', async (context) => {
  const keeper = await withKeeper(context);
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  const script = 'read line; seq 1 200000; echo last >&2; read line; echo after';
  first.spawn(shell(1, script, { stderr: { kind: 'pipe' } }));
  const { child } = await recorder.next('spawned', 1);
  await first.close();
  const write = (text: string): void => {
    execFileSync('sh', ['-c', `echo ${text} > ${child.pipes.stdin}`]);
  };
  write('go');
  const spillFile = path.join(keeper.dir, 'spill', 'spawn-1.stderr');
  await eventually(() => existsSync(spillFile) || undefined, 'the spill of stderr');

  const later = new Recorder();
  const second = await keeper.connect(later);
  const [record] = await second.list();
  write('go');
  const spill = record?.spill?.stdout;
  assert.equal(spill?.droppedBytes, 0);
  const spilled = readFileSync(spill.path ?? '', 'utf8');
  assert.equal(spilled.length, spill.spilledBytes);
  const all = spilled + (await readOutput(child));
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('');
  assert.equal(all, `${expected}after\n`);
  assert.equal(statSync(spill.path ?? '').mode & 0o777, 0o600);
  second.releaseSpill(1);
  assert.equal((await second.list())[0]?.spill, undefined);
  assert.equal(existsSync(spillFile), false);
});

test('a keeper in use refuses to end; an unused one ends when asked', async () => {
  const keeper = await TestKeeper.start();
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  client.spawn(request(1, ['/bin/sleep', '1000']));
  await recorder.next('spawned', 1);
  await assert.rejects(client.shutdown(), /children are alive/);
  await client.signal(1, 9, 'process');
  await recorder.next('exited', 1);
  await client.shutdown();
  assert.deepEqual(await keeper.ended, { code: 0, stderr: '' });
  assert.equal(existsSync(keeper.socketPath), false);
  await keeper.stop();
});

test('a keeper without children and agent ends by itself', async () => {
  const keeper = await TestKeeper.start({ idleMs: 30 });
  const client = await keeper.connect();
  await client.close();
  assert.equal((await keeper.ended).code, 0);
  await keeper.stop();
});

test('SIGTERM does not take children away: it waits until nothing is left to keep', async () => {
  const keeper = await TestKeeper.start();
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  client.spawn(request(1, ['/bin/sleep', '1000']));
  await recorder.next('spawned', 1);
  keeper.process.kill('SIGTERM');
  assert.equal((await client.list()).length, 1);
  await client.signal(1, 9, 'process');
  await recorder.next('exited', 1);
  await client.close();
  assert.equal((await keeper.ended).code, 0);
  await keeper.stop();
});

test('a second keeper for the same state directory is refused', async (context) => {
  const keeper = await withKeeper(context);
  await keeper.connect();
  const program = await keeperVariant('plain');
  const second = spawnProcess(program, ['--foreground', ...keeperFlags(keeper.dir)]);
  let stderr = '';
  second.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise((resolve) => second.on('close', resolve));
  assert.equal(code, 11);
  assert.match(stderr, /another keeper holds .*k\.lock/);
});

test('another user is not let in', asRoot, async (context) => {
  const keeper = await withKeeper(context);
  await keeper.connect();
  assert.equal(statSync(keeper.socketPath).mode & 0o777, 0o600);
  execFileSync('chmod', ['755', keeper.dir]);
  execFileSync('chmod', ['666', keeper.socketPath]); // even then the peer's uid decides
  const script = `require('net').connect(${JSON.stringify(keeper.socketPath)})
    .on('connect', () => console.log('connected')).on('close', () => console.log('closed'))
    .on('error', (e) => console.log(e.code)).resume()`;
  const output = execFileSync(process.execPath, ['-e', script], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  assert.match(output, /closed/);
});

test('bytes that are no protocol end that connection and nothing else', async (context) => {
  const keeper = await withKeeper(context);
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  const hello = new FrameWriter().number(1, 1).number(2, 1).finish(1, 7);
  const cases: [string, Buffer][] = [
    ['noise', Buffer.alloc(5000, 0xa5)],
    ['a frame of 4 GiB', Buffer.from('ffffffff010000000100000000', 'hex')],
    ['a request before hello', new FrameWriter().finish(4, 1)],
    ['versions from the future', new FrameWriter().number(1, 900).number(2, 901).finish(1, 1)],
  ];
  for (const [name, bytes] of cases) {
    const closed = new Promise((resolve) => {
      const socket = connect(keeper.socketPath, () => socket.write(bytes));
      socket
        .on('error', () => undefined)
        .on('close', resolve)
        .resume();
    });
    await closed;
    assert.deepEqual(await client.list(), [], name);
  }
  // Well framed but wrong: an error each, and the connection goes on. These displace the client.
  const wrong: [string, Buffer, number][] = [
    ['an unknown message', new FrameWriter().finish(33, 2), 2],
    ['an unknown field', new FrameWriter().number(50, 1).finish(4, 2), 3],
    ['a missing field', new FrameWriter().finish(5, 2), 1],
    ['a number of 3 bytes', new FrameWriter().bytes(3, Buffer.alloc(3)).finish(5, 2), 1],
    ['a text without end', new FrameWriter().bytes(22, Buffer.from('abc')).finish(9, 2), 1],
    ['a field twice', new FrameWriter().number(3, 1).number(3, 1).finish(5, 2), 1],
    ['a field beyond its frame', Buffer.from('08000000050000000200000003000000ffff0000', 'hex'), 1],
    [
      'root by overflow',
      new FrameWriter()
        .number(3, 1)
        .text(5, '/bin/true')
        .text(6, 'true')
        .number(9, 2 ** 32)
        .number(10, 0)
        .bytes(11, Buffer.alloc(0))
        .finish(2, 2),
      1,
    ],
  ];
  for (const [name, bytes, code] of wrong) {
    const reply = await new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connect(keeper.socketPath, () =>
        socket.write(Buffer.concat([hello, bytes, new FrameWriter().finish(4, 9)])),
      );
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        const all = Buffer.concat(chunks);
        // The list's final ok (id 9) shows that the connection lived on.
        if (
          all.length >= 12 &&
          all.readUInt32LE(all.length - 4) === 9 &&
          all.readUInt16LE(all.length - 8) === 64
        ) {
          socket.destroy();
          resolve(all);
        }
      });
    });
    const errorAt = 12 + reply.readUInt32LE(0);
    assert.equal(reply.readUInt16LE(errorAt + 4), 65, name);
    assert.equal(reply.readBigInt64LE(errorAt + 12 + 8), BigInt(code), name);
  }
  const again = await keeper.connect();
  assert.deepEqual(await again.list(), []);
});

test('silent connections do not keep the agent out', async (context) => {
  const keeper = await withKeeper(context);
  const client = await keeper.connect();
  const silent = Array.from({ length: 20 }, () =>
    connect(keeper.socketPath).on('error', () => undefined),
  );
  assert.deepEqual(await client.list(), []);
  const next = await keeper.connect();
  assert.deepEqual(await next.list(), []);
  for (const socket of silent) socket.destroy();
});

test('startKeeper finds a running keeper, and starts a new one after a crash', async (context) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'fv-keeper-start-'));
  const program = await keeperVariant('plain');
  const file = (name: string): string => path.join(dir, 'state', name);
  const begin = async (recorder: Recorder): Promise<KeeperClient> =>
    await startKeeper({
      ...recorder,
      program,
      socketPath: file('k.sock'),
      lockPath: file('k.lock'),
      spillDir: file('spill'),
      idleMs: 1000,
    });
  context.after(async () => {
    const client = await begin(new Recorder());
    await client.shutdown();
    await rm(dir, { recursive: true });
  });
  const recorder = new Recorder();
  const first = await begin(recorder);
  first.spawn(request(1, ['/bin/sleep', '1000']));
  const { child } = await recorder.next('spawned', 1);
  await first.close();
  const second = await begin(recorder);
  assert.equal(second.info.pid, first.info.pid);
  const stat = readFileSync(`/proc/${second.info.pid}/stat`, 'utf8').split(' ');
  assert.equal(stat[5], stat[0], 'the keeper leads a session of its own');
  process.kill(second.info.pid, 9);
  await recorder.next('lost');
  const third = await begin(new Recorder());
  assert.notEqual(third.info.pid, second.info.pid);
  assert.deepEqual(await third.list(), []);
  await third.close();
  process.kill(child.pid, 9);
});

test('many agents that start at once share one keeper', async (context) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'fv-keeper-race-'));
  const options = {
    program: await keeperVariant('plain'),
    socketPath: path.join(dir, 'k.sock'),
    lockPath: path.join(dir, 'k.lock'),
    spillDir: path.join(dir, 'spill'),
  };
  const clients = await Promise.all(
    Array.from({ length: 6 }, () => startKeeper({ ...options, ...new Recorder() })),
  );
  context.after(async () => {
    const last = await startKeeper({ ...options, ...new Recorder() });
    await last.shutdown();
    await rm(dir, { recursive: true });
  });
  assert.equal(new Set(clients.map((client) => client.info.pid)).size, 1);
});

test('a start that cannot work says what failed', async () => {
  const program = await keeperVariant('plain');
  const paths = {
    lockPath: '/etc/passwd/no/lock',
    socketPath: '/etc/passwd/no/k.sock',
    spillDir: '/etc/passwd/no/spill',
  };
  await assert.rejects(
    startKeeper({ ...paths, program, ...new Recorder() }),
    /cannot make .*\/etc\/passwd\/no: ENOTDIR/,
  );
  const long = `/tmp/${'x'.repeat(120)}`;
  await assert.rejects(
    startKeeper({ ...paths, socketPath: long, program, ...new Recorder() }),
    /at most 107 bytes/,
  );
});
