// ctl's one-host mode against a stock supervisord: word for word and code for code what supervisorctl answers.
// Uses dist/bin/ctl, so `npm run build` (or npm test) comes first.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '../support/folders.js';
import { findProgram, needs } from '../support/need.js';
import { freePorts } from '../support/ports.js';
import { ROOT } from '../support/sources.js';
import { until } from '../support/wait.js';

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe(
  'ctl and supervisorctl on a stock supervisord',
  { skip: needs('supervisord', 'supervisorctl') },
  () => {
    const cleaners: (() => Promise<void>)[] = [];
    let dir = '';
    let conf = '';
    let port = 0;
    let daemon: ChildProcess;

    before(async () => {
      dir = await temporaryFolder({ after: (clean) => void cleaners.push(clean) });
      [port = 0] = await freePorts(1);
      conf = join(dir, 'supervisord.conf');
      writeFileSync(conf, configuration(dir, port));
      const path = findProgram('supervisord') as string;
      daemon = spawn(path, ['-n', '-c', conf], { stdio: 'ignore' });
      await until('supervisord to answer', async () =>
        (await ctl(['status'])).stdout.includes('slow'),
      );
      await until('steady programs', async () => {
        const { stdout } = await ctl(['status', 'slow', 'web:*', 'bad']);
        return (stdout.match(/RUNNING/g)?.length ?? 0) === 3 && stdout.includes('FATAL');
      });
    });

    after(async () => {
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      await ended;
      for (const clean of cleaners.reverse()) await clean();
    });

    function run(program: string, argv: readonly string[]): Promise<Answer> {
      return new Promise((resolve, reject) => {
        // Both print times in local time; a day's change between two runs would show.
        const env = { ...process.env, HOME: dir, TZ: 'UTC', PYTHONIOENCODING: 'utf-8' };
        const child = spawn(program, argv, { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
        let stdout = '';
        let stderr = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
        child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, stdout, stderr }));
      });
    }

    const program = join(ROOT, 'dist/bin/ctl');
    const ctl = (words: readonly string[], options = ['-c', conf]): Promise<Answer> =>
      run(program, [...options, ...words]);
    const original = (words: readonly string[], options = ['-c', conf]): Promise<Answer> =>
      run(findProgram('supervisorctl') as string, [...options, ...words]);

    /** Uptimes and the paths and lines of generic errors differ by nature. */
    const normal = ({ code, stdout, stderr }: Answer): Answer => ({
      code,
      stdout: stdout
        .replace(/uptime \d+:\d\d:\d\d/g, 'uptime T')
        .replace(/^error: .*$/gm, 'error: E'),
      stderr: stderr.replace(/^For help, use .*$/m, 'For help, use P -h'),
    });

    const unchanging: readonly (readonly string[])[] = [
      ['status'],
      ['status', 'web:*'],
      ['status', 'web:web_01', 'slow', 'slow'],
      ['status', 'web'],
      ['status', 'nope'],
      ['status', 'nope:*', 'idle'],
      ['status', 'nope:x', 'slow'],
      ['start'],
      ['start', 'slow'],
      ['start', 'nope'],
      ['start', 'nofile'],
      ['start', 'bad'],
      ['start', 'slow', 'nope'],
      ['stop'],
      ['stop', 'idle'],
      ['signal', 'HUP'],
      ['signal', 'cont', 'web:*'],
      ['signal', 'NOPE', 'slow'],
      ['signal', 'HUP', 'idle'],
      ['signal', 'HUP', 'nope:*'],
      ['pid', 'all'],
      ['pid', 'slow', 'web:web_00'],
      ['pid', 'nope'],
      ['pid', 'web:*'],
      ['version'],
      ['tail'],
      ['tail', 'noisy'],
      ['tail', '-5', 'noisy'],
      ['tail', '--5', 'noisy'],
      ['tail', 'noisy', 'stderr'],
      ['tail', 'noisy', 'nope'],
      ['tail', '-x', 'noisy'],
      ['tail', 'a', 'b', 'c', 'd'],
      ['tail', 'nope'],
      ['tail', 'quiet'],
      ['help', 'status'],
      ['stat'],
    ];
    for (const words of unchanging) {
      it(`answers alike: ${words.join(' ')}`, async () => {
        const [ours, theirs] = await Promise.all([ctl(words), original(words)]);
        assert.deepEqual(normal(ours), normal(theirs));
      });
    }

    const changing: readonly (readonly (readonly string[])[])[] = [
      [
        ['stop', 'slow'],
        ['start', 'slow'],
      ],
      [
        ['stop', 'web:*'],
        ['start', 'web:*'],
      ],
      [
        ['restart', 'web:web_00', 'idle', 'nope'],
        ['stop', 'idle'],
      ],
      [['restart', 'nope:*']],
      [
        ['stop', 'all'],
        ['start', 'slow', 'web:web_00', 'web:web_01', 'noisy'],
      ],
    ];
    for (const sequence of changing) {
      it(`changes alike: ${sequence.map((words) => words.join(' ')).join('; ')}`, async () => {
        const answers = [];
        for (const run of [ctl, original]) {
          const lines: Answer[] = [];
          for (const words of sequence) {
            const answer = normal(await run(words));
            // Members of a group finish in an order of their own.
            const stdout = answer.stdout.split('\n').sort().join('\n');
            lines.push({ ...answer, stdout });
          }
          answers.push(lines);
        }
        assert.deepEqual(answers[0], answers[1]);
      });
    }

    it('reaches it over TCP with name and password, and says alike when they are wrong', async () => {
      const url = ['-s', `http://127.0.0.1:${port}`];
      for (const secret of [['-u', 'ann', '-p', 'pa:ss'], ['-u', 'ann', '-p', 'wrong'], []]) {
        const options = [...url, ...secret];
        const [ours, theirs] = [
          await ctl(['status', 'slow'], options),
          await original(['status', 'slow'], options),
        ];
        assert.deepEqual(normal(ours), normal(theirs));
      }
    });

    it('says alike that nobody listens, that there is no socket and what is wrong on the command line', async () => {
      const missing = join(dir, 'nope.sock');
      const cases: readonly (readonly [string[], string[]])[] = [
        [['-s', `unix://${missing}`], ['status']],
        [
          ['-s', `unix://${missing}`],
          ['start', 'x'],
        ],
        [['-s', 'http://127.0.0.1:1'], ['status']],
        [
          ['-s', 'http://127.0.0.1:1'],
          ['stop', 'x'],
        ],
        [['-s', 'foo'], ['status']],
        [['--serverurl', 'foo'], ['status']],
        [['-c', join(dir, 'nope.conf')], ['status']],
        [['-c', conf, '-c', conf], ['status']],
        [['-c', conf, '-x'], ['status']],
        [['-c', conf, '--nope'], ['status']],
        [['-s'], []],
      ];
      for (const [options, words] of cases) {
        const [ours, theirs] = [await ctl(words, options), await original(words, options)];
        assert.deepEqual(normal(ours), normal(theirs), [...options, ...words].join(' '));
      }
    });

    it('follows a log until Ctrl-C', async () => {
      const child = spawn(program, ['-c', conf, 'tail', '-f', 'noisy'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      await until('the log', () => stdout.includes('grüße'), { seen: () => stdout });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      assert.equal(await ended, 0);
      assert.match(stdout, /^==> Press Ctrl-C to exit <==\n/);
    });
  },
);

function configuration(dir: string, port: number): string {
  const program = (name: string, command: string, more = ''): string =>
    `[program:${name}]\ncommand=${command}\nstdout_logfile=${dir}/${name}.out\nstderr_logfile=${dir}/${name}.err\n${more}\n`;
  return [
    `[supervisord]\nlogfile=${dir}/log\npidfile=${dir}/pid\nchildlogdir=${dir}\n`,
    `[unix_http_server]\nfile=${dir}/s.sock\n`,
    `[inet_http_server]\nport=127.0.0.1:${port}\nusername=ann\npassword=pa:ss\n`,
    `[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n`,
    `[supervisorctl]\nserverurl=unix://${dir}/s.sock\n`,
    program('slow', 'sleep 100000', 'startsecs=1'),
    program(
      'web',
      'sleep 100000',
      'numprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\nstartsecs=0',
    ),
    program('idle', 'sleep 100000', 'autostart=false\nstartsecs=0'),
    program(
      'noisy',
      `sh -c "echo one; echo 'grüße & <two>'; echo bad >&2; exec sleep 100000"`,
      'startsecs=0',
    ),
    program('bad', 'false', 'startretries=0'),
    program('nofile', '/nonexistent/program', 'autostart=false'),
    program('noexec', '/etc/passwd', 'autostart=false'),
    `[program:quiet]\ncommand=sleep 100000\nstdout_logfile=NONE\nautostart=false\n`,
  ].join('\n');
}
