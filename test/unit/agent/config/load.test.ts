// Configuration files on a real disk, the search path, and options of the command line.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkOption,
  findConfigFile,
  loadConfig,
  machineWorld,
  searchPaths,
} from '../../../../agent/config/load.js';
import { temporaryFolder } from '../../../support/folders.js';

/** The kinds of programs that people really run. */
const EVERYDAY = `
[unix_http_server]
file=%(here)s/supervisor.sock
chmod=0700

[supervisord]
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock

[program:nginx]
command=/usr/sbin/nginx -g "daemon off;"
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
stopsignal=QUIT

[program:redis]
command=redis-server --port 63%(ENV_OFFSET)s
autorestart=true

[program:gunicorn]
command=gunicorn app:application --workers 2 --bind unix:%(here)s/g.sock
directory=%(here)s
environment=PYTHONUNBUFFERED="1",SETTINGS="a, b"
user=root
stopasgroup=true

[program:cat]
command=/bin/cat
process_name=%(program_name)s_%(process_num)02d
numprocs=3

[include]
files = conf.d/*.conf
`;

test('an everyday file with an include is read from disk', async (context) => {
  const folder = await temporaryFolder(context);
  await mkdir(join(folder, 'conf.d'));
  await writeFile(join(folder, 's.conf'), EVERYDAY);
  await writeFile(
    join(folder, 'conf.d/tomcat.conf'),
    '[program:tomcat]\r\ncommand=/opt/tomcat/bin/catalina.sh run\r\nstopwaitsecs=30\r\n',
  );
  await writeFile(join(folder, 'conf.d/.hidden.conf'), '[program:hidden]\ncommand=x\n');
  const result = loadConfig(join(folder, 's.conf'), { env: { HOME: folder, OFFSET: '79' } });
  assert.ok(result.ok);
  const { groups, servers, hints, daemon } = result.config;
  assert.deepEqual(
    groups.map(({ name, processes }) => [name, processes.length]),
    [
      ['cat', 3],
      ['gunicorn', 1],
      ['nginx', 1],
      ['redis', 1],
      ['tomcat', 1],
    ],
  );
  const processOf = (name: string) => groups.find((group) => group.name === name)?.processes[0];
  assert.deepEqual(processOf('nginx')?.words, {
    kind: 'words',
    argv: ['/usr/sbin/nginx', '-g', 'daemon off;'],
  });
  assert.equal(processOf('redis')?.command, 'redis-server --port 6379');
  assert.equal(processOf('gunicorn')?.user?.uid, 0);
  assert.equal(processOf('gunicorn')?.killAsGroup, true);
  assert.deepEqual(processOf('gunicorn')?.environment, { PYTHONUNBUFFERED: '1', SETTINGS: 'a, b' });
  assert.equal(processOf('tomcat')?.stopWaitMs, 30_000);
  assert.equal(servers[0]?.family, 'unix');
  assert.equal(daemon.serverUrl, `unix://${folder}/supervisor.sock`);
  assert.deepEqual(hints, []);
});

test('a folder in place of the file cannot be read', async (context) => {
  const folder = await temporaryFolder(context);
  const result = loadConfig(folder, { env: {} });
  assert.equal(result.ok, false);
  assert.deepEqual(result.ok ? [] : result.problems.map(({ text }) => text), [
    `could not read config file ${folder}`,
  ]);
});

test('files are looked for beside the program, here, and in /etc', () => {
  assert.deepEqual(searchPaths('/opt/fv/bin/agent').slice(0, 3), [
    '/opt/fv/etc/supervisord.conf',
    '/opt/fv/supervisord.conf',
    'supervisord.conf',
  ]);
});

test('a file beside the program is found', async (context) => {
  const folder = await temporaryFolder(context);
  await writeFile(join(folder, 'supervisord.conf'), '[supervisord]\n');
  assert.deepEqual(findConfigFile(join(folder, 'bin/agent')), {
    ok: true,
    path: join(folder, 'supervisord.conf'),
  });
});

test("an option of the command line is refused with supervisord's words", () => {
  const world = machineWorld({});
  assert.equal(
    checkOption('-e', 'loglevel', 'x', world),
    "invalid value for -e 'x': bad logging level name 'x'",
  );
  assert.equal(checkOption('-e', 'loglevel', 'debug', world), undefined);
});
