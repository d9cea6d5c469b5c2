// Every row of the selector table, the rules D26-D30, and patterns (spec fleet 7).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALTERNATIVES_MAX, compilePattern } from '../../../common/glob.js';
import {
  isThreePart,
  resolveTargets,
  select,
  type SelectableHost,
  type SelectableRow,
  type TargetSpec,
} from '../../../common/selector.js';

function row(name: string, priority = 999, groupPriority = 999): SelectableRow {
  const [group = '', process = group] = name.split(':');
  return { group, process, priority, groupPriority };
}

function host(
  name: string,
  labels: string,
  names: readonly string[] | undefined,
): SelectableHost<SelectableRow> {
  const pairs =
    labels === '' ? [] : labels.split(',').map((pair) => pair.split('=') as [string, string]);
  return { host: name, labels: new Map(pairs), rows: names?.map((text) => row(text)) };
}

const WEB = ['app:app_0', 'app:app_1', 'cache'];
const FLEET = [
  host('web10', 'role=web,env=prod', WEB),
  host('web2', 'role=web,env=prod', WEB),
  host('web1', 'role=web,env=staging', WEB),
  host('db1', 'role=db', ['db', 'cache', 'web']),
];

const NOTHING: TargetSpec = {
  selectors: [],
  hosts: [],
  labels: [],
  allHosts: false,
  exclude: [],
  hasExpect: false,
  expect: 0,
  maxTargets: 0,
};

interface Asked extends Partial<TargetSpec> {
  readonly changing?: boolean;
  readonly fleet?: readonly SelectableHost<SelectableRow>[];
}

/** `host:group:process` of the targets, then `selector: problem`. */
function resolve(
  selectors: string,
  { changing = false, fleet = FLEET, ...more }: Asked = {},
): string[] {
  const spec = { ...NOTHING, selectors: selectors.split(' ').filter(Boolean), ...more };
  const { targets, problems } = resolveTargets(spec, fleet, changing);
  return [
    ...targets.map((target) => `${target.host}:${target.group}:${target.process}`),
    ...problems.map((problem) => `${problem.selector} - ${problem.message}`),
  ];
}

const CACHES = ['db1:cache:cache', 'web1:cache:cache', 'web2:cache:cache', 'web10:cache:cache'];
const appOf = (name: string): string[] => [`${name}:app:app_0`, `${name}:app:app_1`];
const allOf = (name: string): string[] => [...appOf(name), `${name}:cache:cache`];
const DB = ['db1:cache:cache', 'db1:db:db', 'db1:web:web'];

