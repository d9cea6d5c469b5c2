// The agent's own life: going to the background, reloading, losing its keeper, refusing to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { XmlFault } from '../../common/xmlrpc.js';
import { callSocket, FAKE, isRunning, startAgent, type TestAgent } from '../support/agent.js';
import { temporaryFolder } from '../support/folders.js';
import { until } from '../support/wait.js';
import { endMarked, listMarked, MARK } from '../../tools/marked.mjs';

const ARGS = ['--import', 'tsx', 'agent/main.ts'];

function change(agent: TestAgent, from: string, to: string): void {
  writeFileSync(agent.conf, readFileSync(agent.conf, 'utf8').replace(from, to));
}

test('SIGHUP starts over with the new configuration under the same pid', async (t) => {
  const agent = await startAgent(t, `[program:old]\ncommand=${FAKE} hang\nstartsecs=0\n`);
  const old = await agent.reaches('old', 'RUNNING');
  const pid = agent.pid();
  change(agent, '[program:old]', '[program:new]');
  process.kill(pid, 'SIGHUP');
  await until('the new program', async () => {
    const info = await agent.info('new').catch(() => undefined);
    return info?.['statename'] === 'RUNNING';
  });
  assert.equal(isRunning(Number(old['pid'])), false);
  assert.equal(await agent.call('supervisor.getPID'), pid);
  await assert.rejects(agent.info('old'), XmlFault);
});

test('a restart with an invalid configuration is refused and stops nothing', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nstartsecs=0\n`);
  const before = await agent.reaches('a', 'RUNNING');
  change(agent, 'startsecs=0', 'startsecs=soon');
  await assert.rejects(agent.call('supervisor.restart'), (error: unknown) => {
    return error instanceof XmlFault && error.faultCode === 92;
  });
  process.kill(agent.pid(), 'SIGHUP');
  await until('the refusal in the log', () => agent.log().includes('CRIT not restarted'));
  assert.equal((await agent.info('a'))['pid'], before['pid']);
  assert.equal((await agent.info('a'))['statename'], 'RUNNING');
});

test('in the background the first process ends with 0 once the agent answers', async (t) => {
  let dir = '';
  t.after(async () => void (await endMarked(dir)));
  dir = await temporaryFolder(t);
  const conf = join(dir, 's.conf');
  const text = `[supervisord]\nlogfile=${dir}/s.log\npidfile=${dir}/s.pid\ndirectory=${dir}\numask=077\n`;
  const server = `[unix_http_server]\nfile=${dir}/s.sock\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n`;
  const program = `[program:a]\ncommand=${FAKE} env:FLEETVISOR_REPORT_FD cwd umask hang\nstdout_logfile=${dir}/a.log\nstartsecs=0\n`;
  writeFileSync(conf, text + server + program);
  const env = { ...process.env, STATE_DIRECTORY: join(dir, 'state'), [MARK]: dir };
  const first = spawnSync(process.execPath, [...ARGS, '-c', conf], { env, encoding: 'utf8' });
  assert.deepEqual([first.status, first.stdout, first.stderr], [0, '', '']);
  const pid = Number(readFileSync(join(dir, 's.pid'), 'utf8'));
  assert.equal(await callSocket(join(dir, 's.sock'), 'supervisor.getPID', []), pid);
  const output = (): string => readFileSync(join(dir, 'a.log'), 'utf8');
  await until('its output', () => existsSync(join(dir, 'a.log')) && output().includes('umask'));
  assert.equal(output(), `FLEETVISOR_REPORT_FD=(unset)\ncwd=${dir}\numask=077\n`);

  // What goes wrong in the background is told by the first process.
  const second = spawnSync(process.execPath, [...ARGS, '-c', conf], { env, encoding: 'utf8' });
  assert.equal(second.status, 2);
  assert.match(second.stderr, /^Error: another agent/);
  process.kill(pid, 'SIGTERM');
  await until('the agent to end', async () => (await listMarked(dir)).length === 0);
});

test('a socket that somebody answers on is never taken over', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nautostart=false\n`);
  const other = join(agent.dir, 'other.conf');
  writeFileSync(
    other,
    `[supervisord]\nlogfile=${agent.dir}/o.log\npidfile=${agent.dir}/o.pid\n[unix_http_server]\nfile=${agent.socket}\n`,
  );
  const env = { ...process.env, STATE_DIRECTORY: join(agent.dir, 'state2'), [MARK]: agent.dir };
  const run = spawnSync(process.execPath, [...ARGS, '-n', '-s', '-c', other], {
    env,
    encoding: 'utf8',
  });
  assert.equal(run.status, 2);
  assert.match(run.stderr, /^Error: Another program is already listening on a port/);
  assert.deepEqual(await agent.call('supervisor.getState'), { statecode: 1, statename: 'RUNNING' });
});

test('children of a keeper that was killed are in doubt, not killed and not started twice', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nstartsecs=0\n`);
  const before = await agent.reaches('a', 'RUNNING');
  const keeper = (await listMarked(agent.dir)).find(({ command }) =>
    command.includes('fleetvisor-keeper'),
  );
  process.kill(keeper?.pid ?? 0, 'SIGKILL');
  const doubtful = await agent.reaches('a', 'UNKNOWN');
  assert.equal(doubtful['pid'], before['pid']);
  assert.match(String(doubtful['spawnerr']), /the keeper, died/);
  assert.equal(isRunning(Number(before['pid'])), true);
  process.kill(Number(before['pid']), 'SIGKILL');
  // Its end is noticed, and supervision goes on under a new keeper.
  const after = await agent.reaches('a', 'RUNNING');
  assert.notEqual(after['pid'], before['pid']);
});

test('--check reports every problem of a file and starts nothing', async (t) => {
  const dir = await temporaryFolder(t);
  const conf = join(dir, 's.conf');
  const check = (): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [...ARGS, '--check', '-c', conf], {
      encoding: 'utf8',
      cwd: process.cwd(),
    });
  writeFileSync(conf, '[supervisord]\n[program:a]\ncommand=cat\nstartsecs=soon\n[program:b]\n');
  const bad = check();
  assert.equal(bad.status, 2);
  assert.match(bad.stderr, /^Error: .*\nFor help, use .* -h\n(.*:\d+: .*\n){2}/);
  writeFileSync(
    conf,
    '[supervisord]\n[program:a]\ncommand=cat\n[fleet]\ncontrollers=127.0.0.1:1\nca=/no/ca\ncert=/no/cert\nkey=/no/key\n',
  );
  const fleet = check();
  assert.equal(fleet.status, 2);
  assert.match(fleet.stderr, /^Error: \[fleet\] .*\/no\//);
  writeFileSync(conf, '[supervisord]\n[program:a]\ncommand=cat\nstartsec=1\n');
  const fine = check();
  assert.equal(fine.status, 0);
  assert.match(fine.stdout, /startsecs[\s\S]*: ok, 1 processes in 1 groups\n$/);
});
