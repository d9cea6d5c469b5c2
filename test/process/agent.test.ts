// A real agent with real children, seen as operators see it: by RPC, by supervisorctl, by files and processes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { XmlFault } from '../../common/xmlrpc.js';
import { autoLog, FAKE, isRunning, startAgent, supervisorctl } from '../support/agent.js';
import { needs, needsRoot } from '../support/need.js';
import { until } from '../support/wait.js';

const fault = (code: number, text?: string) => (error: unknown) =>
  error instanceof XmlFault &&
  error.faultCode === code &&
  (text ?? error.faultString) === error.faultString;

test('programs start by themselves, come back when they die, and stay stopped when stopped', async (t) => {
  const agent = await startAgent(
    t,
    `[program:up]\ncommand=${FAKE} hang\nstartsecs=0\n` +
      `[program:manual]\ncommand=${FAKE} hang\nautostart=false\nstartsecs=0\n`,
  );
  const first = await agent.reaches('up', 'RUNNING');
  assert.match(String(first['description']), /^pid \d+, uptime 0:00:\d\d$/);
  assert.equal((await agent.info('manual'))['description'], 'Not started');

  process.kill(Number(first['pid']), 'SIGKILL');
  const second = await until('another pid', async () => {
    const info = await agent.info('up');
    return info['statename'] === 'RUNNING' && info['pid'] !== first['pid'] && info;
  });
  assert.equal(agent.log().includes('exited: up (terminated by SIGKILL; not expected)'), true);
  assert.equal(await agent.call('supervisor.stopProcess', 'up'), true);
  assert.equal((await agent.info('up'))['statename'], 'STOPPED');
  assert.equal((await agent.info('up'))['exitstatus'], -1);
  assert.equal(isRunning(Number(second['pid'])), false);
  assert.equal(await agent.call('supervisor.startProcess', 'manual'), true);
});

