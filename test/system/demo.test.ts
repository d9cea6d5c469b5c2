// The first command of the README, as a newcomer runs it: the fleet comes up, answers, and leaves nothing behind.
// The demo's ports and folder are fixed, so while a demo runs the test is skipped by name.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { listMarked } from '../../tools/marked.mjs';
import { portOwner } from '../../tools/port-owner.mjs';
import { missingReason, needs } from '../support/need.js';
import { ROOT } from '../support/sources.js';
import { until } from '../support/wait.js';

const DEMO_DIR = join(ROOT, '.demo');
const CTL = [join(ROOT, 'dist/bin/ctl'), '-C', join(DEMO_DIR, 'ctl.conf')] as const;

const owner = await portOwner(9500);
const skip =
  needs('nats-server') ||
  (owner !== undefined && missingReason(`port 9500, a demo's, is taken by ${owner}`));

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function run(program: string, ...argv: readonly string[]): Promise<Outcome> {
  const env = { ...process.env };
  delete env['NODE_TEST_CONTEXT'];
  return new Promise((resolve) => {
    execFile(program, argv, { cwd: ROOT, env }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, output: stdout + stderr });
    });
  });
}

const demo = (...argv: readonly string[]): Promise<Outcome> =>
  run(process.execPath, join(ROOT, 'tools/demo.mjs'), ...argv);
const ctl = (...argv: readonly string[]): Promise<Outcome> => run(CTL[0], CTL[1], CTL[2], ...argv);

function page(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(body));
    }).on('error', () => resolve(undefined));
  });
}

test(
  'the demo comes up, serves, refuses a second start and ends without a trace',
  { skip },
  async (context) => {
    context.after(() => demo('--stop'));
    const started = await demo('--detach');
    assert.equal(started.code, 0, started.output);

    const status = await ctl('--json', 'status', '--all-hosts');
    const rows = status.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, string>)
      .filter(({ kind }) => kind === 'process');
    const names = (host: string): string[] =>
      rows.filter((row) => row['host'] === host).map((row) => `${row['group']}:${row['process']}`);
    const web = ['web:api', 'web:site', 'worker:worker-0', 'worker:worker-1', 'worker:worker-2'];
    assert.deepEqual(names('web1').sort(), ['flaky:flaky', ...web]);
    assert.deepEqual(names('web2').sort(), web);
    assert.deepEqual(names('db1').sort(), [
      'alerts-inbox:alerts-inbox',
      'nightly-batch:nightly-batch',
      'store:store',
    ]);

    const body = await until('the site to answer', () => page(8081));
    assert.match(body, /^Hello from web1, pid \d+\.\n$/);
    const counted = await until('the API to count in the store', () => page(8082));
    assert.match(counted, /"visits":\d+/);

    const second = await demo('--detach');
    assert.equal(second.code, 1);
    assert.match(second.output, /running already; end it with `npm run demo -- --stop`/);

    const stopped = await demo('--stop');
    assert.equal(stopped.code, 0, stopped.output);
    assert.deepEqual(await listMarked(DEMO_DIR), []);
    assert.match((await demo('--stop')).output, /not running/);
  },
);
