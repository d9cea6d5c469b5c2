// What trials are made in: the two programs, the load program, folders, and the certainty that all of it ends.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../../test/support/need.js';
import { ROOT } from '../../test/support/sources.js';
import { endMarked } from '../marked.mjs';
import { Daemon, type Plan } from './daemon.js';
import type { Row, Side } from './stats.js';

const MEMORY_DISK = '/dev/shm';

export interface Options {
  /** Programs of the trials that start and end very many. */
  readonly programs: number;
  /** How often each side is measured, in turn. */
  readonly rounds: number;
}

/** Something to measure; may answer several rows. */
export interface Trial {
  readonly name: string;
  readonly about: string;
  run(lab: Lab): Promise<Row[]>;
}

export class Lab {
  private readonly open = new Set<Daemon>();
  private readonly cleanups: (() => Promise<void>)[] = [];
  private launched = 0;

  private constructor(
    readonly options: Options,
    private readonly dir: string,
    /** On a memory disk where there is one: the disk's own moods would hide the daemons. */
    private readonly logs: string,
    /** The compiled load.c. */
    readonly load: string,
    private readonly programs: ReadonlyMap<Side, string>,
  ) {}

  /** Throws when there is no C compiler or no build of ours. */
  static async create(options: Options): Promise<Lab> {
    const agent = Lab.bin('fleetvisor-agent');
    if (agent === undefined) throw new Error('dist/bin/fleetvisor-agent is missing: npm run build');
    const dir = await mkdtemp(join(tmpdir(), 'fvb-'));
    const logs = existsSync(MEMORY_DISK) ? await mkdtemp(join(MEMORY_DISK, 'fvb-')) : dir;
    const load = join(dir, 'load');
    const source = join(ROOT, 'tools/bench/load.c');
    await promisify(execFile)('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', load, source]);
    const supervisord = findProgram('supervisord');
    const programs = new Map<Side, string>();
    if (supervisord !== undefined) programs.set('supervisord', supervisord);
    programs.set('fleetvisor', agent);
    return new Lab(options, dir, logs, load, programs);
  }

  /** The path of a program of the last build; undefined when that has none. */
  static bin(name: string): string | undefined {
    const path = join(ROOT, 'dist/bin', name);
    return existsSync(path) ? path : undefined;
  }

  /** supervisord first, where it is installed. */
  get sides(): Side[] {
    return [...this.programs.keys()];
  }

  /** Starts a daemon without waiting for anything. */
  async launch(side: Side, plan: Plan): Promise<Daemon> {
    const places = { dir: this.folder(side), logs: this.logFolder() };
    const daemon = await Daemon.launch(side, this.programs.get(side) ?? '', places, plan);
    this.open.add(daemon);
    return daemon;
  }

  /** Starts one daemon a side, one after the other, each with `count` programs RUNNING. */
  async launchAll(plan: Plan, count: number): Promise<Daemon[]> {
    const daemons: Daemon[] = [];
    for (const side of this.sides) {
      const daemon = await this.launch(side, plan);
      await daemon.untilStarted(count);
      daemons.push(daemon);
    }
    return daemons;
  }

  async end(daemon: Daemon): Promise<void> {
    this.open.delete(daemon);
    await daemon.end();
  }

  /** A name for a folder that goes away with the trial; not created. Short: sockets are put there. */
  folder(name: string): string {
    return join(this.dir, `${name.slice(0, 2)}${this.launched++}`);
  }

  /** The same for logs. */
  logFolder(): string {
    return join(this.logs, `logs${this.launched++}`);
  }

  /** In the shape that test/support asks for: run after the trial, last first. */
  after(clean: () => Promise<void>): void {
    this.cleanups.push(clean);
  }

  /** Ends what a trial left behind, also one that failed. */
  async clear(): Promise<void> {
    for (const daemon of [...this.open]) await this.end(daemon);
    for (let clean = this.cleanups.pop(); clean !== undefined; clean = this.cleanups.pop()) {
      await clean();
    }
  }

  async close(): Promise<void> {
    await this.clear();
    await endMarked(this.dir, 0);
    for (const folder of [this.dir, this.logs]) {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** An empty list a side, to be filled. */
export function collect(): Record<Side, number[]> {
  return { supervisord: [], fleetvisor: [] };
}

/** `[program:p]` as `count` processes p_0000, p_0001, ... with `startsecs=0` and a log file each. */
export function pool(command: string, count: number, more: readonly string[] = []): string {
  return [
    '[program:p]',
    `command=${command}`,
    `numprocs=${count}`,
    'process_name=p_%(process_num)04d',
    'startsecs=0',
    'redirect_stderr=true',
    'stdout_logfile=DIR/p_%(process_num)04d.log',
    ...more,
  ].join('\n');
}