test('a program that cannot start ends in FATAL with its reason', async (t) => {
  const agent = await startAgent(
    t,
    '[program:missing]\ncommand=/no/such/program\nstartretries=1\n' +
      `[program:quick]\ncommand=${FAKE} print:last-words exit:3\nstartsecs=30\nstartretries=1\n` +
      `[program:noexec]\ncommand=DIR/noexec\nstartretries=0\nautostart=false\n`,
  );
  assert.equal(
    (await agent.reaches('missing', 'FATAL'))['spawnerr'],
    "can't find command '/no/such/program'",
  );
  const quick = await agent.reaches('quick', 'FATAL');
  assert.equal(quick['spawnerr'], 'Exited too quickly (process log may have details)');
  const attempts = agent.file(autoLog(agent, 'quick', 'stdout')).split('last-words').length - 1;
  assert.equal(attempts, 2);

  await assert.rejects(
    agent.call('supervisor.startProcess', 'missing'),
    fault(20, "NO_FILE: can't find command '/no/such/program'"),
  );
  // A script without an interpreter line: found, executable, and refused by the kernel.
  writeFileSync(join(agent.dir, 'noexec'), 'echo hi\n', { mode: 0o755 });
  await assert.rejects(
    agent.call('supervisor.startProcess', 'noexec'),
    fault(50, 'SPAWN_ERROR: noexec'),
  );
  const noexec = await agent.reaches('noexec', 'FATAL');
  assert.match(String(noexec['spawnerr']), /^couldn't exec .*noexec: ENOEXEC$/);
  assert.match(
    agent.file(autoLog(agent, 'noexec', 'stderr')),
    /^supervisor: couldn't exec .*: ENOEXEC\nsupervisor: child process was not spawned\n$/,
  );
});

test('a deaf program is killed after stopwaitsecs, and groups die with killasgroup', async (t) => {
  const agent = await startAgent(
    t,
    `[program:deaf]\ncommand=${FAKE} ignore:TERM fork print:ready hang\nstartsecs=0\nstopwaitsecs=1\nkillasgroup=true\n` +
      `[program:polite]\ncommand=${FAKE} trap:USR1:0 fork print:ready hang\nstartsecs=0\nstopsignal=USR1\nstopasgroup=true\n`,
  );
  for (const name of ['deaf', 'polite']) {
    const path = autoLog(agent, name, 'stdout');
    await until(`${name} to be ready`, () => agent.file(path).includes('ready'));
    const child = Number(/child=(\d+)/.exec(agent.file(path))?.[1]);
    assert.equal(isRunning(child), true);
    assert.equal(await agent.call('supervisor.stopProcess', name), true);
    await until(`the child of ${name} to end`, () => !isRunning(child));
  }
  assert.match(agent.log(), /killing 'deaf' \(\d+\) with SIGKILL/);
  assert.match(agent.log(), /stopped: polite \(exit status 0\)/);
});

test('a process gets its environment, directory, mask and number', async (t) => {
  const agent = await startAgent(
    t,
    `[program:env]\ncommand=${FAKE} env:A env:SUPERVISOR_ENABLED env:SUPERVISOR_PROCESS_NAME ` +
      'env:SUPERVISOR_GROUP_NAME env:SUPERVISOR_SERVER_URL env:STATE env:NUM cwd umask hang\n' +
      'environment=A="1 2",NUM="%(process_num)d",STATE="%(ENV_HOME)s"\ndirectory=DIR\numask=027\n' +
      'numprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\nstartsecs=0\n',
  );
  await agent.reaches('env:env_01', 'RUNNING');
  const path = autoLog(agent, 'env_01', 'stdout');
  await until('its output', () => agent.file(path).includes('umask='));
  assert.deepEqual(agent.file(path).trim().split('\n'), [
    'A=1 2',
    'SUPERVISOR_ENABLED=1',
    'SUPERVISOR_PROCESS_NAME=env_01',
    'SUPERVISOR_GROUP_NAME=env',
    `SUPERVISOR_SERVER_URL=unix://${agent.socket}`,
    `STATE=${process.env['HOME']}`,
    'NUM=1',
    `cwd=${agent.dir}`,
    'umask=027',
  ]);
});

test('user= gives the user with all its groups', { skip: needsRoot() }, async (t) => {
  const agent = await startAgent(
    t,
    `[program:who]\ncommand=${FAKE} ids reopen:through-dev-stdout hang\nuser=www-data\nstartsecs=0\n` +
      'stdout_logfile=DIR/who.log\n',
  );
  await until('its output', () => agent.file('who.log').includes('through-dev-stdout'));
  const id = (flag: string): string =>
    spawnSync('id', [flag, 'www-data'], { encoding: 'utf8' }).stdout.trim();
  const [ids] = agent.file('who.log').split('\n');
  const [uid, gid, groups] = (ids ?? '').replace('ids=', '').split(':');
  assert.equal(`${uid} ${gid}`, `${id('-u')} ${id('-g')}`);
  assert.deepEqual(groups?.split(',').sort(), id('-G').split(' ').sort());
});

test('output goes to its files: apart, together, rotated, or nowhere', async (t) => {
  const agent = await startAgent(
    t,
    `[program:apart]\ncommand=${FAKE} print:out error:err hang\nstartsecs=0\n` +
      'stdout_logfile=DIR/apart.out\nstderr_logfile=DIR/apart.err\n' +
      `[program:together]\ncommand=${FAKE} print:out error:err hang\nstartsecs=0\n` +
      'stdout_logfile=DIR/together.log\nredirect_stderr=true\n' +
      `[program:flood]\ncommand=${FAKE} flood:1200000 print:end exit:0\nstartsecs=0\nautorestart=false\n` +
      'stdout_logfile=DIR/flood.log\nstdout_logfile_maxbytes=300KB\nstdout_logfile_backups=2\n' +
      `[program:silent]\ncommand=${FAKE} flood:1000000 exit:0\nstartsecs=0\nautorestart=false\nstdout_logfile=NONE\n`,
  );
  await agent.reaches('flood', 'EXITED');
  await agent.reaches('silent', 'EXITED');
  await until('both lines', () => agent.file('together.log').includes('err'));
  await until('the error line', () => agent.file('apart.err') !== '');
  assert.equal(agent.file('apart.out'), 'out\n');
  assert.equal(agent.file('apart.err'), 'err\n');
  assert.equal(agent.file('together.log'), 'out\nerr\n');
  assert.equal((await agent.info('together'))['stderr_logfile'], '');
  // 1.2 MB in files of 300 KB and at most one chunk more: three files remain, their bytes in order.
  const rotated = agent.file('flood.log.2') + agent.file('flood.log.1') + agent.file('flood.log');
  assert.equal(existsSync(join(agent.dir, 'flood.log.3')), false);
  assert.match(rotated, /^x*\n(x{119}\n)*end\n$/);
  for (const name of ['flood.log.1', 'flood.log.2']) {
    const size = agent.file(name).length;
    assert.ok(size >= 300 * 1024 && size < 300 * 1024 + 65536, `${name} has ${size} bytes`);
  }
});

test('logs are read, tailed and cleared by RPC; text goes to stdin', async (t) => {
  const agent = await startAgent(
    t,
    `[program:echo]\ncommand=${FAKE} echo\nstartsecs=0\nstdout_logfile=DIR/echo.log\n`,
  );
  await agent.reaches('echo', 'RUNNING');
  assert.equal(await agent.call('supervisor.sendProcessStdin', 'echo', 'grüße\n'), true);
  await until('the echo', () => agent.file('echo.log') === 'grüße\n');
  assert.equal(await agent.call('supervisor.readProcessStdoutLog', 'echo', -2, 0), 'e\n');
  assert.equal(await agent.call('supervisor.readProcessStdoutLog', 'echo', 0, 2), 'gr');
  assert.deepEqual(await agent.call('supervisor.tailProcessStdoutLog', 'echo', 0, 100), [
    'grüße\n',
    8,
    false,
  ]);
  assert.equal(await agent.call('supervisor.clearProcessLogs', 'echo'), true);
  assert.equal(agent.file('echo.log'), '');
  await assert.rejects(agent.call('supervisor.readProcessStdoutLog', 'echo', -1, 1), fault(3));
  await assert.rejects(
    agent.call('supervisor.readProcessStdoutLog', 'nobody', 0, 1),
    fault(10, 'BAD_NAME: nobody'),
  );
  assert.match(
    String(await agent.call('supervisor.readLog', 0, 0)),
    /supervisord started with pid/,
  );
});

test('an agent killed with SIGKILL leaves its children, and its successor takes them over', async (t) => {
  const agent = await startAgent(
    t,
    `[program:lives]\ncommand=sh -c 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done'\nstartsecs=0\n` +
      `[program:dies]\ncommand=${FAKE} trap:USR1:7 print:ready hang\nstartsecs=0\nautorestart=false\n` +
      `[program:stopped]\ncommand=${FAKE} hang\nstartsecs=0\n`,
  );
  await agent.call('supervisor.stopProcess', 'stopped');
  const lives = await agent.reaches('lives', 'RUNNING');
  const dies = await agent.reaches('dies', 'RUNNING');
  const log = autoLog(agent, 'lives', 'stdout');
  const readiness = autoLog(agent, 'dies', 'stdout');
  await until('dies to be ready', () => agent.file(readiness).includes('ready'));

  await agent.kill('SIGKILL');
  assert.equal(isRunning(Number(lives['pid'])), true);
  process.kill(Number(dies['pid']), 'SIGUSR1');
  await until('the child to end', () => !isRunning(Number(dies['pid'])));
  await agent.start();

  assert.equal((await agent.info('lives'))['pid'], lives['pid']);
  assert.equal((await agent.info('lives'))['statename'], 'RUNNING');
  const after = await agent.reaches('dies', 'EXITED');
  assert.equal(after['exitstatus'], 7);
  assert.equal((await agent.info('stopped'))['statename'], 'STOPPED');
  assert.equal(autoLog(agent, 'lives', 'stdout'), log);
  const seen = agent.file(log).length;
  await until('more lines', () => agent.file(log).length > seen + 50);
  const numbers = [...agent.file(log).matchAll(/line (\d+)\n/g)].map((match) => Number(match[1]));
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i + 1),
  );
});

