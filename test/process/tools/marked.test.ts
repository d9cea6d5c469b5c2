// Ending a fleet by its mark: all of it, however it was started, and nothing else.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { MARK, endMarked, listMarked } from '../../../tools/marked.mjs';
import { portOwner } from '../../../tools/port-owner.mjs';
import { temporaryFolder } from '../../support/folders.js';
import { freePort } from '../../support/ports.js';
import { until } from '../../support/wait.js';

function shell(context: TestContext, script: string, mark: string): ChildProcess {
  const env = { ...process.env, [MARK]: mark };
  const child = spawn('sh', ['-c', script], { env, stdio: 'ignore', detached: true });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

test('orphans and processes deaf to SIGTERM end with the rest', async (context) => {
  const mark = await temporaryFolder(context);
  shell(context, '(setsid sleep 1000 &) ; exit 0', mark);
  shell(context, 'trap "" TERM; while :; do sleep 1000; done', mark);
  await until('both to run', async () => (await listMarked(mark)).length >= 3);
  const ended = await endMarked(mark, 300);
  assert.ok(ended.some(({ command }) => command === 'sleep 1000'));
  assert.deepEqual(await listMarked(mark), []);
});

test('processes of another fleet are left alone', async (context) => {
  const mark = await temporaryFolder(context);
  const other = shell(context, 'exec sleep 1000', `${mark}x`);
  await until('it to run', async () => (await listMarked(`${mark}x`)).length === 1);
  assert.deepEqual(await endMarked(mark), []);
  assert.equal(other.exitCode ?? other.signalCode, null);
});

test('a taken port names its owner, a free one nobody', async (context) => {
  const port = await freePort();
  assert.equal(await portOwner(port), undefined);
  const server = createServer().listen(port, '127.0.0.1');
  context.after(() => server.close());
  await until('the server to listen', () => server.listening);
  assert.match((await portOwner(port)) ?? '', new RegExp(`^pid ${process.pid} \\(.*node`));
});
