// What a changed configuration adds, removes and changes, and which changes need a new process.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffConfig, diffGroup, type ProcessDiff } from '../../../../agent/config/diff.js';
import { loadConfig } from '../../../../agent/config/load.js';
import type { ConfigFiles } from '../../../../agent/config/read.js';
import type { GroupConfig } from '../../../../agent/config/types.js';

function groups(text: string): readonly GroupConfig[] {
  const bytes = Buffer.from(`[supervisord]\n${text}`);
  const files: ConfigFiles = { exists: () => true, read: () => bytes, match: () => [] };
  const result = loadConfig('/etc/s.conf', { files });
  assert.ok(result.ok);
  return result.config.groups;
}

const CAT = '[program:cat]\ncommand=cat\n';

function change(key: string): ProcessDiff | undefined {
  return diffConfig(groups(CAT), groups(`${CAT}${key}\n`)).changed[0]?.changed[0];
}

test('equal configurations do not differ', () => {
  const text = `${CAT}environment=B="2",A="1"\n`;
  const same = `${CAT}environment=A="1",B="2"\n`;
  assert.deepEqual(diffConfig(groups(text), groups(same)), { added: [], changed: [], removed: [] });
});

test('groups are added and removed by name', () => {
  const diff = diffConfig(groups(CAT), groups('[program:dog]\ncommand=dog\n'));
  assert.deepEqual(diff, { added: ['dog'], changed: [], removed: ['cat'] });
});

for (const key of ['environment=A="1"', 'directory=/', 'umask=077', 'redirect_stderr=true']) {
  test(`a running process must be replaced for ${key}`, () => {
    assert.equal(change(key)?.isRestartNeeded, true);
  });
}

for (const key of ['stopwaitsecs=1', 'autorestart=true', 'stdout_logfile=NONE', 'stopsignal=INT']) {
  test(`a running process goes on under ${key}`, () => {
    const name = key.split('=')[0] as string;
    assert.deepEqual(change(key), { name: 'cat', keys: [name], isRestartNeeded: false });
  });
}

test('a smaller numprocs removes processes and leaves the others alone', () => {
  const some = (count: number): string =>
    `[program:w]\ncommand=w\nnumprocs=${count}\nprocess_name=%(process_num)d\n`;
  assert.deepEqual(diffConfig(groups(some(3)), groups(some(2))).changed, [
    { name: 'w', keys: [], added: [], removed: ['2'], changed: [] },
  ]);
});

test('a changed order of members is a change of the group, not of its processes', () => {
  const two = `${CAT}[program:dog]\ncommand=dog\n[group:g]\nprograms=`;
  const [diff] = diffConfig(groups(`${two}cat,dog`), groups(`${two}dog,cat`)).changed;
  assert.deepEqual(diff, { name: 'g', keys: ['order'], added: [], removed: [], changed: [] });
});

test('another socket mode replaces every process of an fcgi group', () => {
  const fcgi = '[fcgi-program:f]\ncommand=f\nsocket=unix:///run/f.sock\n';
  const [old] = groups(fcgi);
  const [wanted] = groups(`${fcgi}socket_mode=0770\n`);
  assert.ok(old && wanted);
  const diff = diffGroup(old, wanted);
  assert.deepEqual(diff?.keys, ['socket']);
  assert.deepEqual(diff?.changed, [{ name: 'f', keys: [], isRestartNeeded: true }]);
});
