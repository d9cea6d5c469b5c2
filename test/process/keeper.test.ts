// The keeper with real children: how they start, what they inherit, how they are signalled and how they end.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KeeperClient } from '../../agent/keeper/client.js';
import type { ChildRecord, SpawnRequest, WaitStatus } from '../../agent/spawner.js';
import { eventually, readOutput, Recorder, request, shell, TestKeeper } from '../support/keeper.js';

const asRoot = process.getuid?.() === 0 ? {} : { skip: 'needs root' };

let keeper: TestKeeper;
let client: KeeperClient;
let recorder: Recorder;
let lastSpawn = 0;

/** Starts a script and waits until it runs. */
async function start(script: string, more: Partial<SpawnRequest> = {}): Promise<ChildRecord> {
  const spawn = ++lastSpawn;
  client.spawn(shell(spawn, script, more));
  return (await recorder.next('spawned', spawn)).child;
}

/** Runs a script to its end: its output and how it ended. */
async function run(script: string, more: Partial<SpawnRequest> = {}) {
  const child = await start(script, more);
  const output = await readOutput(child);
  const exit = await recorder.next('exited', child.spawn);
  return { output, status: exit.status, exit, child };
}

async function failure(wanted: Partial<SpawnRequest>): Promise<string> {
  const spawn = ++lastSpawn;
  client.spawn({ ...request(spawn, ['/bin/true']), ...wanted, spawn });
  const notice = await recorder.next('spawn-failed', spawn);
  return `${notice.stage} ${notice.errorName}`;
}

function nobody(): NonNullable<SpawnRequest['credentials']> {
  const id = (flag: string): number[] =>
    execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }).trim().split(' ').map(Number);
  return { uid: id('-u')[0] ?? -1, gid: id('-g')[0] ?? -1, groups: [...id('-G'), 4, 5] };
}

