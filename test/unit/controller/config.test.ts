// controller.conf: what it means, and that nothing unknown or contradicting gets through.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadControllerConfig, type ControllerConfigResult } from '../../../controller/config.js';
import { temporaryFolder } from '../../support/folders.js';

async function load(
  context: TestContext,
  text: string,
): Promise<ControllerConfigResult & { folder: string }> {
  const folder = await temporaryFolder(context);
  const file = join(folder, 'controller.conf');
  await writeFile(file, text);
  return { ...loadControllerConfig(file, { SECRET: 's3' }), folder };
}

async function problems(context: TestContext, text: string) {
  const result = await load(context, text);
  assert.equal(result.ok, false);
  return result.ok
    ? []
    : result.problems.map(({ line, key, text: why, advice }) => [line, key, why, advice]);
}

test('a small file has all defaults', async (context) => {
  const result = await load(context, '[controller]\nlisten=127.0.0.1:9500\n');
  assert.ok(result.ok);
  const { listen, httpListen, tls, nats, limits, peers } = result.config;
  assert.deepEqual(listen, { host: '127.0.0.1', port: 9500 });
  assert.deepEqual(httpListen, { host: '127.0.0.1', port: 9580 });
  assert.equal(tls, undefined);
  assert.deepEqual(nats, { kind: 'embedded', port: 9522, storeDir: undefined });
  assert.deepEqual(peers, []);
  assert.deepEqual(
    [limits.heartbeatMs, limits.suspectMs, limits.downMs, limits.hostsMax, limits.commandAgeMs],
    [2000, 6000, 15_000, 5000, 86_400_000],
  );
});

test('a full file is read, with paths relative to it', async (context) => {
  const result = await load(
    context,
    `[controller]
listen=0.0.0.0:9500
state_dir=state
[tls]
ca=ca.crt
cert=c.crt
key=/keys/c.key
[nats]
servers=tls://n1:4222, tls://n2:4222
[limits]
heartbeat=200ms
suspect=1
down=3s
message=1MB
[alert:HostDown]
for=1s
severity=warning
[receiver:ops]
type=webhook
url=https://ops.example/hook
secret=%(ENV_SECRET)s
[receiver:file]
type=log
[route:10]
receiver=file
[route:9]
match=severity=critical, host!="db 1"
receiver=ops
[user:joe]
grant=operator on @env=staging:*:*
  viewer on *:*:*
`,
  );
  assert.ok(result.ok, JSON.stringify(result));
  const { config, folder } = { config: result.config, folder: result.folder };
  assert.deepEqual(config.tls, {
    ca: `${folder}/ca.crt`,
    cert: `${folder}/c.crt`,
    key: '/keys/c.key',
  });
  assert.equal(config.stateDir, `${folder}/state`);
  assert.deepEqual(config.nats, { kind: 'external', servers: ['tls://n1:4222', 'tls://n2:4222'] });
  const { heartbeatMs, suspectMs, downMs, messageBytesMax } = config.limits;
  assert.deepEqual([heartbeatMs, suspectMs, downMs, messageBytesMax], [200, 1000, 3000, 1024 ** 2]);
  assert.deepEqual(config.alerts.get('HostDown'), {
    enabled: true,
    forMs: 1000,
    keepMs: undefined,
    severity: 'warning',
  });
  assert.deepEqual(config.receivers, [
    { name: 'ops', type: 'webhook', url: 'https://ops.example/hook', secret: 's3' },
    { name: 'file', type: 'log' },
  ]);
  assert.deepEqual(
    config.routes.map(({ name, receiver }) => [name, receiver]),
    [
      ['9', 'ops'],
      ['10', 'file'],
    ],
  );
  assert.deepEqual(config.routes[0]?.match, [
    { label: 'severity', op: '=', value: 'critical' },
    { label: 'host', op: '!=', value: 'db 1' },
  ]);
  assert.deepEqual(config.users.get('joe')?.grants, [
    { role: 'operator', selector: '@env=staging:*:*' },
    { role: 'viewer', selector: '*:*:*' },
  ]);
});

test('unknown names are refused with the nearest known one', async (context) => {
  assert.deepEqual(
    await problems(context, '[controler]\n[controller]\nlisten=127.0.0.1:1\nstat_dir=x\n'),
    [
      [1, undefined, 'unknown section [controler]', 'did you mean [controller]?'],
      [4, 'stat_dir', 'unknown key', 'did you mean state_dir?'],
    ],
  );
});

test('plaintext beyond this machine is refused', async (context) => {
  assert.deepEqual(await problems(context, '[controller]\nlisten=0.0.0.0:9500\n'), [
    [
      1,
      undefined,
      'section [tls] is missing, and plaintext is for loopback addresses only',
      'make certificates with: ctl certs init',
    ],
  ]);
});

test('a receiver of a type that is not built says so', async (context) => {
  const text = '[controller]\nlisten=127.0.0.1:1\n[receiver:x]\ntype=slack\n';
  assert.deepEqual(await problems(context, text), [
    [4, 'type', 'receivers of type slack are not supported by this version', 'use webhook or log'],
  ]);
});

test('replicas need servers of their own, and no sense is made of contradicting times', async (context) => {
  const text =
    '[controller]\nlisten=127.0.0.1:1\npeers=b:9500\n[limits]\nheartbeat=5s\nsuspect=4s\nhosts=0\n';
  assert.deepEqual(
    (await problems(context, text)).map(([line, key]) => [line, key]),
    [
      [1, undefined],
      [7, 'hosts'],
      [6, 'suspect'],
    ],
  );
});
