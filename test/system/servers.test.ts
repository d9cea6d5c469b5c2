// Real servers on three hosts: nginx, redis and gunicorn are restarted over the fleet and serve again.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Fleet, livingProcesses, startFleet } from '../support/fleet.js';
import { findProgram, needs } from '../support/need.js';
import { freePorts } from '../support/ports.js';
import { until } from '../support/wait.js';

const skip = needs('nats-server', 'cc', 'nginx', 'redis-server', 'gunicorn');

/** The body of a page; undefined while nobody answers. */
function fetchPage(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path: '/', agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(response.statusCode === 200 ? body : undefined));
    });
    call.on('error', () => resolve(undefined));
  });
}

/** Redis's answer to PING; undefined while nobody answers. */
function ping(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString().trim());
    });
    socket.once('error', () => resolve(undefined));
  });
}

describe('nginx, redis and gunicorn under a fleet', { skip }, () => {
  let fleet: Fleet;
  let dir: string;
  let nginxPort: number;
  let redisPort: number;
  let gunicornPort: number;
  const cleaners: (() => Promise<void>)[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fv-servers-'));
    [nginxPort = 0, redisPort = 0, gunicornPort = 0] = await freePorts(3);
    mkdirSync(join(dir, 'nginx'));
    writeFileSync(
      join(dir, 'nginx.conf'),
      `pid ${dir}/nginx/pid;
error_log /dev/stderr notice;
worker_processes 2;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  client_body_temp_path ${dir}/nginx/body; proxy_temp_path ${dir}/nginx/proxy;
  fastcgi_temp_path ${dir}/nginx/fcgi; uwsgi_temp_path ${dir}/nginx/uwsgi;
  scgi_temp_path ${dir}/nginx/scgi;
  server { listen 127.0.0.1:${nginxPort}; location / { return 200 "hello from nginx\\n"; } }
}
`,
    );
    writeFileSync(
      join(dir, 'wsgi.py'),
      `def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello from gunicorn\\n']
`,
    );
    fleet = await startFleet(
      { after: (clean) => void cleaners.push(clean) },
      {
        hosts: {
          web1: `
[program:nginx]
command=${findProgram('nginx')} -c ${dir}/nginx.conf -g 'daemon off;'
startsecs=1
autostart=true
autorestart=true
stdout_logfile=${dir}/nginx-access.log
stderr_logfile=${dir}/nginx-error.log
`,
          db1: `
[program:redis]
command=${findProgram('redis-server')} --port ${redisPort} --bind 127.0.0.1 --save "" --dir ${dir}
startsecs=1
autorestart=true
redirect_stderr=true
stdout_logfile=${dir}/redis.log
`,
          web2: `
[program:usercenter]
directory=${dir}
command=${findProgram('gunicorn')} -w 8 -b 127.0.0.1:${gunicornPort} wsgi:app
priority=1
autostart=true
startsecs=2
autorestart=true
startretries=3
redirect_stderr=true
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=20
stdout_logfile=${dir}/usercenter_stdout.log
stopasgroup=true
killasgroup=true
`,
        },
      },
    );
  });

  after(async () => {
    for (const clean of cleaners.reverse()) await clean();
    await rm(dir, { recursive: true, force: true });
  });

  async function allServe(): Promise<void> {
    await until('nginx to serve', async () =>
      (await fetchPage(nginxPort))?.includes('hello from nginx'),
    );
    await until('redis to answer', async () => (await ping(redisPort)) === '+PONG');
    await until('gunicorn to serve', async () =>
      (await fetchPage(gunicornPort))?.includes('hello from gunicorn'),
    );
  }

  it('serve, are restarted over the fleet, and serve again', async () => {
    await allServe();
    const restarted = await fleet.ctl('restart', '*:*:*');
    assert.equal(restarted.code, 0, restarted.stdout + restarted.stderr);
    await allServe();
    const status = await fleet.ctl('status', '--all-hosts');
    assert.equal(status.code, 0, status.stdout);
  });

  it('may open /dev/stdout: the access log arrives in the log file and by tail', async () => {
    await until('a logged request', async () => {
      await fetchPage(nginxPort);
      const { stdout } = await fleet.ctl('tail', 'web1:nginx:nginx');
      return stdout.includes('"GET / HTTP/1.1" 200');
    });
  });

  it('leaves no gunicorn worker behind after a stop', async () => {
    const workers = async (): Promise<number> =>
      (await livingProcesses(fleet)).filter(({ command }) => command.includes('wsgi:app')).length;
    assert.equal(await workers(), 9);
    assert.equal((await fleet.ctl('stop', 'web2:usercenter:usercenter')).code, 0);
    await until('the workers to be gone', async () => (await workers()) === 0);
  });
});
