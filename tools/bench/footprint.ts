// Trials of what a supervisor costs while nothing happens: CPU and memory. Both sides are watched at the same time.
import { nowMs, pause } from './clock.js';
import { type Trial, collect, pool } from './lab.js';
import { cpuMs, memoryOf } from './proc.js';
import type { Row } from './stats.js';

/** V8 gives back what the start took some 25 s later, in one collection of about 70 ms: not what idling costs. */
export const SETTLE_MS = 45_000;

const IDLE_PROGRAMS = 200;

const IDLE_WATCHED_MS = 30_000;

export const idle: Trial = {
  name: 'idle',
  about: 'CPU of the daemon (and keeper) with 200 idle programs over 30 s',
  async run(lab) {
    const samples = collect();
    const programs = pool(`${lab.load} idle`, IDLE_PROGRAMS);
    const daemons = await lab.launchAll({ programs }, IDLE_PROGRAMS);
    const watched = await Promise.all(
      daemons.map(async (daemon) => ({ side: daemon.side, pids: await daemon.pids() })),
    );
    await pause(SETTLE_MS);
    const before = watched.map(({ pids }) => cpuMs(pids));
    const fromMs = nowMs();
    await pause(IDLE_WATCHED_MS);
    const minutes = (nowMs() - fromMs) / 60_000;
    watched.forEach(({ side, pids }, index) =>
      samples[side].push((cpuMs(pids) - (before[index] ?? NaN)) / minutes),
    );
    return [
      {
        name: `idle CPU, ${IDLE_PROGRAMS} programs`,
        unit: 'ms/min',
        better: 'less',
        goal: { kind: 'times', atLeast: 10 },
        samples,
      },
    ];
  },
};

const MEMORY_PROGRAMS = 100;

export const memory: Trial = {
  name: 'memory',
  about: 'memory of the daemon (and keeper) with 100 idle programs, 45 s after a first status',
  async run(lab) {
    const anonymous = collect();
    const pss = collect();
    const rss = collect();
    const programs = pool(`${lab.load} idle`, MEMORY_PROGRAMS);
    const daemons = await lab.launchAll({ programs }, MEMORY_PROGRAMS);
    for (const daemon of daemons) await daemon.rpc.call('supervisor.getAllProcessInfo');
    await pause(SETTLE_MS);
    for (const daemon of daemons) {
      const used = memoryOf(await daemon.pids());
      anonymous[daemon.side].push(used.anonymous);
      pss[daemon.side].push(used.pss);
      rss[daemon.side].push(used.rss);
    }
    const row = (name: string, samples: Row['samples']): Row => ({
      name: `${name} memory, ${MEMORY_PROGRAMS} programs`,
      unit: 'MB',
      better: 'less',
      samples,
    });
    return [
      { ...row('private (anonymous)', anonymous), goal: { kind: 'times', atLeast: 1 } },
      {
        ...row('PSS', pss),
        note: "shared pages divided by sharers; the benchmark itself is a Node that shares Node's text",
      },
      row('RSS', rss),
    ];
  },
};
