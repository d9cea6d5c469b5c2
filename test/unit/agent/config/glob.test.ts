// Patterns of included files against a folder tree of names only.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchPaths, type Listing } from '../../../../agent/config/glob.js';

const FILES = [
  '/e/a.conf',
  '/e/b.conf',
  '/e/.c.conf',
  '/e/d/x.ini',
  '/e/d2/x.ini',
  '/e/we[ird',
  '/e/a-b',
];

function folder(path: string): boolean {
  return FILES.some((file) => file.startsWith(`${path.replace(/\/+$/, '')}/`));
}

const listing: Listing = {
  names(path) {
    const below = `${path.replace(/\/+$/, '')}/`;
    const found = FILES.filter((file) => file.startsWith(below));
    return [...new Set(found.map((file) => file.slice(below.length).split('/')[0] as string))];
  },
  exists: (path) => FILES.includes(path) || folder(path),
  isDirectory: folder,
};

const CASES: readonly (readonly [what: string, pattern: string, wanted: readonly string[]])[] = [
  ['a star matches all but hidden names', '/e/*.conf', ['/e/a.conf', '/e/b.conf']],
  ['a leading dot matches hidden names', '/e/.*.conf', ['/e/.c.conf']],
  ['a plain path matches if it exists', '/e/a.conf', ['/e/a.conf']],
  ['a plain path that does not exist matches nothing', '/e/nope.conf', []],
  ['folders may have wildcards', '/e/*/x.ini', ['/e/d/x.ini', '/e/d2/x.ini']],
  ['two stars are one', '/e/**/x.ini', ['/e/d/x.ini', '/e/d2/x.ini']],
  ['a question mark is one character', '/e/?.conf', ['/e/a.conf', '/e/b.conf']],
  ['a set', '/e/[ac].conf', ['/e/a.conf']],
  ['a range', '/e/[b-z].conf', ['/e/b.conf']],
  ['a negated set', '/e/[!a].conf', ['/e/b.conf']],
  ['an unclosed bracket is itself', '/e/we[ir*', ['/e/we[ird']],
  ['a dash is itself', '/e/a-?', ['/e/a-b']],
  ['spelling of folders is kept', '/e/./d/*.ini', ['/e/./d/x.ini']],
];

for (const [what, pattern, wanted] of CASES) {
  test(what, () => {
    const plain: Listing = {
      names: (path) => listing.names(path.replaceAll('/./', '/')),
      exists: (path) => listing.exists(path),
      isDirectory: (path) => listing.isDirectory(path),
    };
    assert.deepEqual([...matchPaths(pattern, plain)].sort(), wanted);
  });
}
