// One-host mode without a server: what it loads, and how its command line is read (spec ctl 1).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { parseLocalOptions } from '../../../../cli/local/options.js';
import { runLocal } from '../../../../cli/local/run.js';
import type { Output } from '../../../../cli/output.js';

async function run(argv: readonly string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const write = (part: string | Uint8Array): Promise<void> => {
    text += String(part);
    return Promise.resolve();
  };
  const out: Output = {
    write,
    line: (line) => write(`${line}\n`),
    complain: (line) => void (text += `${line}\n`),
    json: () => Promise.resolve(),
    terminal: false,
    width: undefined,
    color: false,
  };
  const { signal } = new AbortController();
  const world = { out, env: {}, program: '/x/bin/ctl', cwd: '/nonexistent', signal };
  return { code: await runLocal(argv, world), text };
}

test('one-host mode runs without any gRPC code, commander or certificates', async () => {
  const { code, text } = await run(['-s', 'unix:///nonexistent/s.sock', 'status']);
  assert.deepEqual([code, text], [4, 'unix:///nonexistent/s.sock no such file\n']);
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  const heavy = loaded.filter((path) =>
    /node_modules\/(@grpc|commander|@peculiar|nats)\//.test(path),
  );
  assert.deepEqual(heavy, []);
});

test('without an action it says so instead of doing something', async () => {
  const { code, text } = await run([]);
  assert.equal(code, 2);
  assert.match(text, /no action is given/);
});

test('options end at the action; what follows belongs to it', () => {
  const options = parseLocalOptions([
    '-cx.conf',
    '--user',
    'ann',
    '--password=a=b',
    'tail',
    '-f',
    '-c',
  ]);
  assert.equal(options.configFile, 'x.conf');
  assert.deepEqual([options.username, options.password], ['ann', 'a=b']);
  assert.deepEqual(options.words, ['tail', '-f', '-c']);
});

const MISTAKES: readonly (readonly [readonly string[], string])[] = [
  [['-x'], 'option -x not recognized'],
  [['--nope'], 'option --nope not recognized'],
  [['-s'], 'option -s requires argument'],
  [['--serverurl'], 'option --serverurl requires argument'],
  [['-c', 'a', '-c', 'b'], "conflicting command line option '-c'"],
  [['-s', 'foo'], "invalid value for -s 'foo': value 'foo' is not a URL"],
];
for (const [argv, message] of MISTAKES) {
  test(`ctl ${argv.join(' ')}: ${message}`, async () => {
    const { code, text } = await run(argv);
    assert.equal(code, 2);
    assert.ok(text.startsWith(`Error: ${message}\n`), text);
  });
}
