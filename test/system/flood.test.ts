// A program that floods its log into a terminal that stopped reading: nobody else notices.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Fleet, startFleet } from '../support/fleet.js';
import { ROOT } from '../support/sources.js';
import { needs } from '../support/need.js';
import { until } from '../support/wait.js';

const skip = needs('nats-server', 'cc');

/** Resident memory, MiB. */
function residentMib(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) / 1024;
}

describe('a log flood', { skip }, () => {
  let fleet: Fleet;
  const cleaners: (() => Promise<void>)[] = [];

  before(async () => {
    // 50 lines of 1 MiB a second, for at most a minute.
    const flood =
      "let n=0;const line='x'.repeat(1023)+String.fromCharCode(10);const mib=line.repeat(1024);" +
      'setInterval(()=>{if(n++>3000)process.exit(0);process.stdout.write(mib)},20)';
    fleet = await startFleet(
      { after: (clean) => void cleaners.push(clean) },
      {
        hosts: {
          web1: `
[program:flood]
command=${process.execPath} -e "${flood}"
autorestart=false
startsecs=0
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
[program:quiet]
command=/bin/sleep 100000
startsecs=0
`,
        },
      },
    );
  });

  after(async () => {
    for (const clean of cleaners.reverse()) await clean();
  });

  it('leaves the host up, commands answered and memory bounded while its reader is stopped', async () => {
    const seen = join(fleet.dir, 'tail.out');
    const output = openSync(seen, 'w');
    const tail = spawn(
      join(ROOT, 'dist/bin/ctl'),
      ['-C', fleet.ctlConf, 'tail', '-f', 'web1:flood:flood'],
      { stdio: ['ignore', output, output] },
    );
    closeSync(output);
    const ended = new Promise((resolve) => tail.once('exit', resolve));
    cleaners.push(async () => {
      tail.kill('SIGKILL');
      await ended;
    });
    await until('a line of the flood', () => readFileSync(seen).includes('xxxx'));
    assert.ok(tail.pid);
    process.kill(tail.pid, 'SIGSTOP');
    const earlier = [fleet.agent('web1').pid(), fleet.controller.pid()].map(residentMib);
    for (let round = 0; round < 8; round++) {
      const restarted = await fleet.ctl('restart', 'web1:quiet:quiet');
      assert.equal(restarted.code, 0, restarted.stdout + restarted.stderr);
      const host = (await fleet.json('hosts')).find((line) => line['host'] === 'web1');
      assert.equal(host?.['state'], 'up');
    }
    const later = [fleet.agent('web1').pid(), fleet.controller.pid()].map(residentMib);
    for (const [at, mib] of later.entries()) {
      const grown = mib - (earlier[at] as number);
      assert.ok(grown < 100, `grew by ${grown} MiB to ${mib} MiB`);
    }
    const [row] = await fleet.json('status', 'web1:flood:flood');
    assert.equal(row?.['state'], 'RUNNING', 'the program was not held up or killed');
    process.kill(tail.pid, 'SIGCONT');
    await until('the reader to be told of the gap', () => readFileSync(seen).includes('--- gap: '));
  });
});
