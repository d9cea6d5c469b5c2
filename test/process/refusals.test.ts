// What an agent refuses, and what it only warns of: the exact words, the exit code, and nothing left behind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { MARK, listMarked } from '../../tools/marked.mjs';
import { startAgent } from '../support/agent.js';
import { makeTestFleet } from '../support/certificates.js';
import { type Cleanup, temporaryFolder } from '../support/folders.js';
import { needs, needsRoot } from '../support/need.js';
import { freePort } from '../support/ports.js';
import { ROOT } from '../support/sources.js';
import { until } from '../support/wait.js';

interface Refused {
  readonly code: number | null;
  readonly stderr: string;
  readonly stdout: string;
  readonly dir: string;
  readonly conf: string;
}

/** Runs an agent that is expected to end by itself. DIR in `text` stands for the test's folder. */
async function run(context: Cleanup, text: string, ...more: string[]): Promise<Refused> {
  const dir = await temporaryFolder(context);
  const conf = join(dir, 's.conf');
  writeFileSync(conf, text.replaceAll('DIR', dir));
  const args = ['--import', 'tsx', join(ROOT, 'agent/main.ts'), '-n', '-c', conf, ...more];
  const env = { ...process.env, STATE_DIRECTORY: join(dir, 'state'), [MARK]: dir };
  const { status, stderr, stdout } = spawnSync(process.execPath, args, {
    ...{ env, cwd: ROOT, encoding: 'utf8', timeout: 30_000 },
  });
  assert.deepEqual(await listMarked(dir), [], 'nothing is left running');
  return { code: status, stderr, stdout, dir, conf };
}

const HEAD =
  '[supervisord]\nlogfile=DIR/s.log\npidfile=DIR/s.pid\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n';

test('a bad value: its two lines as Supervisor prints them, then every problem with file, line and key', async (t) => {
  const { code, stderr, conf, dir } = await run(
    t,
    '[supervisord]\nlogfile=DIR/s.log\n[program:a]\ncommand=/bin/cat\nautostart=maybe\nstopsignal=FOO\n' +
      '[program:b]\n[program:c]\ncommand=/bin/cat\nnumprocs=x\n',
  );
  assert.equal(code, 2);
  const [first, second, ...rest] = stderr.trim().split('\n');
  assert.equal(
    first,
    `Error: not a valid boolean value: 'maybe' in section 'program:a' (file: '${conf}')`,
  );
  assert.match(second ?? '', /^For help, use .* -h$/);
  const places = rest.map((line) => /^(.*?): \[(.*?)\] (\w+):/.exec(line)?.slice(1).join(' '));
  assert.deepEqual(places, [
    `${conf}:5 program:a autostart`,
    `${conf}:6 program:a stopsignal`,
    `${conf}:7 program:b command`,
    `${conf}:10 program:c numprocs`,
  ]);
  assert.match(rest[0] ?? '', /\(write true or false\)/);
  assert.deepEqual(readdirSync(dir), ['s.conf'], 'nothing was written');
});

test('an unknown section and misspelt keys are hints with file, line and the nearest name', async (t) => {
  const text = `${HEAD}[progam:b]\ncommand=x\n[program:a]\ncommand=/bin/cat\nautostrat=true\nstopwaitsec=3\n`;
  const { code, stdout, conf } = await run(t, text, '--check');
  assert.equal(code, 0);
  const lines = stdout.trim().split('\n');
  assert.match(lines[0] ?? '', /:6: hint: \[progam:b\] unknown section.*\[program:b\]\?/);
  assert.match(lines[1] ?? '', /:10: hint: \[program:a\] autostrat: unknown key.*autostart\?/);
  assert.match(lines[2] ?? '', /:11: hint: \[program:a\] stopwaitsec: .*stopwaitsecs\?/);
  assert.equal(lines[3], `${conf}: ok, 1 processes in 1 groups`);
});

test('an agent with misspelt keys starts, and its log says the same', async (t) => {
  const agent = await startAgent(t, '[program:a]\ncommand=/bin/cat\nautostrat=true\n');
  await agent.reaches('a', 'RUNNING');
  assert.match(agent.log(), /hint: \[program:a\] autostrat: unknown key/);
});

test('files that are no configuration are refused in Supervisor’s words', async (t) => {
  const none = await run(t, 'hello\n');
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^Error: File contains no section headers\.\n/);
  const empty = await run(t, '');
  assert.equal(empty.code, 2);
  assert.match(empty.stderr, /^Error: \.ini file does not include supervisord section\n/);
});

async function holding(context: Cleanup, place: string | number): Promise<void> {
  const server: Server = createServer();
  context.after(() => new Promise((resolve) => server.close(() => resolve())));
  await new Promise<void>((resolve) => {
    if (typeof place === 'number') server.listen(place, '127.0.0.1', resolve);
    else server.listen(place, resolve);
  });
}

const OCCUPIED =
  'Error: Another program is already listening on a port that one of our HTTP servers is configured to use.  ' +
  'Shut this program down first before starting supervisord.\n';