const TABLE: readonly (readonly [string, Asked, readonly string[]])[] = [
  // x, without pattern: process x of group x.
  ['cache', {}, CACHES],
  ['app_0', {}, ["app_0 - no such process; did you mean 'app:app_0'?"]],
  // A pattern: every process whose name matches, in any group.
  ['app_*', {}, [...appOf('web1'), ...appOf('web2'), ...appOf('web10')]],
  ['?b', {}, ['db1:db:db']],
  ['{db,web}', {}, ['db1:db:db', 'db1:web:web']],
  // g:n, g:*, g:
  ['app:app_1', { hosts: ['web1'] }, ['web1:app:app_1']],
  ['app:*', { hosts: ['web2'] }, appOf('web2')],
  ['app:', { hosts: ['web2'] }, appOf('web2')],
  ['a*:app_0', { hosts: ['web2'] }, ['web2:app:app_0']],
  // h:g:n
  ['web1:app:app_0', {}, ['web1:app:app_0']],
  ['web1:app:app_0', { changing: true }, ['web1:app:app_0']],
  // h:*:*, h:g:*, *:g:n
  ['web1:*:*', {}, allOf('web1')],
  ['web1:app:*', {}, appOf('web1')],
  ['*:cache:cache', { changing: true }, CACHES],
  ['web{1..2}:app:*', {}, [...appOf('web1'), ...appOf('web2')]],
  ['WEB1:app:app_0', {}, ['web1:app:app_0']],
  ['web1:APP:app_0', {}, ["web1:APP:app_0 - no such process; did you mean 'web1:*:app_0'?"]],
  // @labels
  ['@role=web&env!=prod:*:*', {}, allOf('web1')],
  ['@role=db:*:*', {}, DB],
  ['@!env:*:*', {}, DB],
  ['@env:app:app_0', {}, ['web1:app:app_0', 'web2:app:app_0', 'web10:app:app_0']],
  ['@role={web,db}&env=prod:cache:*', {}, ['web2:cache:cache', 'web10:cache:cache']],
  // all
  ['all', { hosts: ['web1'] }, allOf('web1')],
  ['', { hosts: ['db1'] }, DB],
  ['*', { hosts: ['db1'] }, DB],
  // ! and -x, wherever they stand
  ['!web1:app:app_0 web1:*:*', {}, ['web1:app:app_1', 'web1:cache:cache']],
  ['web1:*:*', { exclude: ['app:*'] }, ['web1:cache:cache']],
  ['all !cache', { hosts: ['db1'] }, ['db1:db:db', 'db1:web:web']],
  // -H, -l
  ['cache', { hosts: ['web1,db*'] }, ['db1:cache:cache', 'web1:cache:cache']],
  ['cache', { hosts: ['web{1,2}'] }, ['web1:cache:cache', 'web2:cache:cache']],
  ['cache', { labels: ['role=web', 'env=prod'] }, ['web2:cache:cache', 'web10:cache:cache']],
  ['*:cache:*', { hosts: ['web*'], labels: ['env=staging'] }, ['web1:cache:cache']],
  // What matches nothing is named.
  ['nope', { allHosts: true }, ['nope - no such process']],
  ['nope:*', {}, ['nope:* - no such group']],
  ['nope*', {}, ['nope* - nothing matches']],
  ['web9:app:app_0', {}, ['web9:app:app_0 - no such host']],
  ['cache', { hosts: ['web9'] }, ['web9 - no such host', 'cache - no such host in the scope']],
  ['cache nope', { hosts: ['db1'] }, ['db1:cache:cache', 'nope - no such process']],
  // Where a host or a group was written for a process, what would have matched is named.
  ['web1', {}, ["web1 - no such process; did you mean 'web1:*:*'?"]],
  ['web*', { hosts: ['web1'] }, ["web* - nothing matches; did you mean 'web*:*:*'?"]],
  ['app', {}, ["app - no such process; did you mean 'app:*'?"]],
  ['web1:*', {}, ["web1:* - no such group; did you mean 'web1:*:*'?"]],
  ['web1:app_0', {}, ["web1:app_0 - no such process; did you mean 'web1:*:app_0'?"]],
  ['web1:app', {}, ["web1:app - no such process; did you mean 'web1:app:*'?"]],
  ['web1:nope', {}, ['web1:nope - no such process']],
  // Twice is once.
  ['cache db1:cache:* c*', { hosts: ['db1'] }, ['db1:cache:cache']],
];

for (const [selectors, asked, expected] of TABLE) {
  test(`'${selectors}' ${JSON.stringify(asked)}`, () => {
    assert.deepEqual(resolve(selectors, asked), expected);
  });
}

const REFUSED: readonly (readonly [string, Asked, string])[] = [
  ['web1::', {}, 'BAD_SELECTOR'],
  ['web1:app:', {}, 'BAD_SELECTOR'],
  [':app:web', {}, 'BAD_SELECTOR'],
  [':app', {}, 'BAD_SELECTOR'],
  ['a:b:c:d', {}, 'BAD_SELECTOR'],
  ['web[1', {}, 'BAD_SELECTOR'],
  ['web{1', {}, 'BAD_SELECTOR'],
  ['{a,}', {}, 'BAD_SELECTOR'],
  ['x\\', {}, 'BAD_SELECTOR'],
  ['@:a:b', {}, 'BAD_SELECTOR'],
  ['@a=:a:b', {}, 'BAD_SELECTOR'],
  ['!cache', {}, 'BAD_SELECTOR'],
  ['', { exclude: ['cache'] }, 'BAD_SELECTOR'],
  ['', { changing: true, allHosts: true }, 'BAD_SELECTOR'],
  ['cache', { changing: true }, 'SCOPE_MISSING'],
  ['all', { changing: true }, 'SCOPE_MISSING'],
  ['app:*', { changing: true }, 'SCOPE_MISSING'],
  ['web1:cache:cache cache', { changing: true }, 'SCOPE_MISSING'],
  ['web1:*:*', { changing: true, exclude: ['cahce'], allHosts: true }, 'NO_MATCH'],
  ['all', { allHosts: true, changing: true, hasExpect: true, expect: 11 }, 'EXPECTATION_UNMET'],
  ['all', { allHosts: true, changing: true, maxTargets: 11 }, 'TOO_MANY_TARGETS'],
];

