// minfds and minprocs: whether this machine grants them, and the limits that children get (spec config 7.3).
// Node raises its own soft descriptor limit to the hard one; children get what supervisord would have given them.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { SpawnRequest } from './spawner.js';

/** Numbers of the limits on Linux. */
const RLIMIT_NPROC = 6;
const RLIMIT_NOFILE = 7;
/** Stands for "no limit" on the way to the keeper, whose numbers stay below 2^53. */
const LIMIT_MAX = Number.MAX_SAFE_INTEGER;

interface Limit {
  readonly soft: number;
  readonly hard: number;
}

export type LimitsResult =
  | {
      readonly ok: true;
      readonly rlimits: SpawnRequest['rlimits'];
      /** Supervisor's INFO lines about what was raised. */
      readonly infos: readonly string[];
    }
  | { readonly ok: false; readonly text: string };

interface Wanted {
  readonly resource: number;
  /** The row of /proc/PID/limits. */
  readonly row: string;
  readonly name: string;
  /** prlimit's option. */
  readonly option: string;
  readonly min: number;
  readonly refusal: (available: number) => string;
}

/** Checks both minimums and works out what children inherit. */
export function resolveLimits(minfds: number, minprocs: number): LimitsResult {
  const wanted: readonly Wanted[] = [
    {
      resource: RLIMIT_NOFILE,
      row: 'Max open files',
      name: 'RLIMIT_NOFILE',
      option: '--nofile',
      min: minfds,
      refusal: (available) =>
        `The minimum number of file descriptors required to run this process is ${minfds} as per the ` +
        '"minfds" command-line argument or config file setting. The current environment will only allow ' +
        `you to open ${available} file descriptors.  Either raise the number of usable file descriptors in ` +
        'your environment (see README.rst) or lower the minfds setting in the config file to allow the ' +
        'process to start.',
    },
    {
      resource: RLIMIT_NPROC,
      row: 'Max processes',
      name: 'RLIMIT_NPROC',
      option: '--nproc',
      min: minprocs,
      refusal: (available) =>
        `The minimum number of available processes required to run this program is ${minprocs} as per the ` +
        '"minprocs" command-line argument or config file setting. The current environment will only allow ' +
        `you to open ${available} processes.  Either raise the number of usable processes in your ` +
        'environment (see README.rst) or lower the minprocs setting in the config file to allow the ' +
        'program to start.',
    },
  ];
  const rlimits: { resource: number; soft: number; hard: number }[] = [];
  const infos: string[] = [];
  for (const each of wanted) {
    let own = readLimit('self', each.row);
    // What the program that started us gives its children: our own soft limit was raised by Node.
    const given = readLimit(String(process.ppid), each.row) ?? own;
    if (own === undefined || given === undefined) continue;
    if (own.hard < each.min) {
      raise(each.option, each.min);
      own = readLimit('self', each.row) ?? own;
      if (own.hard < each.min) return { ok: false, text: each.refusal(own.hard) };
    }
    const inherited = each.resource === RLIMIT_NOFILE ? Math.min(given.soft, own.hard) : own.soft;
    if (inherited < each.min) infos.push(`Increased ${each.name} limit to ${each.min}`);
    if (each.resource === RLIMIT_NPROC && inherited >= each.min) continue;
    const soft = Math.max(inherited, each.min);
    rlimits.push({
      resource: each.resource,
      soft: Math.min(soft, LIMIT_MAX),
      hard: Math.min(own.hard, LIMIT_MAX),
    });
  }
  return { ok: true, rlimits, infos };
}

function readLimit(pid: string, row: string): Limit | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/limits`, 'latin1')
      .split('\n')
      .find((each) => each.startsWith(row));
    const [soft, hard] = (line ?? '').slice(row.length).trim().split(/\s+/);
    const number = (text: string | undefined): number =>
      text === 'unlimited' ? Infinity : Number(text);
    const limit = { soft: number(soft), hard: number(hard) };
    return Number.isNaN(limit.soft) || Number.isNaN(limit.hard) ? undefined : limit;
  } catch {
    return undefined;
  }
}

/** Node cannot set limits; util-linux's prlimit can, where we are allowed to. Its failure shows in /proc. */
function raise(option: string, min: number): void {
  spawnSync('prlimit', ['--pid', String(process.pid), `${option}=${min}:${min}`], {
    stdio: 'ignore',
  });
}