test('a unix socket on which somebody answers is never taken over', async (t) => {
  const path = join(await temporaryFolder(t), 'taken.sock');
  await holding(t, path);
  const { code, stderr, dir } = await run(
    t,
    `${HEAD}[unix_http_server]\nfile=${path}\n[program:a]\ncommand=/bin/touch DIR/started\n`,
  );
  assert.equal(code, 2);
  assert.ok(stderr.startsWith(OCCUPIED), stderr);
  assert.match(stderr, /taken\.sock of section \[unix_http_server\] is taken \(.*file=\)/);
  assert.ok(existsSync(path), 'the other’s socket is still there');
  assert.ok(!existsSync(join(dir, 'started')), 'no program was started');
});

test('a TCP port that is taken is named, and the socket opened before it is removed again', async (t) => {
  const port = await freePort();
  await holding(t, port);
  const { code, stderr, dir } = await run(
    t,
    `${HEAD}[inet_http_server]\nport=127.0.0.1:${port}\n[unix_http_server]\nfile=DIR/s.sock\n`,
  );
  assert.equal(code, 2);
  assert.ok(stderr.startsWith(OCCUPIED), stderr);
  assert.ok(stderr.includes(`127.0.0.1:${port} of section [inet_http_server] is taken`), stderr);
  assert.ok(!existsSync(join(dir, 's.sock')));
  assert.ok(!existsSync(join(dir, 's.pid')));
});

test('a state directory that cannot be written costs a warning, not the start', async (t) => {
  const agent = await startAgent(
    t,
    '[fleet]\ncontrollers=127.0.0.1:9\nca=/x\ncert=/x\nkey=/x\nstate_dir=/proc/nowhere\n' +
      '[program:a]\ncommand=/bin/cat\n',
  );
  await agent.reaches('a', 'RUNNING');
  assert.match(agent.log(), /could not use state directory \/proc\/nowhere: .*running from memory/);
});

test(
  'a user without rights gets a reason, not a stack',
  { skip: needsRoot() || needs('cc') },
  async (t) => {
    const dir = await temporaryFolder(t);
    const locked = join(dir, 'locked');
    mkdirSync(locked);
    chmodSync(dir, 0o755);
    chmodSync(locked, 0o700);
    const conf = join(dir, 's.conf');
    writeFileSync(conf, `[supervisord]\nlogfile=${locked}/s.log\npidfile=${dir}/s.pid\n`);
    const agent = [
      process.execPath,
      '--import',
      'tsx',
      join(ROOT, 'agent/main.ts'),
      '-n',
      '-c',
      conf,
    ];
    const { status, stderr } = spawnSync(
      'setpriv',
      ['--reuid', '65534', '--clear-groups', ...agent],
      {
        env: { ...process.env, HOME: dir, TMPDIR: '/tmp', [MARK]: dir },
        ...{ cwd: ROOT, encoding: 'utf8', timeout: 30_000 },
      },
    );
    assert.notEqual(status, 0);
    assert.match(stderr, /^Error: could not open the activity log .*locked\/s\.log: EACCES/m);
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual(await listMarked(dir), []);
  },
);

test('an agent with a certificate that cannot work supervises on and logs why, once', async (t) => {
  const fleet = await makeTestFleet();
  const other = await makeTestFleet('other');
  t.after(() => {
    fleet.remove();
    other.remove();
  });
  const good = await fleet.files('host', 'web1');
  const cases = [
    [{ ...good, cert: '/nonexistent/x.crt' }, /cannot read the certificate \/nonexistent\/x\.crt/],
    [{ ...good, ca: join(other.dir, 'ca.crt') }, /host-web1\.crt was not issued by .*ca\.crt/],
    [await fleet.files('user', 'ann'), /names spiffe:\/\/test\/user\/ann, but this host is web1/],
    [await fleet.files('host', 'web2'), /names spiffe:\/\/test\/host\/web2, but this host is web1/],
  ] as const;
  for (const [{ ca, cert, key }, pattern] of cases) {
    const agent = await startAgent(
      t,
      `[fleet]\ncontrollers=127.0.0.1:9\nca=${ca}\ncert=${cert}\nkey=${key}\n[program:a]\ncommand=/bin/cat\n`,
      'identifier=web1',
    );
    await agent.reaches('a', 'RUNNING');
    const line = await until('the reason in the log', () =>
      agent
        .log()
        .split('\n')
        .find((each) => each.includes('fleet: not joining')),
    );
    assert.match(line, pattern);
    assert.match(line, /ctl certs issue/);
    await agent.kill('SIGTERM');
  }
});

test('without a C compiler the build says which package brings one', async (t) => {
  const dir = await temporaryFolder(t);
  const module = join(ROOT, 'tools/build-keeper.mjs');
  const script = `import(${JSON.stringify(module)}).then((m) => m.buildKeeper(${JSON.stringify(dir)})).catch((e) => { console.error(e.message); process.exit(3); })`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], {
    env: { PATH: dirname(process.execPath) === '/usr/bin' ? dir : dirname(process.execPath) },
    encoding: 'utf8',
  });
  assert.equal(status, 3, stderr);
  assert.match(stderr, /install.*(gcc|build-essential|cc)/i);
  assert.deepEqual(readdirSync(dir), [], 'nothing half built');
});
