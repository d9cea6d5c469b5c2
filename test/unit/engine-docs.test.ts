// docs/architecture.md draws what common/states.ts says, docs/engine.md names the files; this holds them to it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PROCESS_STATES, TRANSITIONS } from '../../common/states.js';

const read = (page: string): string =>
  readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
const architecture = read('architecture.md');
const engine = read('engine.md');

test('the documented transition table is the one in the code', () => {
  const documented = new Map<string, string[]>();
  for (const [, from = '', to = ''] of architecture.matchAll(
    /^\| ([A-Z]+) +\| ([A-Z, ]*[A-Z]) *\|$/gm,
  )) {
    documented.set(from, to.split(', '));
  }
  assert.deepEqual(Object.fromEntries(documented), TRANSITIONS);
});

test('the picture names every state', () => {
  const section = architecture.slice(architecture.indexOf('## The engine'));
  const picture = section.split('```')[1] ?? '';
  for (const state of PROCESS_STATES) assert.ok(picture.includes(state), state);
});

test('every file of the engine that the page names exists', () => {
  for (const [, file = ''] of engine.matchAll(/`([a-z]+\.ts)`/g)) {
    const url = new URL(`../../agent/engine/${file}`, import.meta.url);
    assert.doesNotThrow(() => readFileSync(url), file);
  }
});
