// One host or the fleet: what the words and the configuration decide (design 2).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideMode } from '../../../cli/mode.js';

const TABLE: readonly (readonly [string, boolean, 'local' | 'fleet'])[] = [
  ['status', false, 'local'],
  ['status', true, 'fleet'],
  ['', false, 'local'],
  ['-c x.conf status', true, 'local'],
  ['-cx.conf status', true, 'local'],
  ['--configuration=x status', true, 'local'],
  ['-s unix:///x status', true, 'local'],
  ['--local status', true, 'local'],
  ['--json -c x.conf status', true, 'local'],
  ['-C ctl.conf status', false, 'fleet'],
  ['-C ctl.conf -c x.conf status', false, 'fleet'],
  ['--controller a:1 status', false, 'fleet'],
  ['--controller=a:1 status', false, 'fleet'],
  ['-H -c status', true, 'fleet'],
  ['--json status', false, 'fleet'],
  ['tail -c 10 web', true, 'fleet'],
  ['status -C ctl.conf', false, 'fleet'],
  ['stop all -H web2', false, 'fleet'],
  ['status --host=web2', false, 'fleet'],
  ['restart app --all-hosts', false, 'fleet'],
  ['restart --help', false, 'fleet'],
  ['tail -f app', false, 'local'],
  ['tail -100 app stderr', false, 'local'],
  ['-c x.conf status -C ctl.conf', false, 'local'],
  ['-u ann -p x status', true, 'local'],
  ['certs init', false, 'fleet'],
  ['--version', false, 'fleet'],
  ['--help', false, 'fleet'],
  ['-c x --help', false, 'local'],
];
for (const [words, controller, mode] of TABLE) {
  test(`ctl ${words} ${controller ? 'with' : 'without'} a known controller: ${mode}`, () => {
    assert.equal(decideMode(words.split(' ').filter(Boolean), { controller }), mode);
  });
}
