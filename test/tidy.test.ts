// The source tree as a subject: who may import whom, no cycles, docs against code, words that must not appear.
// The tables at the top are the rules; docs/architecture.md explains them.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import {
  ROOT,
  anyTypes,
  findCycles,
  importsOf,
  listFiles,
  parseSource,
  readText,
  usesOf,
} from './support/sources.js';
import { codeOf, ctlActions, knownCtlActions } from './support/pages.js';

/** The words of the product, which pure folders use: as pure as those. */
const WORDS = commonFiles(
  'names',
  'selector',
  'selector-parse',
  'selector-advice',
  'glob',
  'states',
  'errors',
  'rows',
);
/** What reading a configuration needs beyond the words, just as pure. */
const READERS = commonFiles(
  ...['ctlsection', 'expand', 'fields', 'ini', 'lexer', 'paths', 'problems', 'sections'],
  ...['signals', 'text', 'utf8'],
);

interface Rule {
  /** Which files the rule is for; the first rule that fits counts. */
  readonly files: RegExp;
  /** What of ours they may import. */
  readonly ours: readonly (RegExp | string)[];
  /** No Node modules, packages, clocks, dice, timers or logging. */
  readonly isPure: boolean;
  /** Packages that a pure file may import all the same, being pure themselves. */
  readonly packages?: readonly string[];
}