for (const [selectors, asked, code] of REFUSED) {
  test(`'${selectors}' ${JSON.stringify(asked)} is refused: ${code}`, () => {
    assert.throws(() => resolve(selectors, asked), { code });
  });
}

test('a change without a scope is told which flag is missing', () => {
  assert.throws(() => resolve('app', { changing: true }), { hint: /--all-hosts/ });
});

test('three parts as a list prints them mean that process, whatever its name looks like (D27)', () => {
  const fleet = [
    host('web1', '', ['odd:a*b.c>d', 'odd:axb.c>d', 'odd:a[b', '{x}']),
    ...FLEET.slice(1, 2),
  ];
  assert.deepEqual(resolve('web1:odd:a*b.c>d', { fleet }), ['web1:odd:a*b.c>d']);
  assert.deepEqual(resolve('*:odd:a[b', { fleet, changing: true }), ['web1:odd:a[b']);
  assert.deepEqual(resolve('web1:{x}:{x}', { fleet }), ['web1:{x}:{x}']);
  assert.deepEqual(resolve('web1:odd:* !web1:odd:a*b.c>d', { fleet }), [
    'web1:odd:a[b',
    'web1:odd:axb.c>d',
  ]);
});

test('a name that looks like a pattern can be typed as it is, if it exists (D27)', () => {
  const fleet = [host('h', '', ['w*', 'web', '!x', '@y', 'a[b', 'g{1}:p?', 'odd:x'])];
  const odd = { group: 'e', process: 'a:b', priority: 999, groupPriority: 999 };
  fleet.push({ host: 'i', labels: new Map(), rows: [odd] });
  assert.deepEqual(resolve('w*', { fleet }), ['h:w*:w*']);
  assert.deepEqual(resolve('!x', { fleet }), ['h:!x:!x']);
  assert.deepEqual(resolve('@y', { fleet }), ['h:@y:@y']);
  assert.deepEqual(resolve('a[b', { fleet }), ['h:a[b:a[b']);
  assert.deepEqual(resolve('g{1}:p?', { fleet }), ['h:g{1}:p?']);
  assert.deepEqual(resolve('g{1}:', { fleet }), ['h:g{1}:p?']);
  assert.deepEqual(resolve('e:a:b', { fleet }), ['i:e:a:b']);
  assert.deepEqual(resolve('we*', { fleet }), ['h:web:web']);
});

test('a bare * and all keep their meaning, and escapes address things so named', () => {
  const fleet = [host('h', '', ['*', 'all', 'web'])];
  assert.equal(resolve('*', { fleet }).length, 3);
  assert.equal(resolve('all', { fleet }).length, 3);
  assert.deepEqual(resolve('\\*', { fleet }), ['h:*:*']);
  assert.deepEqual(resolve('\\all', { fleet }), ['h:all:all']);
});

test('without a scope a literal name of three parts cannot reach all hosts', () => {
  const odd = { group: 'web1', process: 'app:web', priority: 1, groupPriority: 1 };
  const fleet = [
    host('web1', '', ['app:web']),
    { host: 'web2', labels: new Map<string, string>(), rows: [odd] },
  ];
  assert.deepEqual(resolve('web1:app:web', { fleet, changing: true }), ['web1:app:web']);
});

