// Trials of the fleet: how soon a state change is printed by `ctl events -f`, and what membership costs an agent.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { type Fleet, startFleet } from '../../test/support/fleet.js';
import { findProgram } from '../../test/support/need.js';
import { listMarked } from '../marked.mjs';
import { nowMs, pause, poll } from './clock.js';
import { Stamps } from './follow.js';
import { SETTLE_MS } from './footprint.js';
import { VICTIMS, Victims } from './victims.js';
import { Lab, type Trial, collect, pool } from './lab.js';
import { cpuMs, memoryOf } from './proc.js';
import { quantile } from './stats.js';

const KILLS = 200;

export const events: Trial = {
  name: 'events',
  about:
    'kill -9 of a program -> its EXITED printed by ctl events -f, through agent, controller and NATS',
  async run(lab) {
    const stamps = new Stamps(lab.folder('stamps'));
    const program = pool(`${lab.load} stamp ${stamps.path}`, VICTIMS, ['autorestart=true']);
    const fleet = await start(lab, { one: program });
    const samples = await watchKills(lab, fleet, new Victims(stamps, VICTIMS));
    return [
      {
        name: 'kill -> printed by ctl events -f, each',
        unit: 'ms',
        better: 'less',
        samples: { fleetvisor: samples },
      },
      {
        name: 'kill -> printed by ctl events -f, p99',
        unit: 'ms',
        better: 'less',
        goal: { kind: 'atMost', value: 50 },
        samples: { fleetvisor: [quantile(samples, 0.99)] },
      },
    ];
  },
};

async function watchKills(lab: Lab, fleet: Fleet, victims: Victims): Promise<number[]> {
  const argv = ['-C', fleet.ctlConf, 'events', '-f'];
  const ctl = spawn(Lab.bin('ctl') ?? '', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  lab.after(async () => void ctl.kill('SIGTERM'));
  const printed: number[] = [];
  ctl.stdout.on('data', (chunk: Buffer) => {
    const atMs = nowMs();
    for (const line of chunk.toString().split('\n'))
      if (line.includes('EXITED')) printed.push(atMs);
  });
  // The stream is open once it prints; until then kills go uncounted.
  await poll('ctl events -f to print', async () => {
    await victims.killNext();
    await pause(1_000);
    return printed.length > 0;
  });
  const samples: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(60 + ((kill * 37) % 80));
    printed.length = 0;
    const { killedAtMs } = await victims.killNext();
    samples.push((await poll('the event', () => printed[0])) - killedAtMs);
  }
  ctl.kill('SIGTERM');
  return samples;
}

const MEMBERS = { light: 100, busy: 200 } as const;
const WATCHED_MS = 30_000;

export const member: Trial = {
  name: 'member',
  about: 'idle CPU (200 programs) and memory (100 programs) of an agent that belongs to a fleet',
  async run(lab) {
    const fleet = await start(lab, {
      light: pool(`${lab.load} idle`, MEMBERS.light),
      busy: pool(`${lab.load} idle`, MEMBERS.busy),
    });
    const idleCpu = collect();
    const watched = [{ side: 'fleetvisor' as const, pids: await pidsOf(fleet, 'busy') }];
    const beside = lab.sides.includes('supervisord') ? await launchBeside(lab) : [];
    await pause(SETTLE_MS);
    const all = [...watched, ...beside];
    const before = all.map(({ pids }) => cpuMs(pids));
    const fromMs = nowMs();
    await pause(WATCHED_MS);
    const minutes = (nowMs() - fromMs) / 60_000;
    all.forEach(({ side, pids }, index) =>
      idleCpu[side].push((cpuMs(pids) - (before[index] ?? NaN)) / minutes),
    );
    const used = memoryOf(await pidsOf(fleet, 'light'));
    const name = (kind: string): string => `${kind} memory in a fleet, ${MEMBERS.light} programs`;
    const row = { unit: 'MB', better: 'less' } as const;
    return [
      {
        name: `idle CPU in a fleet, ${MEMBERS.busy} programs`,
        unit: 'ms/min',
        better: 'less',
        goal: { kind: 'times', atLeast: 2 },
        samples: idleCpu,
        note: 'supervisord has no fleet; it is the same one as in the row without',
      },
      {
        ...row,
        name: name('private (anonymous)'),
        goal: { kind: 'atMost', value: 30 },
        samples: { fleetvisor: [used.anonymous] },
      },
      { ...row, name: name('PSS'), samples: { fleetvisor: [used.pss] } },
      { ...row, name: name('RSS'), samples: { fleetvisor: [used.rss] } },
    ];
  },
};

async function launchBeside(lab: Lab): Promise<{ side: 'supervisord'; pids: number[] }[]> {
  const plan = { programs: pool(`${lab.load} idle`, MEMBERS.busy) };
  const daemon = await lab.launch('supervisord', plan);
  await daemon.untilStarted(MEMBERS.busy);
  return [{ side: 'supervisord', pids: await daemon.pids() }];
}

/** A controller with its own NATS and an agent a host. */
async function start(lab: Lab, hosts: Readonly<Record<string, string>>): Promise<Fleet> {
  for (const program of ['ctl', 'fleetvisor-controller']) {
    if (Lab.bin(program) === undefined) throw new Error(`dist/bin/${program} is not built`);
  }
  if (findProgram('nats-server') === undefined) {
    throw new Error('no nats-server here (apt-get install nats-server)');
  }
  const texts = Object.entries(hosts).map(([host, text]) => {
    const logs = lab.logFolder();
    mkdirSync(logs);
    return [host, text.replaceAll('DIR', logs)] as const;
  });
  return startFleet(lab, { hosts: Object.fromEntries(texts) });
}

/** The agent of a host and its keeper. */
async function pidsOf(fleet: Fleet, host: string): Promise<number[]> {
  const keepers = (await listMarked(fleet.dir)).filter(
    ({ command }) => command.includes('fleetvisor-keeper') && command.includes(`/${host}/state`),
  );
  if (keepers.length !== 1) throw new Error(`${host} has ${keepers.length} keepers`);
  return [fleet.agent(host).pid(), ...keepers.map(({ pid }) => pid)];
}
