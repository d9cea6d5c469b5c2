// Everything a change must pass before it is committed, offline: types, lint, format, wire, unit tests.
// Runs every step even when one fails, so that one run tells all.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run, runScript, since } from './command.mjs';
import { install } from './install.mjs';
import { runTests } from './test.mjs';

const bin = (name) => join(root, 'node_modules/.bin', name);

/** Independent steps, run two at a time: longest first. */
const STEPS = [
  {
    name: 'lint (eslint)',
    run: () =>
      run(bin('eslint'), ['--cache', '--cache-location=node_modules/.cache/eslint', '.'], {
        quiet: true,
      }),
  },
  { name: 'types (tsc)', run: () => run(bin('tsc'), ['-p', '.'], { quiet: true }) },
  {
    name: 'format (prettier)',
    run: () =>
      run(bin('prettier'), ['--check', '--cache', '--log-level=warn', '.'], { quiet: true }),
  },
  { name: 'wire (buf lint)', run: () => run(bin('buf'), ['lint'], { quiet: true }) },
  { name: 'wire (buf breaking)', run: checkBreaking },
  { name: 'generated code is current', run: checkGenerated },
];

/** Against the last release; before the first one nothing is promised. */
async function checkBreaking() {
  const tag = await run('git', ['describe', '--tags', '--abbrev=0', '--match=v*'], { quiet: true });
  if (tag.code !== 0) return { code: 0, output: '', note: 'no release yet' };
  return run(bin('buf'), ['breaking', '--against', `.git#tag=${tag.output.trim()}`], {
    quiet: true,
  });
}

/** Generates proto/gen anew beside the project and compares. */
async function checkGenerated() {
  const folder = await mkdtemp(join(tmpdir(), 'fv-proto-'));
  try {
    const made = await run(bin('buf'), ['generate', '-o', folder], { quiet: true });
    if (made.code !== 0) return made;
    const expected = await readTree(join(folder, 'proto/gen'));
    const present = await readTree(join(root, 'proto/gen'));
    const names = new Set([...expected.keys(), ...present.keys()]);
    const different = [...names].filter((name) => expected.get(name) !== present.get(name));
    if (different.length === 0) return { code: 0, output: '' };
    const list = different.map((name) => `proto/gen/${name}`).join(' ');
    return {
      code: 1,
      output: `out of date: ${list}\nrun \`npm run proto\` and commit the result\n`,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readTree(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const tree = new Map();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    tree.set(path.slice(folder.length + 1), await readFile(path, 'utf8'));
  }
  return tree;
}

async function runStep(step) {
  const startedMs = performance.now();
  const { code, output, note } = await step.run();
  const remark = note === undefined ? '' : ` (${note})`;
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${step.name}${remark}  ${since(startedMs)}`);
  if (code !== 0) console.log(output.trimEnd());
  return code === 0;
}

await runScript('check', async () => {
  const startedMs = performance.now();
  await install();
  const waiting = [...STEPS];
  const results = [];
  const worker = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      results.push(await runStep(step));
    }
  };
  await Promise.all([worker(), worker()]);
  results.push((await runTests({ phases: ['unit'] })) === 0);
  const isGood = results.every(Boolean);
  console.log(`\ncheck ${isGood ? 'passed' : 'FAILED'} in ${since(startedMs)}`);
  return isGood ? 0 : 1;
});
