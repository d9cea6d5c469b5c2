// The host's name in the fleet (spec fleet 2).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fleetHostName } from '../../../../agent/link/host.js';

for (const [identifier, system, expected] of [
  ['web1', 'machine', 'web1'],
  ['WEB1.example', 'machine', 'web1.example'],
  ['supervisor', 'Machine.example.org', 'machine.example.org'],
] as const) {
  test(`identifier ${identifier} on ${system} is ${expected}`, () => {
    assert.equal(fleetHostName(identifier, system), expected);
  });
}

for (const [identifier, system] of [
  ['my host', 'machine'],
  ['all', 'machine'],
  ['supervisor', 'localhost_'],
  ['-x', 'machine'],
] as const) {
  test(`identifier ${identifier} on ${system} cannot join, and the error names what to change`, () => {
    assert.throws(() => fleetHostName(identifier, system), {
      code: 'CONFIG_INVALID',
      hint: /identifier=/,
    });
  });
}
