// Trials of starting and ending: one successor, very many programs, restart all, shutdown, stopping by name.
import { nowMs, pause } from './clock.js';
import { timeCommand } from './command.js';
import type { Daemon } from './daemon.js';
import { Stamps } from './follow.js';
import { cpuMs } from './proc.js';
import { VICTIMS, Victims } from './victims.js';
import { Lab, type Trial, collect, pool } from './lab.js';
import { type Side, quantile } from './stats.js';

const SUCCESSOR_KILLS: Readonly<Record<Side, number>> = { supervisord: 4, fleetvisor: 100 };

export const successor: Trial = {
  name: 'successor',
  about: 'kill -9 of a program -> main() of its successor (startsecs=0)',
  async run(lab) {
    const samples = collect();
    for (let round = 0; round < lab.options.rounds; round++) {
      for (const side of lab.sides) samples[side].push(...(await killOften(lab, side)));
    }
    const slow = (all: readonly number[]): number[] =>
      all.length === 0 ? [] : [quantile(all, 0.99)];
    return [
      {
        name: 'exit -> successor started, each',
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast: 200 },
        samples,
      },
      {
        name: 'exit -> successor started, p99',
        unit: 'ms',
        better: 'less',
        goal: { kind: 'atMost', value: 10 },
        samples: {
          supervisord: slow(samples.supervisord),
          fleetvisor: slow(samples.fleetvisor),
        },
      },
    ];
  },
};

async function killOften(lab: Lab, side: Side): Promise<number[]> {
  const stamps = new Stamps(lab.folder('stamps'));
  const programs = pool(`${lab.load} stamp ${stamps.path}`, VICTIMS, ['autorestart=true']);
  const daemon = await lab.launch(side, { programs });
  await daemon.untilStarted(VICTIMS);
  const victims = new Victims(stamps, VICTIMS);
  const took: number[] = [];
  for (let kill = 0; kill < SUCCESSOR_KILLS[side]; kill++) {
    // Uneven, so that a daemon with a tick is met at different moments of it.
    await pause(20 + ((kill * 37) % 60));
    const { killedAtMs, startedAtMs } = await victims.killNext();
    took.push(startedAtMs - killedAtMs);
  }
  await lab.end(daemon);
  return took;
}

export const many: Trial = {
  name: 'many',
  about: 'start to RUNNING, then shutdown, of very many programs (--programs)',
  async run(lab) {
    const { programs: count, rounds } = lab.options;
    const starts = collect();
    const costs = collect();
    const shutdowns = collect();
    const programs = pool(`${lab.load} idle`, count);
    // Two pipe ends and a log file each, and some air.
    const minfds = Math.max(1024, 3 * count + 256);
    for (let round = 0; round < rounds; round++) {
      for (const side of lab.sides) {
        const daemon = await lab.launch(side, { programs, minfds });
        starts[side].push((await daemon.untilStarted(count)) - daemon.launchedAtMs);
        costs[side].push(cpuMs(await daemon.pids()));
        shutdowns[side].push(await shutDown(daemon));
        await lab.end(daemon);
      }
    }
    return [
      {
        name: `start of ${count} programs to RUNNING`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast: 4 },
        samples: starts,
        note: `from the daemon's own exec, minfds=${minfds}, the last "entered RUNNING state" of its log`,
      },
      {
        name: `start of ${count} programs, CPU of the daemon`,
        unit: 'ms',
        better: 'less',
        samples: costs,
        note: 'no goal; it tells work from waiting when the machine is busy',
      },
      {
        name: `shutdown of ${count} programs`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast: 10 },
        samples: shutdowns,
        note: 'supervisor.shutdown -> the daemon has ended, all programs before it',
      },
    ];
  },
};

async function shutDown(daemon: Daemon): Promise<number> {
  // A first call, so that a sleeping daemon is not part of the measurement.
  await daemon.rpc.call('supervisor.getState');
  const askedAtMs = nowMs();
  await daemon.rpc.call('supervisor.shutdown');
  await daemon.exited;
  const ms = nowMs() - askedAtMs;
  // A keeper may take a moment to follow its agent; programs may not.
  const left = (await daemon.commands()).filter(
    (command) => !command.includes('fleetvisor-keeper'),
  );
  if (left.length > 0) throw new Error(`${daemon.side} ended before ${left.length} programs`);
  return ms;
}

const RESTARTED = 100;

export const restart: Trial = {
  name: 'restart',
  about: 'restart all, 100 programs: stopAllProcesses, startAllProcesses (as supervisorctl does)',
  async run(lab) {
    const samples = collect();
    const programs = pool(`${lab.load} idle`, RESTARTED);
    const daemons = await lab.launchAll({ programs }, RESTARTED);
    for (let round = 0; round < lab.options.rounds; round++) {
      for (const daemon of daemons) {
        const askedAtMs = nowMs();
        await daemon.rpc.call('supervisor.stopAllProcesses');
        await daemon.rpc.call('supervisor.startAllProcesses');
        samples[daemon.side].push(nowMs() - askedAtMs);
        await daemon.untilStarted(RESTARTED * (round + 2));
      }
    }
    return [
      {
        name: `restart all, ${RESTARTED} programs`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast: 10 },
        samples,
      },
    ];
  },
};

const STOPPED = 30;
const SLOWEST_MS = 500;
/** Over the slowest program alone: reading 30 answers instead of one, and the machine's own noise. */
const STOP_TOLERANCE = 1.25;

export const stop: Trial = {
  name: 'stop',
  about: 'stopping 30 programs by name, each slow to end: supervisorctl against ctl -c',
  async run(lab) {
    const ctl = Lab.bin('ctl');
    if (ctl === undefined) throw new Error('dist/bin/ctl is not built');
    const all = collect();
    const alone: number[] = [];
    const sections = Array.from(
      { length: STOPPED },
      (_, index) =>
        `[program:s${index}]\ncommand=${lab.load} slow ${endsInMs(index)}\nstartsecs=0\n` +
        'redirect_stderr=true\nstdout_logfile=NONE',
    );
    const names = sections.map((_, index) => `s${index}`);
    const daemons = await lab.launchAll({ programs: sections.join('\n') }, STOPPED);
    for (let round = 0; round < Math.min(2, lab.options.rounds); round++) {
      for (const daemon of daemons) {
        const program = daemon.side === 'supervisord' ? 'supervisorctl' : ctl;
        all[daemon.side].push(await timeCommand(program, ['-c', daemon.conf, 'stop', ...names]));
        await daemon.rpc.call('supervisor.startAllProcesses');
        if (daemon.side === 'supervisord') continue;
        alone.push(await timeCommand(program, ['-c', daemon.conf, 'stop', `s${SLOWEST_INDEX}`]));
        await daemon.rpc.call('supervisor.startAllProcesses');
      }
    }
    const slowestMs = quantile(alone, 0.5);
    return [
      {
        name: `stop ${STOPPED} programs by name`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'atMost', value: slowestMs * STOP_TOLERANCE },
        samples: all,
        note:
          `they end ${endsInMs(0)}..${SLOWEST_MS} ms after SIGTERM; the slowest alone took our ctl ` +
          `${Math.round(slowestMs)} ms, the goal is ${STOP_TOLERANCE} times that`,
      },
    ];
  },
};

const SLOWEST_INDEX = STOPPED - 1;

function endsInMs(index: number): number {
  return (SLOWEST_MS / 5) * (1 + (index % 5));
}
