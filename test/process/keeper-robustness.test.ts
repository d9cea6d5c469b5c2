// The keeper under load, under failing system calls, under sanitizers and valgrind, and as PID 1.
import assert from 'node:assert/strict';
import { execFileSync, spawn as spawnProcess, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { KeeperError } from '../../agent/keeper/errors.js';
import { encodeForSpawn, encodeSpawn } from '../../agent/keeper/messages.js';
import { FrameWriter } from '../../agent/keeper/protocol.js';
import type { SpawnNotice } from '../../agent/spawner.js';
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

const CLEAN = { code: 0, stderr: '' };
const THOUSAND = 1000;

function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** A little of everything, so that a checker that watches the keeper sees each path. */
async function basicScript(
  options: TestKeeperOptions,
): Promise<{ code: number | null; stderr: string }> {
  const keeper = await TestKeeper.start(options);
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  first.spawn(shell(1, 'echo hello; exit 3'));
  first.spawn(request(2, ['/no/such/program']));
  first.spawn(shell(3, 'sleep 1000 & wait', { stderr: { kind: 'pipe' }, newSession: true }));
  first.spawn(shell(4, 'read line; seq 1 20000; exit 5'));
  assert.equal(await readOutput((await recorder.next('spawned', 1)).child), 'hello\n');
  assert.deepEqual((await recorder.next('exited', 1)).status, { kind: 'code', code: 3 });
  await recorder.next('spawn-failed', 2);
  first.acknowledgeExit(1);
  first.releaseOutput(1);
  const stdin = (await recorder.next('spawned', 4)).child.pipes.stdin ?? '';
  await first.listen('shared', {
    family: 'unix',
    path: path.join(keeper.dir, 'shared.sock'),
    mode: 0o600,
    owner: undefined,
  });
  await first.openDatagram('notify', path.join(keeper.dir, 'notify'), { mode: 0o600 });
  await first.openDatagram('out', path.join(keeper.dir, 'notify'), false);
  await first.sendDatagram('out', Buffer.from('READY=1'));
  await recorder.until(() => recorder.datagrams[0], 'the datagram');
  await first.close();
  execFileSync('sh', ['-c', `echo go > ${stdin}`]);
  const second = await eventually(async () => {
    const client = await keeper.connect();
    const done = (await client.list()).find((record) => record.spawn === 4)?.exit !== undefined;
    if (done) return client;
    await client.close();
    return undefined;
  }, 'the exit while away');
  await second.signal(3, constants.signals.SIGKILL, 'tree');
  second.releaseSpill(4);
  await second.closeSocket('out');
  return await keeper.stop();
}

test('1,000 children start, are signalled and are reaped, in little memory', async (context) => {
  const keeper = await TestKeeper.start();
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  const count = (kind: SpawnNotice['kind']): number =>
    recorder.notices.filter((notice) => notice.kind === kind).length;
  const { pid } = client.info;
  const idleKib = residentKib(pid);

  const startedMs = performance.now();
  for (let spawn = 1; spawn <= THOUSAND; spawn++)
    client.spawn(request(spawn, ['/bin/sleep', '1000']));
  await recorder.until(() => (count('spawned') === THOUSAND ? true : undefined), '1,000 spawned');
  const spawnedMs = performance.now();
  assert.equal((await client.list()).length, THOUSAND);
  const listedMs = performance.now();
  const fullKib = residentKib(pid);
  for (let spawn = 1; spawn <= THOUSAND; spawn++) void client.signal(spawn, 15, 'process');
  await recorder.until(() => (count('exited') === THOUSAND ? true : undefined), '1,000 exited');
  const exitedMs = performance.now();
  for (let spawn = 1; spawn <= THOUSAND; spawn++) {
    client.acknowledgeExit(spawn);
    client.releaseOutput(spawn);
  }
  assert.deepEqual(await client.list(), []);

  context.diagnostic(
    `1,000 children: spawned in ${(spawnedMs - startedMs).toFixed(0)} ms, listed in ` +
      `${(listedMs - spawnedMs).toFixed(0)} ms, ended in ${(exitedMs - listedMs).toFixed(0)} ms; ` +
      `resident ${idleKib} KiB idle, ${fullKib} KiB with all`,
  );
  assert.ok(fullKib < 2048, `the keeper's resident memory stays under 2 MB, was ${fullKib} KiB`);
  assert.deepEqual(await keeper.stop(), CLEAN);
});

test('every path is clean under the address and undefined-behaviour sanitizers', async () => {
  assert.deepEqual(await basicScript({ variant: 'checked' }), CLEAN);
});

const hasValgrind = spawnSync('valgrind', ['--version']).status === 0;
const needsValgrind = hasValgrind || process.env['CI'] === 'true' ? {} : { skip: 'needs valgrind' };

test('every path is clean under valgrind', needsValgrind, async () => {
  const wrapper = [
    'valgrind',
    '-q',
    '--error-exitcode=99',
    '--leak-check=full',
    '--trace-children=no',
    '--child-silent-after-fork=yes',
  ];
  const { code, stderr } = await basicScript({ variant: 'unstripped', wrapper });
  // Lines with == are findings; those with -- say which system calls this valgrind does not know.
  const findings = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('--'));
  assert.deepEqual({ code, findings }, { code: 0, findings: [] });
});