test('SIGTERM stops everything in order of priority and leaves nothing behind', async (t) => {
  const agent = await startAgent(
    t,
    `[program:first]\ncommand=${FAKE} hang\npriority=1\nstartsecs=0\n` +
      `[program:second]\ncommand=${FAKE} hang\npriority=2\nstartsecs=0\n` +
      `[program:third]\ncommand=${FAKE} hang\npriority=3\nstartsecs=0\n`,
  );
  await agent.reaches('third', 'RUNNING');
  const order = (word: string): string[] =>
    [...agent.log().matchAll(new RegExp(`${word}: '?(\\w+)`, 'g'))].map((match) => match[1] ?? '');
  // By pid: the keeper forks in order, but whose exec is through first is up to the machine.
  const spawned = [...agent.log().matchAll(/spawned: '(\w+)' with pid (\d+)/g)]
    .sort(([, , a], [, , b]) => Number(a) - Number(b))
    .map(([, name]) => name);
  assert.deepEqual(spawned, ['first', 'second', 'third']);
  assert.deepEqual(await agent.kill('SIGTERM'), { code: 0, signal: null });
  assert.deepEqual(order('stopped'), ['third', 'second', 'first']);
  assert.deepEqual(await agent.leftovers(), []);
  for (const name of ['s.sock', 's.pid']) assert.equal(existsSync(join(agent.dir, name)), false);
});

