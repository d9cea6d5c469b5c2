// From a program that cannot start to a webhook: exactly one notice, and one more when it runs.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Fleet, startFleet } from '../support/fleet.js';
import { needs } from '../support/need.js';
import { until } from '../support/wait.js';

interface Notice {
  readonly id: string;
  readonly status: string;
  readonly alerts: readonly { status: string; labels: Record<string, string>; summary: string }[];
}

const skip = needs('nats-server', 'cc');

describe('alerts', { skip }, () => {
  let fleet: Fleet;
  let inbox: Server;
  const notices: Notice[] = [];
  const cleaners: (() => Promise<void>)[] = [];

  before(async () => {
    inbox = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        notices.push(JSON.parse(body) as Notice);
        response.end();
      });
    });
    await new Promise<void>((resolve) => inbox.listen(0, '127.0.0.1', resolve));
    const { port } = inbox.address() as AddressInfo;
    fleet = await startFleet(
      { after: (clean) => void cleaners.push(clean) },
      {
        // Runs only once the file is there, so that the test can mend it.
        hosts: {
          web1: `
[program:broken]
command=/bin/sh -c 'test -e %(here)s/mended && exec sleep 100000'
startsecs=1
startretries=1
`,
        },
        controllerConf: `
[receiver:inbox]
type=webhook
url=http://127.0.0.1:${port}/
`,
      },
    );
  });

  after(async () => {
    inbox.close();
    for (const clean of cleaners.reverse()) await clean();
  });

  it('sends one notice for a FATAL program, shows it, and one when it runs again', async () => {
    await until('the notice', () => notices.length > 0, { patienceMs: 40_000 });
    assert.equal(notices[0]?.status, 'firing');
    assert.equal(notices[0]?.alerts[0]?.labels['alertname'], 'ProcessFatal');
    assert.equal(notices[0]?.alerts[0]?.labels['process'], 'broken');
    const shown = await fleet.ctl('alerts');
    assert.match(shown.stdout, /ProcessFatal/);
    assert.match((await fleet.ctl('status', 'web1:broken:broken')).stdout, /FATAL/);

    const mended = join(fleet.dir, 'web1', 'mended');
    writeFileSync(mended, '');
    assert.ok(existsSync(mended));
    const start = await fleet.ctl('start', 'web1:broken:broken');
    assert.equal(start.code, 0, start.stdout + start.stderr);
    await until('the resolved notice', () => notices.length > 1, { patienceMs: 90_000 });
    assert.equal(notices[1]?.status, 'resolved');
    assert.equal(notices.length, 2);
    assert.notEqual(notices[0]?.id, notices[1]?.id);
  });
});
