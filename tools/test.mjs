// Installs, builds and runs the tests with Node's own runner: quick folders side by side, those with real
// processes one file at a time. Usage: node tools/test.mjs [--nightly] [part of a path ...]
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { ToolError, isMain, root, run, runScript, since } from './command.mjs';
import { install } from './install.mjs';

/** Files of one phase run together; phases follow each other. */
const PHASES = [
  { name: 'unit', folders: ['test', 'test/unit'], parallel: true, timeoutMs: 120_000 },
  { name: 'sim', folders: ['test/sim'], parallel: true, timeoutMs: 300_000 },
  // Real children and servers share ports, pids and two cores: beside one another they would disturb.
  { name: 'process', folders: ['test/process'], parallel: false, timeoutMs: 300_000 },
  { name: 'system', folders: ['test/system'], parallel: false, timeoutMs: 300_000 },
];
const NIGHTLY_TIMEOUT_MS = 3_000_000;

/** Counts as Node's runner names them, in its order. */
const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];

/**
 * Runs the phases whose name is in `phases` (all when absent) and answers the exit code.
 * @param {{ phases?: readonly string[], filters?: readonly string[], nightly?: boolean }} options
 */
export async function runTests({ phases, filters = [], nightly = false }) {
  const startedMs = performance.now();
  const wanted = PHASES.filter(({ name }) => phases === undefined || phases.includes(name));
  const total = Object.fromEntries(COUNTS.map((name) => [name, 0]));
  const skipped = [];
  const times = [];
  let isFailed = false;
  for (const phase of wanted) {
    const files = (await testFiles(phase.folders)).filter(
      (file) => filters.length === 0 || filters.some((filter) => file.includes(filter)),
    );
    if (files.length === 0) continue;
    console.log(`\n== ${phase.name}: ${files.length} files`);
    const phaseStartedMs = performance.now();
    const { code, summary } = await runPhase(phase, files, nightly);
    times.push(`${phase.name} ${since(phaseStartedMs)}`);
    for (const name of COUNTS) total[name] += summary.counts[name] ?? 0;
    skipped.push(...summary.skipped);
    isFailed ||= code !== 0;
  }
  if (times.length === 0) throw new ToolError(`no test file matches ${filters.join(' ')}`);
  printTotal({ total, skipped, times, isFailed, startedMs });
  return isFailed ? 1 : 0;
}

async function runPhase(phase, files, nightly) {
  const folder = await mkdtemp(join(tmpdir(), 'fv-test-'));
  const summaryFile = join(folder, 'summary.json');
  const concurrency = phase.parallel ? Math.max(2, availableParallelism()) : 1;
  const { code } = await run(
    process.execPath,
    [
      '--import=tsx',
      '--test',
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${nightly ? NIGHTLY_TIMEOUT_MS : phase.timeoutMs}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${fileURLToPath(new URL('test-summary.mjs', import.meta.url))}`,
      `--test-reporter-destination=${summaryFile}`,
      ...files,
    ],
    { env: { ...process.env, ...(nightly ? { FLEETVISOR_NIGHTLY: '1' } : {}) } },
  );
  const summary = await readFile(summaryFile, 'utf8').then(JSON.parse, () => undefined);
  await rm(folder, { recursive: true, force: true });
  // No summary: the runner itself died, and that is never a pass.
  return summary === undefined
    ? { code: code || 1, summary: { counts: {}, skipped: [] } }
    : { code, summary };
}

/** `*.test.ts` of the first folder itself or, for the named folders below test/, of their whole tree. */
async function testFiles(folders) {
  const found = [];
  for (const folder of folders) {
    const names = await readdir(join(root, folder), { recursive: folder !== 'test' }).catch(
      () => [],
    );
    found.push(...names.filter((name) => name.endsWith('.test.ts')).map((n) => `${folder}/${n}`));
  }
  return found.sort();
}

function printTotal({ total, skipped, times, isFailed, startedMs }) {
  console.log('\n== all');
  for (const { name, file, reason } of skipped) {
    console.log(`skipped: ${name} (${file})${reason === '' ? '' : `: ${reason}`}`);
  }
  for (const name of COUNTS) console.log(`ℹ ${name} ${total[name]}`);
  console.log(`ℹ duration_ms ${(performance.now() - startedMs).toFixed(0)}`);
  console.log(
    `${isFailed ? 'FAILED' : 'PASSED'}: ${total.tests} tests, ${total.pass} passed, ` +
      `${total.fail + total.cancelled} failed, ${total.skipped} skipped; ${times.join(', ')}`,
  );
}

if (isMain(import.meta.url)) {
  await runScript('test', async (argv) => {
    const unknown = argv.find((word) => word.startsWith('-') && word !== '--nightly');
    if (unknown !== undefined) throw new ToolError(`unknown option ${unknown}; known: --nightly`);
    await install();
    await build();
    const filters = argv.filter((word) => !word.startsWith('-'));
    return runTests({ filters, nightly: argv.includes('--nightly') });
  });
}