test('hosts that were never heard stand in the result, to fail visibly', () => {
  const fleet = [host('a', '', ['app']), host('b', '', undefined)];
  assert.deepEqual(resolve('app', { fleet, allHosts: true }), ['a:app:app', 'b:app:app']);
  assert.deepEqual(resolve('b:app:web', { fleet }), ['b:app:web']);
  assert.deepEqual(resolve('all', { fleet }), ['a:app:app', 'b:*:*']);
  assert.deepEqual(resolve('app', { fleet, exclude: ['b:app:app'] }), ['a:app:app']);
});

test('results are in order of host, priorities and name, numbers as numbers', () => {
  const rows = [row('z', 1, 5), row('p10', 2, 5), row('p9', 2, 5), row('early', 999, 1)];
  const fleet = ['h10', 'h9'].map((name) => ({
    host: name,
    labels: new Map<string, string>(),
    rows,
  }));
  const one = (name: string): string[] =>
    ['early', 'z', 'p9', 'p10'].map((p) => `${name}:${p}:${p}`);
  assert.deepEqual(resolve('all', { fleet }), [...one('h9'), ...one('h10')]);
});

test('a whole host is recognised, so that its encoded rows can be sent as they are', () => {
  const spec = { ...NOTHING, selectors: ['all', '!web1:cache:*'] };
  const { hosts, count } = select(spec, FLEET, false);
  assert.deepEqual(
    hosts.map(({ host: name, whole }) => [name, whole]),
    [
      ['db1', true],
      ['web1', false],
      ['web2', true],
      ['web10', true],
    ],
  );
  assert.equal(count, 11);
});

test('more than 10,000 targets need to be asked for when changing, not when reading', () => {
  const rows = Array.from({ length: 10_001 }, (_, i) => row(`p${i}`));
  const fleet = [{ host: 'h', labels: new Map<string, string>(), rows }];
  assert.equal(resolve('all', { fleet }).length, 10_001);
  assert.throws(() => resolve('h:*:*', { fleet, changing: true }), { code: 'TOO_MANY_TARGETS' });
  assert.equal(resolve('h:*:*', { fleet, changing: true, maxTargets: 20_000 }).length, 10_001);
});

test('three-part forms are known by their colons', () => {
  assert.deepEqual(['a', 'a:b', 'a:b:c', '!a:b:c', 'a\\:b:c', 'w{1,2}:a:b'].map(isThreePart), [
    false,
    false,
    true,
    true,
    false,
    true,
  ]);
});

const PATTERNS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['*', ['', 'x', 'a.b'], []],
  ['a*b*c', ['abc', 'aXbYc', 'abbcc'], ['ab', 'abcd']],
  ['?', ['a', 'ü', '😀'], ['', 'ab']],
  ['[a-c]', ['a', 'b'], ['d', '']],
  ['[!a-c]x', ['dx'], ['ax']],
  ['[]a]', [']', 'a'], ['b']],
  ['[a\\]]', [']'], ['\\']],
  ['[a-]', ['-', 'a'], ['b']],
  ['{01..03}', ['01', '02', '03'], ['1', '04']],
  ['x{3..1}', ['x1', 'x2', 'x3'], ['x0']],
  ['w{1,x*}y', ['w1y', 'wxy', 'wxxxy'], ['w2y']],
  ['{a,{b,c}d}', ['a', 'bd', 'cd'], ['b', 'ad']],
  ['{a}', ['a'], ['{a}']],
  ['a\\*', ['a*'], ['ab']],
];
for (const [pattern, matching, others] of PATTERNS) {
  test(`pattern ${pattern}`, () => {
    const { matches } = compilePattern(pattern);
    for (const name of matching) assert.ok(matches(name), `${name} matches`);
    for (const name of others) assert.ok(!matches(name), `${name} does not match`);
  });
}

test('braces that stand for too many names are refused before they are built', () => {
  for (const text of [
    '{1..100000}',
    '{1..999}{1..999}',
    `{0..${ALTERNATIVES_MAX}}`,
    '{9..1}'.repeat(9),
  ]) {
    assert.throws(() => compilePattern(text), { code: 'BAD_SELECTOR', message: /more than 10000/ });
  }
});

test('many stars cost no more than pattern times name', () => {
  const { matches } = compilePattern(`${'*a'.repeat(200)}b`);
  assert.equal(matches('a'.repeat(20_000)), false);
});
