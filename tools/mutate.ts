// `npm run mutate` damages the engine in one place at a time and asks its tests and simulation whether they notice.
// Survivors are listed; fewer than 95 % noticed ends with exit code 1. `-- --file process.ts` does one file only.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { build, type Plugin } from 'esbuild';
import { EQUIVALENT } from './mutate/equivalent.js';
import { applyMutant, findMutants, type Mutant } from './mutate/mutants.js';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FILES = [
  'common/states.ts',
  ...['process', 'restart', 'engine', 'requests', 'shutdown', 'configure', 'adopt'].map(inEngine),
  ...['deadlines', 'facts', 'groups', 'order', 'describe'].map(inEngine),
];
const NOTICED_PERCENT_MIN = 95;
/** A mutant that runs longer is in an endless loop, which is noticed too. */
const PATIENCE_MS = 30_000;
const HEAP_MB_MAX = 512;

const { values } = parseArgs({
  options: { file: { type: 'string' }, jobs: { type: 'string' }, verbose: { type: 'boolean' } },
});
const files = FILES.filter((file) => values.file === undefined || file.endsWith(values.file));
const mutants = files.flatMap((file) => findMutants(file, textOf(file)));
const survivors: Mutant[] = [];
const startedAtMs = performance.now();

const intact = await firstFailure(undefined);
if (intact !== '') {
  console.error(`the tests fail without any mutant: ${intact}`);
  process.exit(1);
}
const queue = [...mutants];
const jobs = Number(values.jobs ?? Math.min(2, availableParallelism()));
await Promise.all(Array.from({ length: jobs }, work));
report();

async function work(): Promise<void> {
  for (;;) {
    const mutant = queue.shift();
    if (mutant === undefined) return;
    const failure = await firstFailure(mutant);
    if (values.verbose === true) console.log(`${place(mutant)}  ${failure || 'SURVIVES'}`);
    if (failure === '') survivors.push(mutant);
    const done = mutants.length - queue.length;
    if (done % 100 === 0) console.log(`${done} of ${mutants.length} mutants`);
  }
}

function report(): void {
  const isKnown = (mutant: Mutant): boolean =>
    EQUIVALENT.some(({ file, what }) => file === mutant.file && what === mutant.what);
  const open = survivors.filter((mutant) => !isKnown(mutant));
  const counted = mutants.length - (survivors.length - open.length);
  const percent = (100 * (counted - open.length)) / counted;
  for (const mutant of open.sort((a, b) => (place(a) < place(b) ? -1 : 1))) {
    console.log(`survives: ${place(mutant)}`);
  }
  const stale = EQUIVALENT.filter(
    ({ file, what }) =>
      files.includes(file) && !survivors.some((each) => each.file === file && each.what === what),
  );
  for (const { file, what } of stale)
    console.log(`listed as equivalent, but noticed or gone: ${file}  ${what}`);
  const seconds = Math.round((performance.now() - startedAtMs) / 1000);
  console.log(
    `${counted} mutants, ${counted - open.length} noticed (${percent.toFixed(1)} %), ` +
      `${survivors.length - open.length} equivalent, in ${seconds} s`,
  );
  if (percent < NOTICED_PERCENT_MIN || stale.length > 0) process.exitCode = 1;
}

/** The test or seed that notices; empty: none does. */
async function firstFailure(mutant: Mutant | undefined): Promise<string> {
  let code: string;
  try {
    code = await bundle(mutant);
  } catch {
    return 'does not compile';
  }
  return new Promise((resolve) => {
    const worker = new Worker(code, {
      eval: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    const timer = setTimeout(() => finish('does not end'), PATIENCE_MS);
    function finish(failure: string): void {
      clearTimeout(timer);
      resolve(failure);
      void worker.terminate();
    }
    worker.once('message', (failure: string) => finish(failure));
    worker.once('error', (error) => finish(`breaks: ${error.message}`));
    worker.once('exit', () => finish('ends without an answer'));
  });
}

async function bundle(mutant: Mutant | undefined): Promise<string> {
  const replaced: Plugin = {
    name: 'mutant',
    setup(builder) {
      builder.onResolve({ filter: /^node:test$/ }, () => ({
        path: join(ROOT, 'tools/mutate/collect.ts'),
      }));
      if (mutant === undefined) return;
      const path = join(ROOT, mutant.file);
      builder.onLoad({ filter: /\.ts$/ }, (args) =>
        args.path === path
          ? { contents: applyMutant(textOf(mutant.file), mutant), loader: 'ts' }
          : undefined,
      );
    },
  };
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'tools/mutate/subject.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    write: false,
    logLevel: 'silent',
    plugins: [replaced],
  });
  return outputFiles[0]?.text ?? '';
}

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function inEngine(name: string): string {
  return `agent/engine/${name}.ts`;
}

function place(mutant: Mutant): string {
  return `${mutant.file}:${mutant.line}  ${mutant.what}`;
}
