// Trials of answering: getAllProcessInfo over TCP, and the whole status command.
import { pause } from './clock.js';
import { timeCommand } from './command.js';
import type { Daemon } from './daemon.js';
import { Lab, type Trial, collect, pool } from './lab.js';
import { RawClient } from './rpc.js';
import type { Row } from './stats.js';

/** Programs, calls a round at supervisord and at ours, goal. */
const RPC_SIZES = [
  { count: 20, calls: { supervisord: 15, fleetvisor: 150 }, atLeast: 50 },
  { count: 200, calls: { supervisord: 8, fleetvisor: 80 }, atLeast: 50 },
  { count: 1000, calls: { supervisord: 2, fleetvisor: 30 }, atLeast: 100 },
] as const;

/** Far from the moment of starting, when log lines are still being written. */
const SETTLE_MS = 3_000;

export const rpc: Trial = {
  name: 'rpc',
  about: 'getAllProcessInfo over TCP, one kept connection, one call at a time',
  async run(lab) {
    const rows: Row[] = [];
    for (const { count, calls, atLeast } of RPC_SIZES) {
      const samples = collect();
      const daemons = await launchIdle(lab, count);
      for (let round = 0; round < lab.options.rounds; round++) {
        for (const daemon of daemons) {
          const client = new RawClient({ host: '127.0.0.1', port: daemon.port });
          // The first answer of a connection has no delayed acknowledgement before it: not the usual case.
          await client.call('supervisor.getAllProcessInfo');
          for (let call = 0; call < calls[daemon.side]; call++) {
            const { ms, body } = await client.call('supervisor.getAllProcessInfo');
            const found = body.split('<name>statename</name>').length - 1;
            if (found !== count) throw new Error(`${daemon.side} answered ${found} of ${count}`);
            samples[daemon.side].push(ms);
          }
          client.close();
        }
      }
      for (const daemon of daemons) await lab.end(daemon);
      rows.push({
        name: `getAllProcessInfo over TCP, ${count} programs`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast },
        samples,
      });
    }
    return rows;
  },
};

const CTL_SIZES = [
  { count: 20, runs: 6, atLeast: 3 },
  { count: 1000, runs: 2, atLeast: 15 },
] as const;

export const status: Trial = {
  name: 'status',
  about: 'the whole command: supervisorctl -c CONF status against ctl -c CONF status',
  async run(lab) {
    const ctl = Lab.bin('ctl');
    if (ctl === undefined) throw new Error('dist/bin/ctl is not built');
    const rows: Row[] = [];
    for (const { count, runs, atLeast } of CTL_SIZES) {
      const samples = collect();
      const daemons = await launchIdle(lab, count);
      for (let run = 0; run < runs * lab.options.rounds; run++) {
        for (const daemon of daemons) {
          const program = daemon.side === 'supervisord' ? 'supervisorctl' : ctl;
          const ms = await timeCommand(program, ['-c', daemon.conf, 'status'], count);
          // One for the page cache.
          if (run > 0) samples[daemon.side].push(ms);
        }
      }
      for (const daemon of daemons) await lab.end(daemon);
      rows.push({
        name: `status of one host, ${count} programs`,
        unit: 'ms',
        better: 'less',
        goal: { kind: 'times', atLeast },
        samples,
      });
    }
    return rows;
  },
};

async function launchIdle(lab: Lab, count: number): Promise<Daemon[]> {
  const minfds = Math.max(1024, 3 * count + 256);
  const daemons = await lab.launchAll({ programs: pool(`${lab.load} idle`, count), minfds }, count);
  await pause(SETTLE_MS);
  return daemons;
}