const FAULTS: [string, string, string][] = [
  ['the first pipe', `pipe:1:${constants.errno.EMFILE}`, 'pipe EMFILE'],
  ['the second pipe', `pipe:2:${constants.errno.ENFILE}`, 'pipe ENFILE'],
  ['the pipe that reports exec', `start-pipe:1:${constants.errno.EMFILE}`, 'pipe EMFILE'],
  ['fork', `fork:1:${constants.errno.EAGAIN}`, 'fork EAGAIN'],
  ['exec', `exec:1:${constants.errno.ENOMEM}`, 'exec ENOMEM'],
];
for (const [name, fault, expected] of FAULTS) {
  test(`a failure of ${name} is reported, and the next start works`, async () => {
    const keeper = await TestKeeper.start({ variant: 'checked', fault });
    const recorder = new Recorder();
    const client = await keeper.connect(recorder);
    client.spawn(shell(1, 'exit 1'));
    const failed = await recorder.next('spawn-failed', 1);
    assert.equal(`${failed.stage} ${failed.errorName}`, expected);
    if (!fault.startsWith('exec')) {
      client.spawn(shell(2, 'exit 2'));
      assert.deepEqual((await recorder.next('exited', 2)).status, { kind: 'code', code: 2 });
    }
    assert.deepEqual(
      (await client.list()).filter((record) => record.spawn === 1),
      [],
    );
    assert.deepEqual(await keeper.stop(), CLEAN);
  });
}

test('without memory a request fails or the connection ends; the keeper and its children live on', async () => {
  for (let nth = 1; nth <= 12; nth++) {
    const keeper = await TestKeeper.start({ variant: 'checked', fault: `malloc:${nth}:12` });
    let refused = 0;
    // Each round takes memory more than once, so the fault lies within these rounds.
    for (let round = 1; round <= 12; round++) {
      const recorder = new Recorder();
      try {
        const client = await keeper.connect(recorder);
        client.spawn(shell(round, 'exec sleep 1000'));
        const records = await client.list();
        assert.ok(records.every((record) => existsSync(`/proc/${record.pid}`)));
        if (recorder.notices.some((notice) => notice.kind === 'spawn-failed')) refused++;
      } catch (error) {
        if (!(error instanceof KeeperError)) throw error;
        refused++;
      }
    }
    assert.ok(refused <= 1, `one fault, ${refused} refusals`);
    assert.deepEqual(await keeper.stop(), CLEAN);
  }
});

