// Configurations as people write them about Supervisor, unchanged but for paths and users, with stand-in programs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isRunning, startAgent } from '../support/agent.js';
import { temporaryFolder } from '../support/folders.js';
import { ROOT } from '../support/sources.js';
import { until } from '../support/wait.js';

const FIXTURES = join(ROOT, 'test/fixtures/seeds');

/** Says how it was called, starts as many workers as `-w` asks for, and stays in the foreground. */
const STAND_IN = `#!/bin/sh
echo "$0 $*"
echo "A=$A JAVA_HOME=$JAVA_HOME" >&2
for word in "$@"; do
  [ "$last" = -w ] && for i in $(/usr/bin/seq "$word"); do /bin/sleep 1000 & done
  last=$word
done
exec /bin/sleep 1000
`;

interface Case {
  readonly file: string;
  readonly process: string;
  /** Of the stand-in, below the test's folder; none: the real program. */
  readonly program?: string;
  /** What the stand-in is called with, as its stdout log shows it. */
  readonly call?: string;
  readonly log: string;
  readonly stderrLog?: string;
  /** What is on stderr. */
  readonly says?: RegExp;
  readonly workers?: number;
}

const CASES: readonly Case[] = [
  {
    ...{ file: 'nginx.conf', process: 'nginx', program: 'nginx', call: 'nginx -g daemon off;' },
    ...{ log: 'logs/supervisord-nginx.log', stderrLog: 'logs/supervisord-nginx-error.log' },
  },
  {
    ...{ file: 'tomcat.conf', process: 'tomcat', program: 'tomcat/bin/catalina.sh' },
    ...{ call: 'catalina.sh run', log: 'tomcat/logs/catalina.out' },
    says: /JAVA_HOME=\/usr\/local\/jdk1\.8\.0_144$/m,
  },
  {
    ...{ file: 'gunicorn.conf', process: 'usercenter', program: 'gunicorn' },
    ...{ call: 'gunicorn -w 8 -b 0.0.0.0:17510 wsgi:app', log: 'logs/usercenter_stdout.log' },
    workers: 8,
  },
  { file: 'cat.conf', process: 'cat', log: 'logs/cat.log' },
  {
    ...{ file: 'my_app.conf', process: 'my_app', program: 'python', call: 'app.py' },
    ...{ log: 'logs/my_app.stdout.log', stderrLog: 'logs/my_app.stderr.log' },
  },
];

for (const { file, process, program, call, log, stderrLog, says, workers = 0 } of CASES) {
  test(`${file} runs and stops whole`, async (t) => {
    // The folder that DIR in the fixture stands for: it must hold the programs before the agent starts.
    const dir = await temporaryFolder(t);
    for (const folder of ['logs', 'tomcat/bin', 'tomcat/logs']) {
      mkdirSync(join(dir, folder), { recursive: true });
    }
    if (program !== undefined) writeFileSync(join(dir, program), STAND_IN, { mode: 0o755 });
    const text = readFileSync(join(FIXTURES, file), 'utf8').replaceAll('DIR', dir);
    const agent = await startAgent(t, text);
    const pid = await until(`${process} to have a pid`, async () => {
      const { pid: found } = await agent.info(process);
      return Number(found) > 0 ? Number(found) : undefined;
    });
    const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
    if (call !== undefined) {
      await until('the call in the log', () => read(log).includes(call), { seen: () => read(log) });
    }
    if (stderrLog !== undefined) {
      await until('stderr in its own log', () => read(stderrLog).includes('A='));
    }
    if (says !== undefined) await until('the environment', () => says.test(read(log)));
    const family = await until('its workers', () => {
      const pids = groupOf(pid);
      return pids.length === workers + 1 ? pids : undefined;
    });
    assert.equal(await agent.call('supervisor.stopProcess', process), true);
    await agent.reaches(process, 'STOPPED');
    await until('all of them to be gone', () => !family.some(isRunning));
  });
}

/** Living processes of a process group. */
function groupOf(leader: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!(pid > 0) || !isRunning(pid)) return false;
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === leader;
      } catch {
        return false;
      }
    });
}

test('sample.conf, every key with its comment, is accepted without a hint', async (t) => {
  const dir = await temporaryFolder(t);
  const conf = join(dir, 's.conf');
  const text = readFileSync(join(FIXTURES, 'sample.conf'), 'utf8');
  writeFileSync(conf, text.replaceAll('DIR', dir));
  const args = ['--import', 'tsx', join(ROOT, 'agent/main.ts'), '--check', '-c', conf];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    ...{ cwd: ROOT, encoding: 'utf8', timeout: 30_000 },
  });
  assert.equal(stdout, `${conf}: ok, 0 processes in 0 groups\n`, stderr);
  assert.equal(status, 0);
});
