// What the controller and ctl refuse: the words say what, where and how to mend it, the exit code says how bad, and
// nothing is left half started (spec fleet 8).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { initAuthority, issueCertificate } from '../../cli/certs.js';
import { MARK, endMarked, listMarked } from '../../tools/marked.mjs';
import { makeTestFleet, type TestFleet } from '../support/certificates.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { temporaryFolder } from '../support/folders.js';
import { findProgram, needs, needsRoot } from '../support/need.js';
import { freePorts } from '../support/ports.js';
import { ROOT } from '../support/sources.js';

const BIN = join(ROOT, 'dist/bin');
const skip = needs('nats-server', 'cc');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly stderr: string;
  readonly stdout: string;
}

function run(program: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Ended {
  const clean: NodeJS.ProcessEnv = { ...process.env, ...env };
  delete clean['NODE_TEST_CONTEXT'];
  const { status, stdout, stderr } = spawnSync(join(BIN, program), argv, {
    ...{ env: clean, encoding: 'utf8', timeout: 40_000 },
  });
  return { code: status, out: stdout + stderr, stdout, stderr };
}

describe('a controller that cannot start says why in one line and leaves nothing', { skip }, () => {
  const cleaners: (() => Promise<void>)[] = [];
  let fleet: TestFleet;
  let foreign: TestFleet;
  let dir: string;
  let ports: number[];
  let good: string;

  before(async () => {
    dir = await temporaryFolder({ after: (clean) => void cleaners.push(clean) });
    fleet = await makeTestFleet();
    foreign = await makeTestFleet('other');
    ports = await freePorts(3);
    const { ca, cert, key } = await fleet.files('controller', 'c1');
    good =
      `[controller]\nlisten=127.0.0.1:${ports[0]}\nhttp_listen=127.0.0.1:${ports[1]}\n` +
      `state_dir=${dir}/state\n[tls]\nca=${ca}\ncert=${cert}\nkey=${key}\n[nats]\nport=${ports[2]}\n` +
      '[user:ann]\ngrant=viewer on *:*:*\n';
  });

  after(async () => {
    await endMarked(dir);
    fleet.remove();
    foreign.remove();
    for (const clean of cleaners) await clean();
  });

  async function refused(text: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    const file = join(dir, 'controller.conf');
    writeFileSync(file, text);
    const ended = run('fleetvisor-controller', ['-q', '-c', file], { [MARK]: dir, ...env });
    assert.deepEqual(await listMarked(dir), [], `left running after ${ended.out}`);
    assert.doesNotMatch(ended.out, /^\s+at |node:internal/m, 'no stack');
    return ended;
  }

  const change = (from: string | RegExp, to: string): string => {
    const changed = good.replace(from, to);
    assert.notEqual(changed, good);
    return changed;
  };

  it('every unknown key and bad value at once, with line and nearest name; exit 2', async () => {
    const text = change('http_listen', 'htp_listen')
      .replace('[nats]', '[natz]')
      .replace('grant=viewer', 'grant=veiwer');
    const { code, stderr } = await refused(text);
    assert.equal(code, 2);
    assert.match(stderr, /^Error: /);
    assert.match(stderr, /controller\.conf:3: \[controller\] htp_listen: .*http_listen\?/);
    assert.match(stderr, /controller\.conf:9: \[natz\] unknown section.*\[nats\]\?/);
    assert.match(stderr, /controller\.conf:12: \[user:ann\] grant: not a grant: veiwer/);
    assert.ok(!existsSync(join(dir, 'state')));
  });

  const taken: readonly (readonly [string, number, RegExp])[] = [
    ['gRPC', 0, /^Error: cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*listen=/m],
    ['HTTP', 1, /^Error: cannot listen on 127\.0\.0\.1:\d+ for HTTP: .*EADDRINUSE.*http_listen=/m],
    [
      'NATS',
      2,
      /^Error: nats-server did not start on 127\.0\.0\.1:\d+: .*address already in use.*port=/m,
    ],
  ];
  for (const [what, index, pattern] of taken) {
    it(`the ${what} port is taken: the port, and the key that moves it`, async () => {
      const port = ports[index] as number;
      // In a process of its own, because this one waits for the controller.
      const script = `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('ready'))`;
      const holder = spawn(process.execPath, ['-e', script], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        await new Promise((resolve) => holder.stdout.once('data', resolve));
        const { code, stderr } = await refused(good);
        assert.equal(code, 1);
        assert.match(stderr, pattern);
        assert.ok(stderr.includes(`:${port}`), stderr);
        assert.equal(stderr.trim().split('\n').length, 1, `one line:\n${stderr}`);
      } finally {
        holder.kill('SIGKILL');
      }
    });
  }

  it('certificates: missing, of another kind, of another authority, expired, key of another', async () => {
    const { key: userKey, cert: userCert } = await fleet.files('user', 'ann');
    const pastMs = Date.now() - 400 * 86_400_000;
    const old = await makeTestFleet('old');
    try {
      await initAuthority(join(old.dir, 'ca'), 'old', pastMs);
      const expired = await issueCertificate({
        ...{ dir: join(old.dir, 'ca'), kind: 'controller', name: 'c1', altNames: [], days: 1 },
        wallMs: pastMs,
      });
      const cases: readonly (readonly [string, RegExp])[] = [
        [
          change(/cert=.*/, 'cert=/nonexistent/c.crt'),
          /cannot read the certificate \/nonexistent\/c\.crt: ENOENT/,
        ],
        [
          change(/cert=.*/, `cert=${userCert}`).replace(/key=.*/, `key=${userKey}`),
          /user-ann\.crt is the certificate of a user, not of a controller/,
        ],
        [
          change(/ca=.*/, `ca=${join(foreign.dir, 'ca.crt')}`),
          /controller-c1\.crt was not issued by .*ca\.crt/,
        ],
        [
          change(/ca=.*/, `ca=${old.dir}/ca/ca.crt`)
            .replace(/cert=.*/, `cert=${expired.cert}`)
            .replace(/key=.*/, `key=${expired.key}`),
          /controller-c1\.crt expired at \d{4}-/,
        ],
        [
          change(/key=.*/, `key=${userKey}`),
          /controller-c1\.crt and .*user-ann\.key cannot be used together/,
        ],
      ];
      for (const [text, pattern] of cases) {
        const { code, stderr } = await refused(text);
        assert.equal(code, 1, stderr);
        assert.match(stderr, pattern);
        assert.match(stderr, /ctl certs issue/);
      }
    } finally {
      old.remove();
    }
  });

  it('a state directory that cannot be written, or that another controller holds', async () => {
    const { code, stderr } = await refused(change(/state_dir=.*/, 'state_dir=/proc/nowhere'));
    assert.equal(code, 1);
    assert.match(stderr, /the state directory \/proc\/nowhere cannot be written: .*state_dir=/);
  });

  it(
    'nats-server missing: which package brings it, and what to name instead',
    { skip: needsRoot() },
    async (t) => {
      // A file system in which only its folders differ: where it is looked for is part of the program.
      const places = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin'];
      const found = places.map((folder) => join(folder, 'nats-server')).filter(existsSync);
      const bare = join(dir, 'bin');
      mkdirSync(bare, { recursive: true });
      for (const name of ['node', 'sh']) {
        const path = findProgram(name);
        if (path !== undefined && !existsSync(join(bare, name)))
          symlinkSync(path, join(bare, name));
      }
      const file = join(dir, 'controller.conf');
      writeFileSync(file, good);
      writeFileSync(join(dir, 'plain'), '', { mode: 0o644 });
      const hide = found.map((path) => `mount --bind ${join(dir, 'plain')} ${path}`);
      const command = [
        ...hide,
        `PATH=${bare} exec ${join(BIN, 'fleetvisor-controller')} -q -c ${file}`,
      ];
      const { status, stderr } = spawnSync(
        'unshare',
        ['-m', '/bin/sh', '-c', command.join(' && ')],
        {
          ...{ env: { ...process.env, [MARK]: dir }, encoding: 'utf8', timeout: 40_000 },
        },
      );
      if (/unshare failed|mount: /.test(stderr)) {
        t.skip('this machine allows no mount namespaces');
        return;
      }
      assert.equal(status, 1, stderr);
      assert.match(
        stderr,
        /^Error: nats-server was not found on PATH; install it .*apt-get install nats-server.*servers=/m,
      );
      assert.deepEqual(await listMarked(dir), []);
    },
  );
});

describe('ctl and a fleet that says no', { skip }, () => {
  const cleaners: (() => Promise<void>)[] = [];
  let fleet: Fleet;

  before(async () => {
    fleet = await startFleet(
      { after: (clean) => void cleaners.push(clean) },
      {
        hosts: {
          'web.1': `[program:odd]\ncommand=/bin/sleep 100000\nprocess_name=a*b.c>d[e]é\n`,
          db1: `[program:many]\ncommand=/bin/sleep 100000\nprocess_name=%(process_num)03d\nnumprocs=300\nstartsecs=0\n`,
        },
      },
    );
  });

  after(async () => {
    for (const clean of cleaners.reverse()) await clean();
  });

  it('a selector that matches nothing, an unknown host, a missing scope: 2 for verbs, 4 for status', async () => {
    const cases: readonly (readonly [number, RegExp, ...string[]])[] = [
      [2, /web\.1:nope:nope: ERROR \(no such/, 'restart', 'web.1:nope:nope'],
      [2, /web99:\*:\*: ERROR \(no such host\)/, 'restart', 'web99:*:*'],
      [2, /'odd' does not say on which hosts[^]*--all-hosts/, 'restart', 'odd'],
      [2, /missing required argument 'selector'/, 'restart'],
      [4, /nope: ERROR \(no such process\)/, 'status', 'nope'],
      [4, /web99: ERROR \(no such host\)/, 'status', '-H', 'web99'],
      [2, /unknown command 'statsu'[^]*status/, 'statsu'],
      [2, /-C stands before the action/, 'status', '-C', 'x'],
      [1, /bad signal: FOO/, 'signal', 'FOO', 'web.1:odd:*'],
    ];
    for (const [code, pattern, ...argv] of cases) {
      const ended = await fleet.ctl(...argv);
      assert.equal(ended.code, code, `${argv.join(' ')}: ${ended.stdout}${ended.stderr}`);
      assert.match(ended.stdout + ended.stderr, pattern);
    }
  });

  it('errors are objects too where --json is asked for', async () => {
    for (const argv of [
      ['restart'],
      ['restart', 'nope', '--all-hosts'],
      ['stop', 'odd'],
      ['statsu'],
    ]) {
      const { stdout, code } = await fleet.ctl('--json', ...argv);
      const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
      assert.deepEqual([last['kind'], last['exit']], ['summary', 2], argv.join(' '));
      assert.equal(code, 2);
    }
  });

  it('names that mean something on the bus or in a pattern pass through the whole fleet', async () => {
    const name = 'web.1:odd:a*b.c>d[e]é';
    const { code, stdout } = await fleet.ctl('restart', name);
    assert.equal(code, 0, stdout);
    const events = await fleet.json('events', name, '--since', '5m');
    assert.ok(events.some((line) => line['process'] === 'a*b.c>d[e]é' && line['to'] === 'RUNNING'));
    const [row] = await fleet.json('status', name);
    assert.equal(row?.['state'], 'RUNNING');
  });

  it('300 processes of one agent restart in one command, and the controller’s log stays quiet', async () => {
    const { code, stdout } = await fleet.ctl('restart', 'db1:many:*');
    assert.equal(code, 0, stdout.slice(-500));
    assert.match(stdout, /300 targets: 300 ok/);
    assert.doesNotMatch(readFileSync(fleet.controller.logFile, 'utf8'), /Warning/);
  });

  it('a reader that has seen enough ends ctl without a word', () => {
    const ctl = `${join(BIN, 'ctl')} -C ${fleet.ctlConf} status --all-hosts | head -1`;
    const { stdout, stderr } = spawnSync('/bin/sh', ['-c', ctl], { encoding: 'utf8' });
    assert.equal(stdout.trim().split('\n').length, 1);
    assert.doesNotMatch(stderr, /EPIPE|Error|^\s+at /m);
  });

  it('certificates that the fleet does not take: refused with the reason', async () => {
    const certs = join(fleet.dir, 'certs');
    const foreign = await makeTestFleet('test');
    try {
      const pastMs = Date.now() - 40 * 86_400_000;
      const expired = await issueCertificate({
        ...{ dir: certs, kind: 'user', name: 'late', altNames: [], days: 1, wallMs: pastMs },
      });
      const { ca, cert, key } = await foreign.files('user', 'test');
      const own = ['--ca', join(certs, 'ca.crt')];
      const cases: readonly (readonly [number, RegExp, ...string[]])[] = [
        [2, /user-late\.crt expired at/, ...own, '--cert', expired.cert, '--key', expired.key],
        [2, /was not issued by the certificate authority/, ...own, '--cert', cert, '--key', key],
        [25, /no controller answers at .*certificate/, '--ca', ca, '--cert', cert, '--key', key],
        [
          4,
          /spiffe:\/\/test\/host\/db1 may not call/,
          ...own,
          '--cert',
          join(certs, 'host-db1.crt'),
          '--key',
          join(certs, 'host-db1.key'),
        ],
      ];
      for (const [code, pattern, ...argv] of cases) {
        const ended = await fleet.ctl(...argv, 'status');
        assert.equal(ended.code, code, ended.stdout + ended.stderr);
        assert.match(ended.stderr, pattern);
      }
    } finally {
      foreign.remove();
    }
  });

  it('no controller at all: 25, every address tried, and what to do instead', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const place = silent.address();
    const port = typeof place === 'object' && place !== null ? place.port : 0;
    try {
      const addresses = `127.0.0.1:9,127.0.0.1:${port}`;
      const { code, stderr } = await fleet.ctl('--controller', addresses, 'status');
      assert.equal(code, 25);
      assert.match(stderr, /127\.0\.0\.1:9: connection refused/);
      assert.match(
        stderr,
        new RegExp(`127\\.0\\.0\\.1:${port}: .*(did not answer|timed? ?out)`, 'i'),
      );
      assert.match(stderr, /ctl -c supervisord\.conf status/);
    } finally {
      silent.close();
    }
  });

  it('a ctl.conf that is wrong: every problem with its line; 2', async () => {
    const file = join(fleet.dir, 'bad.conf');
    writeFileSync(file, '[ctl]\ncontrolers=x:1\ncacert=/x\n');
    const { code, stderr } = run('ctl', ['-C', file, 'status']);
    assert.equal(code, 2);
    assert.match(stderr, /bad\.conf:2: unknown key/);
    assert.match(stderr, /bad\.conf:3: unknown key/);
    assert.match(stderr, /bad\.conf:1: section \[ctl\] has no controllers value/);
  });

  it('ends with nothing left', async () => {
    assert.deepEqual(await fleet.stop(), []);
  });
});
