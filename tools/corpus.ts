// `npm run corpus -- DIR...`: reads every *.conf and *.ini of a folder in the world that the corpus describes and
// compares the meaning with golden/NAME.json, made by Supervisor itself. Names each file that differs, and where.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compareWithGolden } from '../test/support/corpus.js';

/** At most this many differences of one file are printed. */
const SHOWN_MAX = 8;

interface Count {
  total: number;
  different: number;
  deliberate: number;
}

function checkFolder(folder: string): Count {
  const names = readdirSync(folder)
    .filter((name) => /\.(conf|ini)$/.test(name))
    .sort();
  const count: Count = { total: names.length, different: 0, deliberate: 0 };
  for (const name of names) {
    const golden = join(folder, 'golden', name.replace(/\.(conf|ini)$/, '.json'));
    const file = join(folder, name);
    const { differences, deliberate } = compareWithGolden(file, readFileSync(golden, 'utf8'));
    if (differences.length === 0) continue;
    if (deliberate !== undefined) {
      count.deliberate++;
      process.stdout.write(`${file} is refused on purpose: ${deliberate}\n`);
      continue;
    }
    count.different++;
    process.stdout.write(`${file} differs\n`);
    for (const line of differences.slice(0, SHOWN_MAX)) process.stdout.write(`  ${line}\n`);
    const more = differences.length - SHOWN_MAX;
    if (more > 0) process.stdout.write(`  and ${more} more\n`);
  }
  return count;
}

const folders = process.argv.slice(2);
if (folders.length === 0) {
  process.stderr.write('usage: npm run corpus -- DIR...\n');
  process.exitCode = 2;
} else {
  const counts = folders.map((folder) => checkFolder(resolve(folder)));
  const sum = (key: keyof Count): number => counts.reduce((all, count) => all + count[key], 0);
  const equal = sum('total') - sum('different') - sum('deliberate');
  process.stdout.write(
    `${equal} of ${sum('total')} files equal, ${sum('deliberate')} refused on purpose, ` +
      `${sum('different')} differ\n`,
  );
  process.exitCode = sum('different') === 0 && sum('total') > 0 ? 0 : 1;
}
