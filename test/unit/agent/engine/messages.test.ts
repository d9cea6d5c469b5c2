// How exits and signals are worded (spec process 3).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badExit, describeExit, lines, signalText } from '../../../../agent/engine/messages.js';
import type { ExitStatus } from '../../../../agent/engine/types.js';

const signal = (changes: Partial<ExitStatus & { kind: 'signal' }>): ExitStatus => ({
  kind: 'signal',
  signal: 11,
  name: 'SIGSEGV',
  coreDumped: false,
  ...changes,
});

test('exits read as Supervisor writes them', () => {
  assert.equal(describeExit({ kind: 'code', code: 2 }), 'exit status 2');
  assert.equal(describeExit(signal({})), 'terminated by SIGSEGV');
  assert.equal(describeExit(signal({ coreDumped: true })), 'terminated by SIGSEGV (core dumped)');
  assert.equal(describeExit(signal({ signal: 35, name: undefined })), 'signal 35');
  assert.equal(describeExit({ kind: 'unobserved' }), 'exit status not observed');
});

test('a bad exit names its status, -1 for a signal', () => {
  assert.equal(badExit({ kind: 'code', code: 2 }), 'Bad exit code 2');
  assert.equal(badExit(signal({})), 'Bad exit code -1');
  assert.equal(badExit({ kind: 'unobserved' }), 'Exit status not observed');
});

test('an unnamed signal is its number', () => {
  assert.equal(signalText({ number: 35, name: undefined }), '35');
  assert.equal(signalText({ number: 1, name: 'SIGHUP' }), 'SIGHUP');
});

test('startsecs is printed in seconds', () => {
  assert.match(lines.success('a', 2000), /^success: a .* than 2 seconds \(startsecs\)$/);
});
