// `npm run bench`: what we owe in speed, measured against Debian's supervisord in one run on the same
// configuration, in turns. Prints one table; docs/performance.md tells how each row is measured.
import { spawnSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/support/sources.js';
import { rpc, status } from './bench/answers.js';
import { pause } from './bench/clock.js';
import { events, member } from './bench/fleet.js';
import { idle, memory } from './bench/footprint.js';
import { Lab, type Trial } from './bench/lab.js';
import { many, restart, stop, successor } from './bench/lifecycle.js';
import { flood, trickle } from './bench/logs.js';
import { type Verdict, judge } from './bench/stats.js';
import { renderTable } from './bench/table.js';

const TRIALS: readonly Trial[] = [
  ...[successor, many, restart, stop, flood, trickle, rpc, status, idle, memory, events, member],
];

/** No trial may take longer; those of 1,000 programs take supervisord a minute or two. */
const TRIAL_MAX_MS = 300_000;

const USAGE = `npm run bench -- [--only NAME[,NAME ...]] [--json] [--rounds N] [--programs N] [--list]

  --only NAME    these trials only; --list names them
  --json         one JSON object on stdout instead of the table
  --rounds N     how often each side is measured, in turn (default 3)
  --programs N   programs of the trial "many" (default 1000)
`;

interface Failure {
  readonly trial: string;
  readonly why: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      programs: { type: 'string', default: '1000' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return say(USAGE);
  if (values.list)
    return say(TRIALS.map(({ name, about }) => `${name.padEnd(10)} ${about}\n`).join(''));
  const trials = chosen(values.only);
  const options = { rounds: count(values.rounds), programs: count(values.programs) };
  buildOrSay();
  const lab = await Lab.create(options);
  endOnSignals(lab);
  const verdicts: Verdict[] = [];
  const failures: Failure[] = [];
  try {
    if (!lab.sides.includes('supervisord')) {
      note('no supervisord here (apt-get install supervisor): our side alone is measured');
    }
    for (const trial of trials) {
      note(`${trial.name}: ${trial.about}`);
      try {
        verdicts.push(...(await withLimit(trial, lab)).map(judge));
      } catch (error) {
        failures.push({ trial: trial.name, why: (error as Error).message });
      }
      await lab.clear();
    }
  } finally {
    await lab.close();
  }
  const machine = describeMachine();
  if (values.json)
    return say(`${JSON.stringify({ machine, options, rows: verdicts, failures })}\n`);
  const missing = failures.map(({ trial, why }) => `not measured: ${trial}: ${why}\n`).join('');
  return say(`${machine}\n\n${renderTable(verdicts)}\n${missing === '' ? '' : `\n${missing}`}`);
}

/** The last good build serves when the sources do not build. What the build says goes to stderr. */
function buildOrSay(): void {
  const script = join(ROOT, 'tools/build.mjs');
  const build = spawnSync(process.execPath, [script], { stdio: ['ignore', 2, 2] });
  if (build.status !== 0) note('the build failed, so the last one is measured');
}

async function withLimit(trial: Trial, lab: Lab): ReturnType<Trial['run']> {
  const stop = new AbortController();
  const limit = pause(TRIAL_MAX_MS, stop.signal).then(() => {
    throw new Error(`took longer than ${TRIAL_MAX_MS / 1000} s`);
  });
  try {
    return await Promise.race([trial.run(lab), limit]);
  } finally {
    stop.abort();
  }
}

function chosen(only: string | undefined): readonly Trial[] {
  if (only === undefined) return TRIALS;
  return only.split(',').map((name) => {
    const trial = TRIALS.find((one) => one.name === name);
    if (trial !== undefined) return trial;
    throw new UsageError(`no trial ${name}; there are ${TRIALS.map((one) => one.name).join(' ')}`);
  });
}

class UsageError extends Error {}

function count(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new UsageError(`${text} is no number from 1 to 99999`);
}

/** Interrupted, we still leave nothing behind. */
function endOnSignals(lab: Lab): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      note(`${signal}: ending what was started`);
      void lab.close().finally(() => process.exit(code));
    });
  }
}

function describeMachine(): string {
  const [cpu] = cpus();
  const load = loadavg()[0]?.toFixed(1) ?? '?';
  return (
    `${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, node ${process.versions.node}, ` +
    `load ${load}, ${new Date().toISOString().slice(0, 10)}`
  );
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE');
  note(isUsage ? `${(error as Error).message}\n\n${USAGE}` : String((error as Error).stack));
  process.exitCode = isUsage ? 2 : 1;
}
