// The command line as supervisord's getopt reads it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from '../../../agent/options.js';

const errors: readonly (readonly [args: string, text: string])[] = [
  ['-x', 'option -x not recognized'],
  ['--foo', 'option --foo not recognized'],
  ['-c', 'option -c requires argument'],
  ['--logfile', 'option --logfile requires argument'],
  ['--nodaemon=1', 'option --nodaemon must not have an argument'],
  ['--logfile_ x', 'option --logfile_ not a unique prefix'],
  ['-c a -c b', "conflicting command line option '-c'"],
  ['-n foo', "positional arguments are not supported: ['foo']"],
];

for (const [args, text] of errors)
  test(`${args} is refused`, () => {
    assert.deepEqual(parseOptions(args.split(' ')), { ok: false, text });
  });

test('short options may be joined, long ones shortened', () => {
  const result = parseOptions(['-nkc', 'a.conf', '--loglev=debug', '-i', 'web1']);
  assert.ok(result.ok);
  const { configPath, overrides, mode } = result.options;
  assert.equal(configPath, 'a.conf');
  assert.deepEqual(overrides, {
    nodaemon: 'true',
    nocleanup: 'true',
    loglevel: 'debug',
    identifier: 'web1',
  });
  assert.equal(mode, 'run');
});

test('the first of help and version decides, and --check only checks', () => {
  const modes = [['-h', '-v'], ['-v', '-h'], ['-?'], ['--check'], ['--check', '-v'], []].map(
    (args) => {
      const result = parseOptions(args);
      return result.ok ? result.options.mode : result.text;
    },
  );
  assert.deepEqual(modes, ['help', 'version', 'help', 'check', 'version', 'run']);
});
