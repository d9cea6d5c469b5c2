// The page about configuration against the tables of the code.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPage, renderPage } from '../../../../tools/config-docs.js';

test('docs/configuration.md lists exactly the keys, defaults and meanings that the programs read by', () => {
  const page = readPage();
  assert.equal(page, renderPage(page), 'run: node --import tsx tools/config-docs.ts');
});
