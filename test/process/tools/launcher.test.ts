// The launchers of dist/bin: what sh and node make of them, with a stand-in for the bundle.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { launcher } from '../../../tools/launcher.mjs';
import { temporaryFolder } from '../../support/folders.js';

const REPORT = `console.log(JSON.stringify({
  argv: process.argv.slice(2),
  flags: process.execArgv,
  extra: process.env.NODE_EXTRA_CA_CERTS ?? null,
  kept: process.env.FLEETVISOR_NODE_EXTRA_CA_CERTS ?? null,
  here: launcherUrl,
}));`;

interface Report {
  readonly argv: string[];
  readonly flags: string[];
  readonly extra: string | null;
  readonly kept: string | null;
  readonly here: string;
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A dist folder with one program; answers the path of its launcher. */
async function program(
  context: TestContext,
  options: { readonly flags?: readonly string[]; readonly extraCaCerts?: boolean } = {},
): Promise<string> {
  const dir = await temporaryFolder(context);
  await mkdir(join(dir, 'bin'));
  await mkdir(join(dir, 'lib'));
  await writeFile(join(dir, 'package.json'), '{ "type": "commonjs" }\n');
  await writeFile(join(dir, 'lib/demo.js'), REPORT);
  const path = join(dir, 'bin/demo');
  const { flags = [], extraCaCerts = false } = options;
  await writeFile(path, launcher({ name: 'demo', nodeFlags: flags, extraCaCerts }));
  await chmod(path, 0o755);
  return path;
}

function run(
  file: string,
  argv: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const inherited = { ...process.env };
  for (const name of ['NODE_TEST_CONTEXT', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS']) {
    delete inherited[name];
  }
  return new Promise((resolve) => {
    execFile(file, argv, { env: { ...inherited, ...env } }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

async function report(...call: Parameters<typeof run>): Promise<Report> {
  const { code, stdout, stderr } = await run(...call);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return JSON.parse(stdout) as Report;
}

test('arguments arrive as they were given', async (context) => {
  const argv = ['a b', '', "it's", '$HOME', '--flag', '-n', '*'];
  assert.deepEqual((await report(await program(context), argv)).argv, argv);
});

test('node gets the flags of the program', async (context) => {
  const path = await program(context, { flags: ['--max-semi-space-size=1'] });
  assert.deepEqual((await report(path)).flags, ['--max-semi-space-size=1']);
});

test('extra certificates are out of the way while node starts, and back for children', async (context) => {
  // Node warns at start-up about a file it cannot read, so silence shows that it did not look.
  const env = { NODE_EXTRA_CA_CERTS: '/nowhere/ca.pem' };
  const seen = await report(await program(context), [], env);
  assert.equal(seen.extra, '/nowhere/ca.pem');
  assert.equal(seen.kept, null);
});

test('a program that calls public servers keeps the extra certificates', async (context) => {
  const path = await program(context, { extraCaCerts: true });
  const { stderr } = await run(path, [], { NODE_EXTRA_CA_CERTS: '/nowhere/ca.pem' });
  assert.match(stderr, /extra certs from `\/nowhere\/ca\.pem`/);
});

test('a symlink, as npm makes them, and PATH lead to the same program', async (context) => {
  const path = await program(context);
  const folder = await temporaryFolder(context);
  await symlink(path, join(folder, 'demo'));
  const linked = await report(join(folder, 'demo'), ['x']);
  assert.deepEqual(linked.argv, ['x']);
  assert.ok(linked.here.endsWith(path), 'the program knows where it really is');
  const onPath = await report('sh', ['-c', 'demo y'], {
    PATH: `${dirname(path)}:${process.env['PATH'] ?? ''}`,
  });
  assert.deepEqual(onPath.argv, ['y']);
});

test('an old node is refused in one line that says what to install', async (context) => {
  const path = await program(context);
  const pretend = join(dirname(path), 'old.cjs');
  await writeFile(
    pretend,
    "Object.defineProperty(process, 'versions', { value: { node: '18.20.1' } });\n",
  );
  const { code, stderr } = await run(path, [], { NODE_OPTIONS: `--require ${pretend}` });
  assert.equal(code, 1);
  assert.match(stderr, /^demo: node 18\.20\.1 \(.*\) is too old; install Node 20\.19 or newer\n$/);
});

test('without node there is one line that says what to install', async (context) => {
  const { code, stderr } = await run('/bin/sh', [await program(context)], { PATH: '/nowhere' });
  assert.equal(code, 127);
  assert.equal(stderr, 'demo: node is not on PATH; install Node 20.19 or newer\n');
});

test('a code cache that does not fit is passed over', async (context) => {
  const path = await program(context);
  await writeFile(join(dirname(path), '../lib/demo.cache'), 'not a cache');
  assert.deepEqual((await report(path, ['z'])).argv, ['z']);
});