test('a full disk loses spilled output, counts it, and blocks no child', async () => {
  const keeper = await TestKeeper.start({
    variant: 'checked',
    fault: `spill:1:${constants.errno.ENOSPC}`,
  });
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  first.spawn(shell(1, 'read line; echo lost; read line; echo kept'));
  const { child } = await recorder.next('spawned', 1);
  await first.close();
  execFileSync('sh', ['-c', `echo go > ${child.pipes.stdin}`]);
  const record = await eventually(async () => {
    const client = await keeper.connect();
    const [found] = await client.list();
    if (found?.spill !== undefined) return found;
    await client.close();
    return undefined;
  }, 'the count of what was lost');
  assert.deepEqual(record.spill?.stdout, { path: undefined, spilledBytes: 0, droppedBytes: 5 });
  assert.deepEqual(await keeper.stop(), CLEAN);
});

test('when descriptors run out starts fail, and an agent can still connect and stop what runs', async () => {
  const keeper = await TestKeeper.start({ wrapper: ['prlimit', '--nofile=100:100'] });
  const recorder = new Recorder();
  const first = await keeper.connect(recorder);
  for (let spawn = 1; spawn <= 40; spawn++) first.spawn(request(spawn, ['/bin/sleep', '1000']));
  const failed = await recorder.next('spawn-failed', 40);
  assert.equal(`${failed.stage} ${failed.errorName}`, 'pipe EMFILE');
  await first.close();
  const second = await keeper.connect();
  const records = await second.list();
  assert.ok(records.length > 10, `${records.length} children run`);
  assert.equal(await second.signal(1, 9, 'tree'), 'delivered');
  assert.deepEqual(await keeper.stop(), CLEAN);
});

test('a shared socket is handed to children as descriptor 0 and outlives them', async () => {
  const keeper = await TestKeeper.start();
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  const file = path.join(keeper.dir, 'fcgi.sock');
  await client.listen('fcgi', { family: 'unix', path: file, mode: 0o640, owner: undefined }, 5);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.deepEqual(await client.listSockets(), ['fcgi']);
  const again = { family: 'unix', path: file, mode: undefined, owner: undefined } as const;
  await assert.rejects(client.listen('fcgi', again), /held already/);
  const script = 'from socket import *; c,_=socket(fileno=0).accept(); c.send(b"served")';
  const answer = async (spawn: number): Promise<string> => {
    client.spawn(
      request(spawn, ['/usr/bin/python3', '-c', script], {
        stdin: { kind: 'socket', name: 'fcgi' },
      }),
    );
    await recorder.next('spawned', spawn);
    return await new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(file).on('error', reject);
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => {
        resolve(text);
      });
    });
  };
  assert.equal(await answer(1), 'served');
  await recorder.next('exited', 1);
  assert.equal(await answer(2), 'served');
  await client.closeSocket('fcgi');
  await assert.rejects(client.closeSocket('fcgi'), /no socket of this name/);
  await assert.rejects(client.listen('lost', { ...again, path: '/no/such/dir/x.sock' }), {
    message: 'bind',
    errorName: 'ENOENT',
  });
  await client.listen('tcp', { family: 'inet', address: '127.0.0.1', port: 0 });
  assert.deepEqual(await keeper.stop(), CLEAN);
});

test('datagrams go out and come in with their sender', async () => {
  const keeper = await TestKeeper.start();
  const recorder = new Recorder();
  const client = await keeper.connect(recorder);
  const file = path.join(keeper.dir, 'notify');
  await client.openDatagram('notify', file, { mode: 0o666 });
  const script =
    'import sys; from socket import *; s=socket(AF_UNIX,SOCK_DGRAM); s.sendto(b"READY=1",sys.argv[1])';
  client.spawn(request(1, ['/usr/bin/python3', '-c', script, file]));
  const { child } = await recorder.next('spawned', 1);
  const datagram = await recorder.until(() => recorder.datagrams[0], 'the datagram');
  assert.equal(datagram.data.toString(), 'READY=1');
  assert.equal(datagram.senderPid, child.pid);
  assert.equal(datagram.senderUid, process.getuid?.());
  await assert.rejects(client.openDatagram('log', '/no/such/log', false), { errorName: 'ENOENT' });
  await assert.rejects(client.sendDatagram('log', Buffer.from('x')), /no datagram socket/);
  assert.deepEqual(await keeper.stop(), CLEAN);
});

