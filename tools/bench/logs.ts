// Trials of the log path: one program that floods, and many that write a few lines each.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nowMs, pause, poll } from './clock.js';
import { Stamps } from './follow.js';
import { type Lab, type Trial, collect, pool } from './lab.js';
import { cpuMs } from './proc.js';
import type { Side } from './stats.js';

const FLOOD_BYTES = 1_000_000_000;

export const flood: Trial = {
  name: 'flood',
  about: 'one program writes 1 GB to its log in blocks of 64 KiB',
  async run(lab) {
    const speed = collect();
    const cost = collect();
    for (let round = 0; round < lab.options.rounds; round++) {
      for (const side of lab.sides) {
        const { megabytesPerSecond, cpuSeconds } = await floodOnce(lab, side);
        speed[side].push(megabytesPerSecond);
        cost[side].push(cpuSeconds / (FLOOD_BYTES / 1e9));
      }
    }
    return [
      {
        name: 'log flood, throughput',
        unit: 'MB/s',
        better: 'more',
        goal: { kind: 'times', atLeast: 1 },
        samples: speed,
        note: 'rotated at 50 MB; every byte is counted afterwards',
      },
      {
        name: 'log flood, CPU of the daemon',
        unit: 'CPU-s/GB',
        better: 'less',
        goal: { kind: 'times', atLeast: 1.25 },
        samples: cost,
      },
    ];
  },
};

async function floodOnce(
  lab: Lab,
  side: Side,
): Promise<{ megabytesPerSecond: number; cpuSeconds: number }> {
  const stamps = new Stamps(lab.folder('stamps'));
  const programs = pool(`${lab.load} flood ${stamps.path} ${FLOOD_BYTES}`, 1, [
    'autostart=false',
    'stdout_logfile_maxbytes=50MB',
    // Room for all of it, so that nothing is lost by rotation and the sum can be compared.
    'stdout_logfile_backups=40',
  ]).replaceAll('DIR/p_', 'DIR/flood_');
  const daemon = await lab.launch(side, { programs });
  await poll('the daemon to answer', () => answers(daemon.rpc), { everyMs: 50 });
  await pause(500);
  const pids = await daemon.pids();
  const beforeMs = cpuMs(pids);
  await daemon.rpc.call('supervisor.startProcess', 'p:p_0000', false);
  const seen = new Map<string, number>();
  await poll('the flood to end', () => {
    for (const { word, atMs } of stamps.next()) seen.set(word, atMs);
    return seen.has('done');
  });
  await poll('the log to be whole', () => sizeOf(daemon.logs) === FLOOD_BYTES, {
    patienceMs: 10_000,
  });
  const cpuSeconds = (cpuMs(pids) - beforeMs) / 1000;
  await lab.end(daemon);
  const seconds = ((seen.get('done') ?? NaN) - (seen.get('begun') ?? NaN)) / 1000;
  return { megabytesPerSecond: FLOOD_BYTES / 1e6 / seconds, cpuSeconds };
}

async function answers(rpc: { call(method: string): Promise<unknown> }): Promise<boolean> {
  return rpc.call('supervisor.getState').then(
    () => true,
    () => false,
  );
}

function sizeOf(folder: string): number {
  // A file that rotation renames between the listing and the look is counted at the next look.
  return readdirSync(folder)
    .filter((name) => name.startsWith('flood_'))
    .map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);
}

const WRITERS = 100;
const LINES_A_WRITER = 20;
const WATCHED_MS = 6_000;

export const trickle: Trial = {
  name: 'trickle',
  about: '100 programs write 2,000 lines of 120 bytes a second in all',
  async run(lab) {
    const samples = collect();
    const programs = pool(`${lab.load} lines ${LINES_A_WRITER}`, WRITERS);
    for (let round = 0; round < lab.options.rounds; round++) {
      for (const side of lab.sides) {
        const daemon = await lab.launch(side, { programs });
        await daemon.untilStarted(WRITERS);
        await pause(2_000);
        const pids = await daemon.pids();
        const beforeMs = cpuMs(pids);
        const fromMs = nowMs();
        await pause(WATCHED_MS);
        samples[side].push((100 * (cpuMs(pids) - beforeMs)) / (nowMs() - fromMs));
        await lab.end(daemon);
      }
    }
    return [
      {
        name: `${WRITERS} programs, ${WRITERS * LINES_A_WRITER} lines/s in all, CPU`,
        unit: '% of a core',
        better: 'less',
        goal: { kind: 'times', atLeast: 5 },
        samples,
      },
    ];
  },
};
