// One daemon under measurement, supervisord or our agent, on the same configuration in a folder of its own.
// Whatever a trial does, daemon, keeper and programs are gone after `end`.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../test/support/ports.js';
import { ROOT } from '../../test/support/sources.js';
import { MARK, endMarked, listMarked } from '../marked.mjs';
import { nowMs, poll } from './clock.js';
import { Lines } from './follow.js';
import { RawClient } from './rpc.js';
import type { Side } from './stats.js';

export interface Plan {
  /** Sections after [supervisord]; DIR stands for the folder of the logs. */
  readonly programs: string;
  /** Descriptors that [supervisord] asks for; more cost supervisord time at every fork, so ask for few. */
  readonly minfds?: number;
}

/** Two folders of one daemon, made by `launch`, removed by `end`. */
export interface Places {
  /** Configuration, sockets, our state. */
  readonly dir: string;
  readonly logs: string;
}

const START_PATIENCE_MS = 120_000;

export class Daemon {
  private readonly log: Lines;
  private running = 0;
  private isGone = false;
  readonly exited: Promise<void>;
  readonly rpc: RawClient;

  private constructor(
    readonly side: Side,
    readonly dir: string,
    /** Where DIR of a plan leads: logs of programs and the daemon's own. */
    readonly logs: string,
    readonly port: number,
    private readonly child: ChildProcess,
    /** Just before the daemon's own process was started. */
    readonly launchedAtMs: number,
  ) {
    this.log = new Lines(join(logs, 's.log'));
    this.rpc = new RawClient({ path: join(dir, 's.sock') }, START_PATIENCE_MS);
    this.exited = new Promise((resolve) => {
      const gone = (): void => {
        this.isGone = true;
        resolve();
      };
      child.once('exit', gone);
      child.once('error', gone);
    });
  }

  static async launch(
    side: Side,
    program: string,
    { dir, logs }: Places,
    plan: Plan,
  ): Promise<Daemon> {
    const port = await freePort();
    for (const folder of [dir, logs]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(dir, 's.conf'), configuration({ dir, logs }, port, plan));
    const env: NodeJS.ProcessEnv = { ...process.env, STATE_DIRECTORY: join(dir, 'state') };
    const launchedAtMs = nowMs();
    const child = spawn(program, ['-n', '-s', '-c', join(dir, 's.conf')], {
      env: { ...env, [MARK]: dir },
      stdio: 'ignore',
      cwd: ROOT,
    });
    return new Daemon(side, dir, logs, port, child, launchedAtMs);
  }

  get conf(): string {
    return join(this.dir, 's.conf');
  }

  /** Waits until so many starts have reached RUNNING in all, by the daemon's own log; answers when that was seen. */
  async untilStarted(count: number): Promise<number> {
    return poll(
      `${this.side} to have started ${count} programs`,
      () => {
        if (this.isGone) throw new Error(`${this.side} ended by itself: ${this.lastWords()}`);
        this.running += this.log
          .next()
          .filter((line) => line.includes(' entered RUNNING state')).length;
        return this.running >= count ? nowMs() : undefined;
      },
      { everyMs: 5, patienceMs: START_PATIENCE_MS },
    );
  }

  /** The daemon's own processes: ours has a keeper. */
  async pids(): Promise<number[]> {
    if (this.side === 'supervisord') return [this.child.pid ?? 0];
    const keepers = (await listMarked(this.dir)).filter(({ command }) =>
      /^\S*fleetvisor-keeper /.test(command),
    );
    if (keepers.length !== 1) throw new Error(`the agent has ${keepers.length} keepers`);
    return [this.child.pid ?? 0, ...keepers.map(({ pid }) => pid)];
  }

  /** Command lines of everything alive that this daemon brought into the world. */
  async commands(): Promise<string[]> {
    return (await listMarked(this.dir)).map(({ command }) => command);
  }

  /** Ends everything at once, by pid, and removes the folder. */
  async end(): Promise<void> {
    this.rpc.close();
    await endMarked(this.dir, 0);
    await this.exited;
    for (const folder of [this.dir, this.logs]) {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  private lastWords(): string {
    try {
      return readFileSync(join(this.logs, 's.log'), 'utf8')
        .trim()
        .split('\n')
        .slice(-3)
        .join(' | ');
    } catch {
      return 'it left no log';
    }
  }
}

function configuration({ dir, logs }: Places, port: number, plan: Plan): string {
  const lines = [
    '[supervisord]',
    `logfile=${logs}/s.log`,
    'logfile_maxbytes=0',
    `pidfile=${dir}/s.pid`,
    `childlogdir=${logs}`,
    `minfds=${plan.minfds ?? 1024}`,
    ...(process.getuid?.() === 0 ? ['user=root'] : []),
    '[unix_http_server]',
    `file=${dir}/s.sock`,
    '[inet_http_server]',
    `port=127.0.0.1:${port}`,
    '[rpcinterface:supervisor]',
    'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface',
    '[supervisorctl]',
    `serverurl=unix://${dir}/s.sock`,
  ];
  return `${lines.join('\n')}\n${plan.programs.replaceAll('DIR', logs)}\n`;
}
