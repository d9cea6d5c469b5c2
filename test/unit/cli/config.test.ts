// ctl's own files: the section of a supervisord.conf, and ctl.conf.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  defaultCtlConf,
  loadCtlConfig,
  loadLocalConfig,
  LOCAL_DEFAULTS,
} from '../../../cli/config.js';
import { temporaryFolder } from '../../support/folders.js';

test('the section of a supervisord.conf says where the daemon is', async (context) => {
  const folder = await temporaryFolder(context);
  const file = join(folder, 's.conf');
  await writeFile(
    file,
    '[supervisord]\n[supervisorctl]\nserverurl=unix://%(here)s/run/../s.sock\nusername=u\npassword=%(ENV_PW)s\n' +
      'history_file=~/.h\n',
  );
  assert.deepEqual(loadLocalConfig(file, { HOME: '/home/op', PW: 'p;x' }), {
    ok: true,
    config: {
      serverUrl: `unix://${folder}/s.sock`,
      username: 'u',
      password: 'p;x',
      prompt: 'supervisor',
      historyFile: '/home/op/.h',
    },
  });
});

test('a file without the section is refused, and without a file the defaults hold', async (context) => {
  const folder = await temporaryFolder(context);
  const file = join(folder, 's.conf');
  await writeFile(file, '[supervisord]\n');
  const result = loadLocalConfig(file, {});
  assert.deepEqual(result.ok ? [] : result.problems.map(({ text }) => text), [
    '.ini file does not include supervisorctl section',
  ]);
  assert.equal(LOCAL_DEFAULTS.serverUrl, 'http://localhost:9001');
});

test('ctl.conf names controllers, certificates and hosts', async (context) => {
  const folder = await temporaryFolder(context);
  const file = join(folder, 'ctl.conf');
  await writeFile(
    file,
    '[ctl]\ncontrollers=c1:9500,c2:9500\nca=ca.crt\ncert=me.crt\nkey=me.key\ndefault_hosts=web*,db1\n',
  );
  assert.deepEqual(loadCtlConfig(file, {}), {
    ok: true,
    config: {
      controllers: [
        { host: 'c1', port: 9500 },
        { host: 'c2', port: 9500 },
      ],
      ca: `${folder}/ca.crt`,
      cert: `${folder}/me.crt`,
      key: `${folder}/me.key`,
      defaultHosts: ['web*', 'db1'],
    },
  });
});

test('a misspelt key of ctl.conf is a problem with its line', async (context) => {
  const folder = await temporaryFolder(context);
  const file = join(folder, 'ctl.conf');
  await writeFile(file, '[ctl]\ncontrolers=c1:9500\n');
  const result = loadCtlConfig(file, {});
  assert.deepEqual(
    result.ok ? [] : result.problems.map(({ line, key, advice }) => [line, key, advice]),
    [
      [2, 'controlers', 'did you mean controllers?'],
      [1, undefined, 'add controllers = HOST:9500'],
    ],
  );
});

test('the default place follows XDG', () => {
  assert.equal(defaultCtlConf({ HOME: '/home/op' }), '/home/op/.config/fleetvisor/ctl.conf');
  assert.equal(defaultCtlConf({ XDG_CONFIG_HOME: '/x' }), '/x/fleetvisor/ctl.conf');
});
