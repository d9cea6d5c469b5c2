// docs/engine.md draws what common/states.ts says; this holds the two together.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PROCESS_STATES, TRANSITIONS } from '../../common/states.js';

const page = readFileSync(new URL('../../docs/engine.md', import.meta.url), 'utf8');

test('the documented transition table is the one in the code', () => {
  const documented = new Map<string, string[]>();
  for (const [, from = '', to = ''] of page.matchAll(/^\| ([A-Z]+) +\| ([A-Z, ]*[A-Z]) *\|$/gm)) {
    documented.set(from, to.split(', '));
  }
  assert.deepEqual(Object.fromEntries(documented), TRANSITIONS);
});

test('the picture names every state', () => {
  const picture = page.split('```')[3] ?? '';
  for (const state of PROCESS_STATES) assert.ok(picture.includes(state), state);
});

test('every file of the engine that the page names exists', () => {
  for (const [, file = ''] of page.matchAll(/`([a-z]+\.ts)`/g)) {
    const url = new URL(`../../agent/engine/${file}`, import.meta.url);
    assert.doesNotThrow(() => readFileSync(url), file);
  }
});
