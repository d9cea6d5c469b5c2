// fleetvisor-controller as a program: arguments, one clear line for what is wrong at start, signals.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeTestFleet, type TestFleet } from '../support/certificates.js';
import { freePorts } from '../support/ports.js';
import { ROOT } from '../support/sources.js';
import { until } from '../support/wait.js';

let fleet: TestFleet;
let dir: string;
let taken: Server;
let takenPort = 0;
let ports: number[];

before(async () => {
  fleet = await makeTestFleet();
  dir = mkdtempSync(join(tmpdir(), 'fleetvisor-controller-main-'));
  ports = await freePorts(4);
  takenPort = ports[3] as number;
  taken = createServer().listen(takenPort, '127.0.0.1');
  await once(taken, 'listening');
});

after(() => {
  taken.close();
  fleet.remove();
  rmSync(dir, { recursive: true, force: true });
});

interface Plan {
  readonly listen?: number;
  readonly httpListen?: number;
  readonly stateDir?: string;
  readonly kind?: 'controller' | 'user';
  readonly more?: string;
}

async function configFile(plan: Plan): Promise<string> {
  const [port, httpPort, busPort] = ports;
  const { ca, cert, key } = await fleet.files(plan.kind ?? 'controller', 'c1');
  const file = join(dir, 'controller.conf');
  writeFileSync(
    file,
    `[controller]
listen=127.0.0.1:${plan.listen ?? port}
http_listen=127.0.0.1:${plan.httpListen ?? httpPort}
state_dir=${plan.stateDir ?? join(dir, 'state')}
[tls]
ca=${ca}
cert=${cert}
key=${key}
[nats]
servers=tls://127.0.0.1:${busPort}
${plan.more ?? ''}
`,
  );
  return file;
}

function launch(...argv: string[]) {
  const main = join(ROOT, 'controller/main.ts');
  const env = { ...process.env };
  delete env['NODE_TEST_CONTEXT'];
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...argv], { cwd: ROOT, env });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }));
  return { child, output, ended };
}

const run = (...argv: string[]) => launch(...argv).ended;

/** Exit code 1 and exactly one line that matches. */
async function refuses(plan: Plan, pattern: RegExp): Promise<void> {
  const { code, stderr } = await run('-c', await configFile(plan));
  assert.equal(code, 1, stderr);
  const errors = stderr.trim().split('\n');
  assert.equal(errors.length, 1, stderr);
  assert.match(errors[0] as string, pattern);
}

test('without a configuration, and with an unknown option, it explains itself and exits 2', async () => {
  const none = await run();
  assert.equal(none.code, 2);
  assert.match(none.stderr, /no configuration is named[\s\S]*usage:/);
  assert.equal((await run('--nope')).code, 2);
});

test('--check reads everything and changes nothing', async () => {
  const file = await configFile({ listen: takenPort });
  const { code, stdout, stderr } = await run('-c', file, '--check');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /in order/);
});

test('every problem of the configuration is reported at once', async () => {
  const file = await configFile({ more: '[bogus]\n[limits]\nheartbeat=never' });
  const { code, stderr } = await run('-c', file);
  assert.equal(code, 2);
  assert.match(stderr, /bogus/);
  assert.match(stderr, /heartbeat/);
});

test('a taken gRPC port is named', () =>
  refuses({ listen: takenPort }, new RegExp(`127.0.0.1:${takenPort}.*EADDRINUSE.*listen=`)));

test('a taken HTTP port is named, and nothing stays half started', () =>
  refuses({ httpListen: takenPort }, new RegExp(`${takenPort}.*EADDRINUSE.*http_listen=`)));

test('a certificate of another kind is named', () =>
  refuses({ kind: 'user' }, /user-c1\.crt is the certificate of a user.*certs issue controller/));

test('a state directory that cannot be written is named', () =>
  refuses(
    { stateDir: '/proc/fleetvisor/state' },
    /\/proc\/fleetvisor\/state cannot be written.*state_dir=/,
  ));

test('it runs without a bus, refuses a second controller on its state, and ends on SIGTERM with 0', async () => {
  const first = launch('-c', await configFile({}));
  await until('ready', () => first.output.stderr.includes('"message":"ready"'), {
    seen: () => first.output.stderr,
  });
  const [other, otherHttp] = await freePorts(2);
  await refuses(
    { listen: other as number, httpListen: otherHttp as number },
    /another controller \(pid \d+\) holds the state directory/,
  );
  first.child.kill('SIGTERM');
  const { code, stderr } = await first.ended;
  assert.equal(code, 0, stderr);
  for (const line of stderr.trim().split('\n')) JSON.parse(line);
});
