// The process states and the sets that requests go by (spec process 2).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PROCESS_STATES,
  RUNNING_STATES,
  SIGNALLABLE_STATES,
  STATE_CODES,
  STOPPED_STATES,
  TRANSITIONS,
} from '../../../common/states.js';

test('the codes are Supervisor’s', () => {
  assert.deepEqual(STATE_CODES, {
    STOPPED: 0,
    STARTING: 10,
    RUNNING: 20,
    BACKOFF: 30,
    STOPPING: 40,
    EXITED: 100,
    FATAL: 200,
    UNKNOWN: 1000,
  });
});

test('every state is stopped, running or STOPPING, and can be left', () => {
  for (const state of PROCESS_STATES) {
    const classes = [STOPPED_STATES.has(state), RUNNING_STATES.has(state), state === 'STOPPING'];
    assert.equal(classes.filter(Boolean).length, 1, state);
    assert.ok(TRANSITIONS[state].length > 0, state);
  }
});

test('signals reach what has a child', () => {
  assert.deepEqual([...SIGNALLABLE_STATES].sort(), ['RUNNING', 'STARTING', 'STOPPING']);
});