test('a second agent on the same file is refused and touches nothing', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nstartsecs=0\n`);
  const before = await agent.reaches('a', 'RUNNING');
  const log = agent.log();
  const second = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'agent/main.ts', '-n', '-c', agent.conf],
    { encoding: 'utf8', env: { ...process.env, STATE_DIRECTORY: join(agent.dir, 'state') } },
  );
  assert.equal(second.status, 2);
  assert.match(second.stderr, /^Error: another agent \(pid \d+\) runs with this configuration/);
  assert.equal(agent.log(), log);
  assert.equal((await agent.info('a'))['pid'], before['pid']);
});

test('supervisorctl of Debian works on the agent', { skip: needs('supervisorctl') }, async (t) => {
  const agent = await startAgent(
    t,
    `[program:one]\ncommand=${FAKE} print:hello hang\nstartsecs=0\nstdout_logfile=DIR/one.log\n` +
      `[program:off]\ncommand=${FAKE} hang\nstartsecs=0\nautostart=false\n` +
      '[group:pair]\nprograms=left,right\n' +
      `[program:left]\ncommand=${FAKE} hang\nstartsecs=0\n[program:right]\ncommand=${FAKE} hang\nstartsecs=0\n`,
  );
  await agent.reaches('pair:right', 'RUNNING');
  const status = supervisorctl(agent, 'status');
  assert.equal(status.code, 3);
  assert.match(
    status.out,
    /^off {30}STOPPED {3}Not started\none {30}RUNNING {3}pid \d+, uptime 0:00:\d\d\npair:left {24}RUNNING {3}pid .*\npair:right {23}RUNNING {3}pid .*\n$/,
  );
  assert.equal(supervisorctl(agent, 'start', 'off').out, 'off: started\n');
  assert.equal(supervisorctl(agent, 'stop', 'pair:*').out.includes('pair:left: stopped'), true);
  assert.equal(supervisorctl(agent, 'restart', 'one').out, 'one: stopped\none: started\n');
  assert.equal(supervisorctl(agent, 'signal', 'HUP', 'off').out, 'off: signalled\n');
  await until('its output', () => agent.file('one.log').includes('hello'));
  assert.match(supervisorctl(agent, 'tail', 'one').out, /hello/);
  assert.equal(supervisorctl(agent, 'pid').out, `${agent.pid()}\n`);
  assert.equal(supervisorctl(agent, 'version').out, '4.2.5\n');
  assert.equal(supervisorctl(agent, 'start', 'nobody').out, 'nobody: ERROR (no such process)\n');
  assert.equal(supervisorctl(agent, 'shutdown').out, 'Shut down\n');
  await until('the agent to end', async () => (await agent.leftovers()).length === 0);
});