const RULES: readonly Rule[] = [
  { files: /^proto\/gen\//, ours: [/^proto\/gen\//], isPure: false },
  { files: anyOf(WORDS), ours: WORDS, isPure: true },
  { files: anyOf(READERS), ours: [...WORDS, ...READERS], isPure: true, packages: ['ini'] },
  { files: /^common\//, ours: [/^common\//, /^proto\/gen\//], isPure: false },
  { files: /^agent\/engine\//, ours: [/^agent\/engine\//, ...WORDS], isPure: true },
  {
    files: /^agent\/config\/(?!load\.ts$)/,
    ours: [/^agent\/config\/(?!load\.ts$)/, ...WORDS, ...READERS],
    isPure: true,
  },
  {
    files: /^controller\/(fleet|rollout|alerts)\//,
    ours: [/^controller\/(fleet|rollout|alerts)\//, ...WORDS],
    isPure: true,
  },
  { files: /^agent\//, ours: [/^agent\//, /^common\//, /^proto\/gen\//], isPure: false },
  { files: /^controller\//, ours: [/^controller\//, /^common\//, /^proto\/gen\//], isPure: false },
  { files: /^cli\//, ours: [/^cli\//, /^common\//, /^proto\/gen\//], isPure: false },
  { files: /^(test|tools)\//, ours: [/./], isPure: false },
];

/** What a pure file must be handed instead of taking it. */
const IMPURE: ReadonlySet<string> = new Set([
  'Date',
  'Math.random',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'console',
  'fetch',
  'crypto',
  // `process` alone is our own word; these are Node's.
  ...['argv', 'cwd', 'env', 'exit', 'hrtime', 'kill', 'nextTick', 'on', 'platform', 'stdin'].map(
    (name) => `process.${name}`,
  ),
  ...['stdout', 'stderr', 'uptime', 'memoryUsage'].map((name) => `process.${name}`),
]);

/** Folders whose code ships. */
const PRODUCT = ['agent', 'common', 'controller', 'cli'];

/** Files over 400 lines, each with the reason why it is better whole. */
const LONG_FILES: ReadonlyMap<string, string> = new Map([]);
const LINES_MAX = 400;

/** Words of the places where this was written, and promises that nobody keeps. */
const BANNED: readonly RegExp[] = [
  ['/wo', 'rk/'],
  ['/fa', 'rm/'],
  ['/tmp/bri', 'ef'],
  ['\\.libr', 'ary'],
  ['Co-Autho', 'red-By'],
  ['\\bsteering re', 'po\\b'],
  ['\\bissue ', '\\d+\\b'],
  ['\\bTO', 'DO\\b'],
  ['\\bFIX', 'ME\\b'],
  ['\\bHA', 'CK\\b'],
  ['@ts-', '(ignore|nocheck|expect-error)'],
  ['eslint-', 'disable'],
  ['\\.on', 'ly\\('],
].map((parts) => new RegExp(parts.join('')));

const sources = [...PRODUCT, 'proto/gen', 'test', 'tools']
  .flatMap((folder) => listFiles(folder, ['.ts']))
  .map((path) => {
    const source = parseSource(path);
    return { path, source, imports: importsOf(source) };
  });
const written = sources.filter(({ path }) => !path.startsWith('proto/gen/'));
const pages = ['README.md', 'CHANGELOG.md', ...listFiles('docs', ['.md'])].filter((path) =>
  existsSync(join(ROOT, path)),
);

function commonFiles(...names: readonly string[]): string[] {
  return names.map((name) => `common/${name}.ts`);
}

function anyOf(paths: readonly string[]): RegExp {
  return new RegExp(`^(${paths.join('|').replaceAll('.', '\\.')})$`);
}

test('files import only what the table allows', () => {
  const wrong: string[] = [];
  for (const { path, imports } of sources) {
    const rule = RULES.find(({ files }) => files.test(path));
    assert.ok(rule, `${path}: no rule says what this file may import`);
    for (const { file, specifier, line } of imports) {
      const isAllowed =
        file === undefined
          ? !rule.isPure || rule.packages?.includes(specifier) === true
          : rule.ours.some((allowed) =>
              typeof allowed === 'string' ? allowed === file : allowed.test(file),
            );
      if (!isAllowed) wrong.push(`${path}:${line} imports ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('pure files take no time, dice, timers or output by themselves', () => {
  const wrong = sources
    .filter(({ path }) => RULES.find(({ files }) => files.test(path))?.isPure)
    .flatMap(({ source }) => usesOf(source, IMPURE))
    .map(({ at, what }) => `${at} uses ${what}`);
  assert.deepEqual(wrong, []);
});

test('no files import one another in a ring', () => {
  const graph = new Map(
    sources.map(({ path, imports }) => [path, imports.flatMap(({ file }) => file ?? [])]),
  );
  assert.deepEqual(findCycles(graph), []);
});

test('each package is a declared dependency with one importer: a file, or a folder for it alone', () => {
  const { dependencies } = JSON.parse(readText('package.json')) as {
    dependencies: Record<string, string>;
  };
  const importers = new Map<string, Set<string>>();
  for (const { path, imports } of written) {
    if (!PRODUCT.some((folder) => path.startsWith(`${folder}/`))) continue;
    for (const { file, specifier } of imports) {
      if (file !== undefined || specifier.startsWith('node:')) continue;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      assert.ok(name in dependencies, `${path} imports ${name}, which is no dependency`);
      const place = path.startsWith(`common/${name}/`) ? dirname(path) : path;
      importers.set(name, (importers.get(name) ?? new Set()).add(place));
    }
  }
  const shared = [...importers].filter(([, paths]) => paths.size > 1);
  assert.deepEqual(
    shared.map(([name, paths]) => `${name}: ${[...paths].join(' ')}`),
    [],
  );
});

test('nothing is typed any', () => {
  const found = written.flatMap(({ source }) => anyTypes(source)).map(({ at }) => at);
  assert.deepEqual(found, []);
});

test('every file opens by saying what it is for', () => {
  const silent = written
    .map(({ path }) => path)
    .filter((path) => !/^(#!.*\n)?(\/\/|\/\*\*?) ?\S/.test(readText(path)));
  assert.deepEqual(silent, []);
});

test('no file is longer than 400 lines without a reason', () => {
  const long = written
    .map(({ path }) => ({ path, lines: readText(path).split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > LINES_MAX && !LONG_FILES.has(path))
    .map(({ path, lines }) => `${path}: ${lines} lines`);
  assert.deepEqual(long, []);
  const healed = [...LONG_FILES.keys()].filter(
    (path) => !existsSync(join(ROOT, path)) || readText(path).split('\n').length <= LINES_MAX,
  );
  assert.deepEqual(healed, [], 'listed as long, but no longer so');
});

test('banned words do not appear', () => {
  const endings = [
    '.ts',
    '.mjs',
    '.md',
    '.c',
    '.json',
    '.yaml',
    '.proto',
    '.conf',
    '.service',
    'run',
  ];
  const found: string[] = [];
  for (const path of listFiles('.', endings)) {
    if (path === 'package-lock.json' || path.startsWith('proto/gen/')) continue;
    for (const [index, line] of readText(path).split('\n').entries()) {
      const word = BANNED.map((banned) => banned.exec(line)?.[0]).find(Boolean);
      if (word !== undefined) found.push(`${path}:${index + 1} says ${word}`);
    }
  }
  assert.deepEqual(found, []);
});

test('the lock file names no download addresses and fits package.json', () => {
  const lock = readText('package-lock.json');
  assert.ok(
    !/"resolved": "https?:/.test(lock),
    'run `npm config set omit-lockfile-registry-resolved true` and write the lock file anew',
  );
  const declared = JSON.parse(readText('package.json')) as Record<string, object>;
  const { packages } = JSON.parse(lock) as { packages: Record<string, Record<string, object>> };
  for (const kind of ['dependencies', 'devDependencies']) {
    assert.deepEqual(packages['']?.[kind], declared[kind], `${kind} differ: run npm install`);
  }
});

test('every page has one title, on its first line', () => {
  for (const path of pages) {
    const text = readText(path).replace(/^```[\s\S]*?^```/gm, '');
    assert.match(text, /^# \S/, `${path} does not open with a title`);
    assert.equal(text.match(/^# /gm)?.length, 1, `${path} has several titles`);
  }
});

test('links between pages lead somewhere', () => {
  for (const path of pages) {
    for (const [, target = ''] of readText(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, dirname(path), target)), `${path} links to ${target}`);
    }
  }
});

test('every file and folder that the map of the architecture names exists', () => {
  const page = readText('docs/architecture.md').replace(/^```[\s\S]*?^```/gm, '');
  const places = [
    ...page.matchAll(/`((?:agent|controller|cli|common|proto|test|tools)\/[\w./-]*)`/g),
  ];
  assert.ok(places.length > 30, 'the page names hardly any place');
  const missing = places
    .map(([, place = '']) => place)
    .filter((place) => !existsSync(join(ROOT, place)));
  assert.deepEqual(missing, []);
});

test('every npm script that a page names exists', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
  for (const path of pages) {
    for (const [, name = ''] of codeOf(readText(path)).matchAll(/\bnpm run ([a-z-]+)/g)) {
      assert.ok(name in scripts, `${path} names npm run ${name}, which package.json lacks`);
    }
  }
});

test('every ctl command that a page names exists', () => {
  const known = knownCtlActions();
  assert.ok(known.size > 0, 'no commands found in cli/');
  for (const path of pages) {
    for (const action of ctlActions(codeOf(readText(path)))) {
      assert.ok(known.has(action), `${path} names ctl ${action}, which ctl does not know`);
    }
  }
});

test('every script of package.json starts a file that exists', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
  for (const [name, line] of Object.entries(scripts)) {
    const file = /\S+\.(mjs|ts)\b/.exec(line)?.[0];
    if (file === undefined) continue;
    assert.ok(existsSync(join(ROOT, file)), `npm run ${name} starts ${file}, which is missing`);
  }
});