function processState(pid: number): string | undefined {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

const isGone = (pid: number): true | undefined => {
  const state = processState(pid);
  return state === undefined || state === 'Z' ? true : undefined;
};

describe('a keeper with real children', () => {
  before(async () => {
    keeper = await TestKeeper.start();
    recorder = new Recorder();
    client = await keeper.connect(recorder);
  });

  after(async () => {
    const end = await keeper.stop();
    assert.deepEqual(end, { code: 0, stderr: '' });
  });

  describe('how a child ends', () => {
    test('exit codes arrive as they were', async () => {
      for (const code of [0, 1, 7, 255]) {
        const { status } = await run(`exit ${code}`);
        assert.deepEqual(status, { kind: 'code', code } satisfies WaitStatus);
      }
    });

    test('a signal that kills is reported as a signal', async () => {
      const { status } = await run('kill -9 $$');
      assert.deepEqual(status, { kind: 'signal', signal: 9, coreDumped: false });
    });

    test('the exit carries the time and what the child used', async () => {
      const { exit, child } = await run('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done');
      assert.ok(exit.atMs >= child.startedAtMs);
      assert.ok((exit.usage?.userMs ?? 0) + (exit.usage?.systemMs ?? 0) > 0);
      assert.ok((exit.usage?.maxResidentBytes ?? 0) > 100_000);
      const nowMs = Number(process.hrtime.bigint()) / 1e6;
      assert.ok(exit.atMs <= nowMs && exit.atMs > nowMs - 60_000, 'the clock is the one of hrtime');
    });

    test('output written before the end is all there, however late it is read', async () => {
      const child = await start('seq 1 5000; exit 4');
      const lines = (await readOutput(child)).trim().split('\n');
      assert.equal(lines.length, 5000);
      assert.equal(lines.at(-1), '5000');
    });
  });

  describe('a start that fails names its step', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'fv-keeper-programs-'));
    const file = (name: string, text: string, mode: number): string => {
      const full = path.join(dir, name);
      writeFileSync(full, text, { mode });
      return full;
    };
    after(() => {
      rmSync(dir, { recursive: true });
    });

    const plain = file('plain', '#!/bin/sh\n', 0o644);
    const orphaned = file('orphaned', '#!/no/such/interpreter\n', 0o755);
    const binary = file('binary', 'no format at all', 0o755);
    const cases: [string, Partial<SpawnRequest>, string][] = [
      ['no such program', { path: '/no/such/program' }, 'exec ENOENT'],
      ['a file that is not executable', { path: plain }, 'exec EACCES'],
      ['a missing interpreter', { path: orphaned }, 'exec ENOENT'],
      ['an unknown format', { path: binary }, 'exec ENOEXEC'],
      ['no such directory', { cwd: '/no/such/directory' }, 'chdir ENOENT'],
      ['a directory that is a file', { cwd: '/etc/passwd' }, 'chdir ENOTDIR'],
      ['a limit that is none', { rlimits: [{ resource: 99, soft: 1, hard: 1 }] }, 'rlimit EINVAL'],
      [
        'a soft limit above the hard one',
        { rlimits: [{ resource: 7, soft: 100, hard: 50 }] },
        'rlimit EINVAL',
      ],
      [
        'a socket that nobody opened',
        { stdin: { kind: 'socket', name: 'nobody' } },
        'descriptors ENOENT',
      ],
      ['a tag that is too long', { tag: 'x'.repeat(1025) }, 'keeper E2BIG'],
      ['an environment that is too large', { env: { A: 'x'.repeat(1100000) } }, 'keeper E2BIG'],
      ['a single string beyond the kernel', { env: { A: 'x'.repeat(200000) } }, 'exec E2BIG'],
    ];
    for (const [name, wanted, expected] of cases) {
      test(name, async () => {
        assert.equal(await failure(wanted), expected);
      });
    }

    test('a failed start leaves no record and no descriptor behind', async () => {
      const open = (): number =>
        Number(
          execFileSync('sh', ['-c', `ls /proc/${client.info.pid}/fd | wc -l`], {
            encoding: 'utf8',
          }),
        );
      const before = open();
      for (let i = 0; i < 20; i++) await failure({ path: '/no/such/program' });
      const records = await client.list();
      assert.ok(records.every((record) => record.spawn <= lastSpawn - 20));
      assert.equal(open(), before);
    });

    test('a user without permission for the program', asRoot, async () => {
      const secret = file('secret', '#!/bin/sh\n', 0o700);
      assert.equal(await failure({ path: secret, credentials: nobody() }), 'exec EACCES');
    });

    test('a number that was used before is refused, and the first child is not touched', async () => {
      const child = await start('exec sleep 100');
      const seen = recorder.notices.length;
      client.spawn(shell(child.spawn, 'exit 1'));
      const notice = await recorder.until(() => recorder.notices[seen], 'an answer');
      assert.deepEqual(notice, {
        kind: 'spawn-failed',
        spawn: child.spawn,
        stage: 'keeper',
        errno: 17,
        errorName: 'EEXIST',
      });
      assert.equal(await client.signal(child.spawn, 0, 'process'), 'delivered');
      await client.signal(child.spawn, 9, 'process');
      await recorder.next('exited', child.spawn);
    });
  });

  describe('what a child inherits', () => {
    test('descriptors 0, 1 and 2 and no other', async () => {
      const script = 'for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done';
      const { output } = await run(script);
      assert.equal(output, '0\n1\n2\n');
    });

    test('a process group of its own in the session of the keeper', async () => {
      const { output, child } = await run('cut -d" " -f5,6 /proc/$$/stat');
      const keeperSession = readFileSync(`/proc/${client.info.pid}/stat`, 'utf8').split(' ')[5];
      assert.equal(output.trim(), `${child.pid} ${keeperSession}`);
    });

    test('a session of its own where asked', async () => {
      const { output, child } = await run('cut -d" " -f5,6 /proc/$$/stat', { newSession: true });
      assert.equal(output.trim(), `${child.pid} ${child.pid}`);
    });

    test('no blocked and no ignored signal', async () => {
      const child = await start('exec cat /proc/self/status');
      const output = await readOutput(child);
      assert.match(output, /SigBlk:\s0+\n/);
      assert.match(output, /SigIgn:\s0+\n/);
    });

    test('exactly the environment it was given', async () => {
      const spawn = ++lastSpawn;
      const env = { LINES: 'a\nb', EMPTY: '', UMLAUT: 'ä' };
      client.spawn(request(spawn, ['/usr/bin/env', '-0'], { env }));
      const output = await readOutput((await recorder.next('spawned', spawn)).child);
      assert.equal(output, 'LINES=a\nb\0EMPTY=\0UMLAUT=ä\0');
    });

    test('the directory, arguments and mask it was given', async () => {
      const argv = ['sh', '-c', 'echo "$0 $1"; pwd; umask', 'zero', 'one two'];
      const { output } = await run('', { argv, cwd: '/usr', umask: 0o137 });
      assert.equal(output, 'zero one two\n/usr\n0137\n');
    });

    test('the limits of the keeper, not those it raised for itself, and the wanted ones', async () => {
      const { output: inherited } = await run('ulimit -Sn; ulimit -c');
      const own = execFileSync('sh', ['-c', 'ulimit -Sn; ulimit -c'], { encoding: 'utf8' });
      assert.equal(inherited, own);
      const rlimits = [{ resource: 7, soft: 64, hard: 128 }];
      const { output } = await run('ulimit -Sn; ulimit -Hn', { rlimits });
      assert.equal(output, '64\n128\n');
    });

    test('priorities', asRoot, async () => {
      const script = 'cut -d" " -f19 /proc/$$/stat; cat /proc/$$/oom_score_adj';
      const { output } = await run(script, { nice: 7, oomScoreAdj: 321 });
      assert.equal(output, '7\n321\n');
      const { output: standard } = await run(script);
      assert.equal(standard, `0\n${readFileSync('/proc/self/oom_score_adj', 'utf8')}`);
    });

    test('user, group and supplementary groups', asRoot, async () => {
      const credentials = nobody();
      const { output } = await run('id -u; id -g; id -G', { credentials });
      const groups = [...new Set(credentials.groups)].join(' ');
      assert.equal(output, `${credentials.uid}\n${credentials.gid}\n${groups}\n`);
    });

    test('a stdout that it may open by name', async () => {
      const { output } = await run('echo one > /dev/stdout; echo two > /dev/stderr');
      assert.equal(output, 'one\ntwo\n');
    });

    test('the same as another user', asRoot, async () => {
      const { output } = await run('echo one > /dev/stdout; echo two > /dev/stderr', {
        credentials: nobody(),
      });
      assert.equal(output, 'one\ntwo\n');
    });

    test('a stdin that the agent writes to, and that ends when the writer closes and the child is gone', async () => {
      const child = await start('read line; echo "got $line"');
      writeFileSync(child.pipes.stdin ?? '', 'hello\n');
      assert.equal(await readOutput(child), 'got hello\n');
    });

    test('separate pipes for stdout and stderr where asked, and no pipe for null', async () => {
      const child = await start('echo out; echo err >&2', {
        stderr: { kind: 'pipe' },
        stdin: { kind: 'null' },
      });
      assert.equal(child.pipes.stdin, undefined);
      assert.equal(await readOutput(child), 'out\n');
      const stderr = child.pipes.stderr ?? '';
      assert.equal(await readOutput({ ...child, pipes: { stdout: stderr } }), 'err\n');
    });
  });

  describe('signals', () => {
    const FAMILY = 'sleep 1000 & echo $!; setsid sleep 1001 & sleep 0.05; wait';

    /** Starts a parent whose two children sleep, one in a session of its own; gives their pids. */
    async function family(): Promise<{ child: ChildRecord; sibling: number; apart: number }> {
      const child = await start(FAMILY);
      const children = (): number[] =>
        readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
          .trim()
          .split(' ')
          .map(Number);
      const sleepers = (pids: number[]): number[] =>
        pids.filter((pid) =>
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep\u0000100'),
        );
      const pids = await eventually(() => {
        try {
          const found = sleepers(children());
          return found.length === 2 ? found : undefined;
        } catch {
          return undefined;
        }
      }, 'two grandchildren');
      const [sibling = 0, apart = 0] = pids;
      return { child, sibling, apart };
    }

    test('to the process reach it alone', async () => {
      const { child, sibling, apart } = await family();
      assert.equal(await client.signal(child.spawn, 15, 'process'), 'delivered');
      const exit = await recorder.next('exited', child.spawn);
      assert.deepEqual(exit.status, { kind: 'signal', signal: 15, coreDumped: false });
      assert.notEqual(isGone(sibling), true);
      assert.notEqual(isGone(apart), true);
      for (const pid of [sibling, apart]) process.kill(pid, 9);
      await recorder.until(
        () => recorder.notices.find((notice) => notice.kind === 'orphan' && notice.pid === apart),
        'the orphan',
      );
    });

    test('to the group reach the grandchildren in it', async () => {
      const { child, sibling, apart } = await family();
      assert.equal(await client.signal(child.spawn, 9, 'group'), 'delivered');
      await recorder.next('exited', child.spawn);
      await eventually(() => isGone(sibling), 'the end of the grandchild');
      assert.notEqual(isGone(apart), true);
      process.kill(apart, 9);
    });

    test('to the tree reach descendants in other sessions too', async () => {
      const { child, sibling, apart } = await family();
      assert.equal(await client.signal(child.spawn, 9, 'tree'), 'delivered');
      await recorder.next('exited', child.spawn);
      await eventually(() => isGone(sibling) && isGone(apart), 'the end of both grandchildren');
    });

    test('to a child that has ended say so', async () => {
      const { child } = await run('exit 0');
      assert.equal(await client.signal(child.spawn, 15, 'process'), 'gone');
      assert.equal(await client.signal(child.spawn, 15, 'group'), 'gone');
      assert.equal(await client.signal(4_000_000, 15, 'process'), 'gone');
    });

    test('with an impossible number are refused', async () => {
      const child = await start('exec sleep 100');
      assert.deepEqual(await client.signal(child.spawn, 99, 'process'), { errorName: 'EINVAL' });
      await client.signal(child.spawn, 9, 'process');
    });
  });

  describe('records', () => {
    test('a record stays until its exit is acknowledged and its output released', async () => {
      const { child } = await run('echo done; exit 3', { tag: 'web:web_1 ü' });
      const find = async (): Promise<ChildRecord | undefined> =>
        (await client.list()).find((record) => record.spawn === child.spawn);
      const record = await find();
      assert.equal(record?.tag, 'web:web_1 ü');
      assert.deepEqual(record.exit?.status, { kind: 'code', code: 3 });
      client.acknowledgeExit(child.spawn);
      assert.equal((await find())?.exit?.acknowledged, true);
      client.releaseOutput(child.spawn);
      assert.equal(await find(), undefined);
      client.acknowledgeExit(child.spawn); // a repeat after a crash is harmless
      assert.ok(await client.list());
    });

    test('the start time is the one of the kernel', async () => {
      const child = await start('exec sleep 100');
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
      assert.equal(child.startTicks, Number(stat.slice(stat.lastIndexOf(')')).split(' ')[20]));
      await client.signal(child.spawn, 9, 'process');
    });

    test('an orphan of a double fork is reaped and reported', async () => {
      const { child } = await run('(sh -c "exit 5" & ) ; (sh -c "sleep 0.05; exit 6" &) ; exit 0');
      const orphan = await recorder.until(
        () =>
          recorder.notices.find(
            (notice) =>
              notice.kind === 'orphan' && notice.status.kind === 'code' && notice.status.code === 6,
          ),
        'the orphan',
      );
      assert.ok(orphan.kind === 'orphan' && processState(orphan.pid) === undefined, 'no zombie');
      assert.equal(child.exit, undefined);
    });
  });
});