/** The arguments that make `program` PID 1 of a namespace, where that is allowed. */
const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc'];
const canUnshare = spawnSync(UNSHARE[0] ?? '', [...UNSHARE.slice(1), 'true']).status === 0;

test('as PID 1 it starts the agent, passes signals on, reaps all and ends with its status', async () => {
  const program = await keeperVariant('plain');
  const dir = await mkdtemp(path.join(tmpdir(), 'fv-keeper-init-'));
  const agent =
    'trap "echo term; exit 9" TERM; (sh -c "exit 1" &); echo $FLEETVISOR_KEEPER; echo ready; while :; do sleep 0.01; done';
  const words = [
    ...(canUnshare ? UNSHARE : []),
    program,
    '--init',
    ...keeperFlags(dir),
    '--',
    'sh',
    '-c',
    agent,
  ];
  const init = spawnProcess(words[0] ?? '', words.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  init.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise((resolve) => init.on('close', resolve));
  await eventually(() => (output.includes('ready') ? true : undefined), 'the agent');
  const keeperPid = canUnshare
    ? Number(readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8'))
    : (init.pid ?? 0);
  await eventually(() => {
    const children = readFileSync(`/proc/${keeperPid}/task/${keeperPid}/children`, 'utf8');
    return children.trim().split(' ').length === 1 ? true : undefined;
  }, 'the orphan to be reaped');
  process.kill(keeperPid, 'SIGTERM');
  assert.equal(await ended, 9);
  assert.equal(output, `${path.join(dir, 'k.sock')}\nready\nterm\n`);
  await rm(dir, { recursive: true });
});

/** A small generator with a seed, so that a failure can be repeated (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('a spawn number that no agent could hold is refused and not remembered', async () => {
  const keeper = await TestKeeper.start();
  const hello = new FrameWriter().number(1, 1).number(2, 1).finish(1, 1);
  // Our own encoder refuses such a number, so the highest good one is raised by one in the bytes.
  const tooHigh = encodeSpawn(request(2 ** 53 - 1, ['/bin/true']), 2, '/');
  const highest = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x00]);
  const at = tooHigh.indexOf(highest);
  assert.ok(at > 0, 'the number stands in the frame, least byte first');
  tooHigh.writeBigUInt64LE(2n ** 53n, at);
  await new Promise<void>((resolve) => {
    const socket = connect(keeper.socketPath).on('error', () => undefined);
    socket.on('close', () => {
      resolve();
    });
    socket.resume().end(Buffer.concat([hello, tooHigh]));
  });
  const client = await keeper.connect();
  assert.equal(client.info.lastSpawn, 0);
  await client.close();
  assert.deepEqual(await keeper.stop(), CLEAN);
});

test('damaged requests of every length never harm the keeper', async () => {
  const keeper = await TestKeeper.start({ variant: 'checked' });
  const client = await keeper.connect();
  const hello = new FrameWriter().number(1, 1).number(2, 1).finish(1, 1);
  // No `listen` here: a damaged path must not delete a file of this machine.
  const spawn = encodeSpawn(request(1, ['/bin/true', 'x'], { umask: 0o22, nice: 1 }), 2, '/');
  const whole = [
    spawn,
    ...[3, 5, 6, 7].map((type) => encodeForSpawn(type, 3, 1)),
    new FrameWriter().finish(4, 4),
  ];
  for (let seed = 1; seed <= 300; seed++) {
    const next = seeded(seed);
    const frames = whole.map((frame) => Buffer.from(frame));
    const bytes = Buffer.concat(frames);
    for (let hits = 1 + Math.floor(next() * 4); hits > 0; hits--) {
      bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    }
    const cut = next() < 0.3 ? Math.floor(next() * bytes.length) : bytes.length;
    await new Promise<void>((resolve) => {
      const socket = connect(keeper.socketPath).on('error', () => undefined);
      socket.on('close', () => {
        resolve();
      });
      socket.resume().end(Buffer.concat([hello, bytes.subarray(0, cut)]));
    });
    assert.equal(keeper.process.exitCode, null, `seed ${seed}`);
  }
  await client.close();
  assert.deepEqual(await keeper.stop(), CLEAN);
});
