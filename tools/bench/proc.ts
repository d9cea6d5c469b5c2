// What the kernel says about a process: CPU time and memory. Linux only, like the agent.
import { readFileSync, readdirSync } from 'node:fs';

/** CPU milliseconds that all threads of these processes have run, exact to the nanosecond (not to the tick). */
export function cpuMs(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const [run = '0'] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ');
      ns += Number(run);
    }
  }
  return ns / 1e6;
}

/** Megabytes (10^6 bytes) of several processes together. */
export interface Memory {
  /** Private to the process: what would be free if it ended. */
  readonly anonymous: number;
  /** Shared pages divided among those that share them. */
  readonly pss: number;
  readonly rss: number;
}

export function memoryOf(pids: readonly number[]): Memory {
  const total = { anonymous: 0, pss: 0, rss: 0 };
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const megabytes = (field: string): number =>
      (Number(new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) * 1024) / 1e6;
    total.anonymous += megabytes('Anonymous');
    total.pss += megabytes('Pss');
    total.rss += megabytes('Rss');
  }
  return total;
}
