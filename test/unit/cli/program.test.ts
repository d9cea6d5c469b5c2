// The fleet's command line: status, changes and mistakes, against a controller that answers what it is told.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { FleetError } from '../../../common/errors.js';
import type { Outcome, ProcessRow } from '../../../common/rows.js';
import { outcomeToWire, rowToWire } from '../../../common/wire.js';
import {
  ExecuteReply,
  StatusChunk,
  type ExecuteRequest,
  type StatusRequest,
} from '../../../proto/gen/fleetvisor/v1/control.js';
import { EMPTY_ENV, header, jsonLines, row, useCtlBench } from '../../support/ctl-bench.js';
import { runCtl } from '../../support/fake-control.js';

const bench = useCtlBench();

function statusOf(freshness: string, state: ProcessRow['state'] = 'RUNNING') {
  return async function* (): AsyncGenerator<StatusChunk> {
    const rows = [row('web', { state })].map(rowToWire);
    yield StatusChunk.fromPartial({ hosts: [{ header: header('web1'), rows }] });
    yield await Promise.resolve(
      StatusChunk.fromPartial({
        hosts: [{ header: header('web2', freshness), rows }],
        summary: { replica: 'c1', rows: 2 },
      }),
    );
  };
}

test('status prints one line per process and exits 0', async () => {
  bench.control.answers.status = statusOf('fresh');
  const { code, stdout, stderr } = await bench.ctl('status --all-hosts');
  assert.equal(
    stdout,
    'web1  app:web  RUNNING  pid 42, uptime 0:00:06\nweb2  app:web  RUNNING  pid 42, uptime 0:00:06\n',
  );
  assert.deepEqual([code, stderr], [0, '']);
});

test('status never shows an old state as a fresh one, and says so with 4', async () => {
  bench.control.answers.status = statusOf('stale', 'STOPPED');
  const { code, stdout, stderr } = await bench.ctl('status');
  assert.match(stdout, /web1 .* STOPPED {2}/);
  assert.match(stdout, /web2 .* STOPPED\? 42s ago/);
  assert.match(stderr, /web2: suspect for 36s; its states are as last heard/);
  assert.equal(code, 4);
});

test('status exits 3 for a stopped process of a fresh host', async () => {
  bench.control.answers.status = statusOf('fresh', 'STOPPED');
  assert.equal((await bench.ctl('status')).code, 3);
});

test('status as JSON: a line per process, the summary last with the exit code', async () => {
  bench.control.answers.status = statusOf('stale');
  for (const argv of ['--json status', 'status --json', '-o json status', 'status -o json']) {
    const [first, second, summary, ...rest] = jsonLines((await bench.ctl(argv)).stdout);
    assert.deepEqual(
      [first?.['kind'], first?.['host'], first?.['freshness']],
      ['process', 'web1', 'fresh'],
    );
    assert.deepEqual([second?.['freshness'], second?.['age_ms']], ['stale', 42_000]);
    assert.equal(summary?.['kind'], 'summary');
    assert.deepEqual(
      [summary?.['targets'], summary?.['results'], summary?.['exit']],
      [2, { RUNNING: 2 }, 4],
    );
    assert.deepEqual(rest, []);
  }
});

test('scope and limits are taken before and after the action', async () => {
  const seen: (StatusRequest['target'] | undefined)[] = [];
  bench.control.answers.status = async function* ({ target }) {
    seen.push(target);
    yield await Promise.resolve(StatusChunk.fromPartial({ summary: {} }));
  };
  await bench.ctl('-H web1 -l role=web -x a --expect 3 status x -H web2,db* -x b y');
  await bench.ctl('status --all-hosts');
  assert.deepEqual(seen[0], {
    selectors: ['x', 'y'],
    hosts: ['web1', 'web2,db*'],
    labels: ['role=web'],
    allHosts: false,
    exclude: ['a', 'b'],
    hasExpect: true,
    expect: 3,
    maxTargets: 0,
  });
  assert.equal(seen[1]?.allHosts, true);
});

test('a change without a host scope is refused before anyone is asked', async () => {
  for (const line of [
    'stop app',
    'restart all',
    'start app:*',
    'signal HUP app',
    'restart app --rolling',
  ]) {
    const { code, stderr } = await bench.ctl(line);
    assert.equal(code, 2, line);
    assert.match(stderr, /--all-hosts/);
  }
  assert.deepEqual(bench.control.calls, []);
});

test('default_hosts stand in for a missing scope, but not for a selector that names its host', async () => {
  const withDefaults = await bench.writeConf(
    'defaults.conf',
    bench.control.address,
    'default_hosts=db1\n',
  );
  const hosts: (readonly string[] | undefined)[] = [];
  bench.control.answers.execute = async function* ({ target }) {
    hosts.push(target?.hosts);
    yield await Promise.resolve(ExecuteReply.fromPartial({}));
  };
  for (const line of ['stop app', 'stop web1:app:app', '-H web2 stop app'])
    await bench.ctl(line, { conf: withDefaults });
  assert.deepEqual(hosts, [['db1'], [], ['web2']]);
});

/** Resolves to web1..webN and answers the outcomes in that order. */
function executing(outcomes: readonly Outcome[], requests: ExecuteRequest[] = []) {
  return async function* (request: ExecuteRequest): AsyncGenerator<ExecuteReply> {
    requests.push(request);
    const targets = outcomes.map((_, i) => ({ host: `web${i + 1}`, group: 'app', process: 'app' }));
    yield ExecuteReply.fromPartial({
      body: { $case: 'resolved', value: { targets, replica: 'c1' } },
    });
    for (const [i, outcome] of outcomes.entries()) {
      const failed = outcome === 'failed';
      yield await Promise.resolve(
        ExecuteReply.fromPartial({
          body: {
            $case: 'result',
            value: {
              target: targets[i]!,
              outcome: outcomeToWire(outcome),
              fault: failed ? 'SPAWN_ERROR' : '',
              message: outcome === 'ok' ? '' : 'why',
            },
          },
        }),
      );
    }
  };
}

test('each result is a line, the count comes last, and partly is 20', async () => {
  bench.control.answers.execute = executing(['ok', 'already', 'failed', 'unreachable']);
  const { code, stdout } = await bench.ctl('restart *:app:app');
  assert.deepEqual(stdout.split('\n'), [
    'web1:app:app: restarted',
    'web2:app:app: restarted already',
    'web3:app:app: ERROR (spawn error: why)',
    'web4:app:app: ERROR (unreachable: why)',
    '4 targets: 1 ok, 1 already, 1 failed, 1 unreachable',
    '',
  ]);
  assert.equal(code, 20);
});

test('results as JSON carry the command id', async () => {
  bench.control.answers.execute = executing(['ok', 'timeout']);
  const { code, stdout } = await bench.ctl('--json --id release-7 stop *:app:app');
  const [first, , summary] = jsonLines(stdout);
  assert.deepEqual(
    [first?.['kind'], first?.['result'], first?.['id']],
    ['result', 'ok', 'release-7'],
  );
  assert.deepEqual(
    [summary?.['results'], summary?.['exit'], code],
    [{ ok: 1, timeout: 1 }, 21, 21],
  );
});

test('conditions, signal and deadline reach the controller; the id is a fresh UUID', async () => {
  const requests: ExecuteRequest[] = [];
  bench.control.answers.execute = executing(['ok'], requests);
  await bench.ctl('--timeout 5s signal HUP web1:app:app --if-epoch 7 --if-rev 9');
  await bench.ctl('start web1:app:app');
  const [first, second] = requests;
  assert.deepEqual(
    [first?.action, first?.signal, first?.deadlineMs, first?.target?.selectors],
    ['ACTION_SIGNAL', 'HUP', 5000, ['web1:app:app']],
  );
  assert.deepEqual(first?.preconditions, { ifEpoch: 7, ifSeq: 9, ifSpawn: 0 });
  assert.match(first?.id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  assert.notEqual(first?.id, second?.id);
  assert.equal(second?.preconditions, undefined);
});

test('a selector that matches nothing is named, and is 2', async () => {
  bench.control.answers.execute = async function* () {
    const problems = [{ selector: 'web9:a:b', message: 'no such host' }];
    yield await Promise.resolve(
      ExecuteReply.fromPartial({ body: { $case: 'resolved', value: { problems } } }),
    );
  };
  const { code, stderr } = await bench.ctl('stop web9:a:b');
  assert.deepEqual([code, stderr], [2, 'web9:a:b: ERROR (no such host)\n']);
});

test('an error of the controller ends the command with its exit code and hint', async () => {
  bench.control.answers.execute = async function* () {
    yield* [];
    await Promise.reject(new FleetError('DENIED', 'user ann may not', { hint: 'ask an admin' }));
  };
  const { code, stderr } = await bench.ctl('stop web1:a:b');
  assert.deepEqual([code, stderr], [4, 'user ann may not\nask an admin\n']);
});

test('with one controller away the next is asked', async () => {
  const both = await bench.writeConf('both.conf', `127.0.0.1:1,${bench.other.address}`);
  bench.other.answers.status = statusOf('fresh');
  assert.equal((await bench.ctl('status', { conf: both })).code, 0);
});

test('a controller lost in the middle: the next gets the same id, and no result is printed twice', async () => {
  const both = await bench.writeConf(
    'both.conf',
    `${bench.control.address},${bench.other.address}`,
  );
  const requests: ExecuteRequest[] = [];
  bench.control.answers.execute = async function* (request) {
    const replies = executing(['ok', 'ok'], requests)(request);
    yield (await replies.next()).value as ExecuteReply;
    yield (await replies.next()).value as ExecuteReply;
    throw new FleetError('CONTROLLER_UNREACHABLE', 'gone');
  };
  bench.other.answers.execute = executing(['ok', 'ok'], requests);
  const { code, stdout } = await bench.ctl('stop *:app:app', { conf: both });
  assert.equal(code, 0);
  assert.equal(stdout, 'web1:app:app: stopped\nweb2:app:app: stopped\n2 targets: 2 ok\n');
  assert.equal(requests.length, 2);
  assert.equal(requests[0]?.id, requests[1]?.id);
});

test('the only controller lost in the middle leaves the outcome unknown: 21 and how to ask again', async () => {
  bench.control.answers.execute = async function* (request) {
    const replies = executing(['ok', 'ok'])(request);
    yield (await replies.next()).value as ExecuteReply;
    yield (await replies.next()).value as ExecuteReply;
    throw new FleetError('CONTROLLER_UNREACHABLE', 'gone');
  };
  const { code, stderr } = await bench.ctl('--id x7 stop *:app:app');
  assert.equal(code, 21);
  assert.match(stderr, /1 result outstanding; .* --id x7/);
});

test('no controller at all is 25, names every address and what to try', async () => {
  const none = await bench.writeConf('none.conf', '127.0.0.1:1,127.0.0.1:2');
  const { code, stderr } = await bench.ctl('status', { conf: none });
  assert.equal(code, 25);
  assert.match(stderr, /127.0.0.1:1: connection refused\n.*127.0.0.1:2: connection refused/);
  assert.match(stderr, /ctl -c supervisord.conf status/);
});

test('a port that speaks no TLS is told in words', async () => {
  const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await bench.ctl(`--controller 127.0.0.1:${port} hosts`);
    assert.equal(code, 25);
    assert.match(stderr, /no controller answers at 127\.0\.0\.1:\d+: it does not speak TLS/);
  } finally {
    server.close();
  }
});

test('--controller and the environment name controllers too; -C wins over the environment', async () => {
  bench.control.answers.hosts = () => ({
    hosts: [],
    replica: 'c1',
    warmingUp: false,
    busProblem: '',
  });
  const { ca, cert, key } = await bench.fleet.files('user', 'ann');
  const certificates = ['--ca', ca, '--cert', cert, '--key', key];
  const direct = await runCtl(['--controller', bench.control.address, ...certificates, 'hosts'], {
    env: EMPTY_ENV,
  });
  assert.equal(direct.code, 0, direct.stderr);
  const fromEnv = { ...EMPTY_ENV, FLEETVISOR_CONTROLLER: bench.control.address };
  assert.equal((await runCtl([...certificates, 'hosts'], { env: fromEnv })).code, 0);
  const wrong = { ...EMPTY_ENV, FLEETVISOR_CONTROLLER: '127.0.0.1:1' };
  assert.equal((await bench.ctl('hosts', { env: wrong })).code, 0);
});

const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ['stat', /unknown command 'stat'[^]*Did you mean start/],
  ['restart', /missing required argument 'selector'/],
  ['restart web1:a:b --batch 3', /--batch is for rolling restarts\nadd --rolling/],
  ['restart web1:a:b --rolling --batch 0', /--batch: '0' is not a whole number/],
  ['restart web1:a:b --rolling --batch 150%', /more than all/],
  ['events --since yesterday', /--since: 'yesterday' is neither/],
  ['status --timeout soon', /--timeout: 'soon' is not a length of time/],
  ['--expect x status', /--expect: 'x' is not a whole number/],
  ['stop web1:a:b --id ../x', /--id '..\/x' is not usable/],
  ['tail', /missing required argument/],
  ['status --nope', /unknown option '--nope'/],
  ['rollout start stop web1:a:b', /a rollout cannot 'stop'/],
  ['certs issue admin x', /'admin' is not a kind of certificate/],
];
for (const [line, expected] of MISTAKES) {
  test(`a mistake is explained and is 2: ctl ${line}`, async () => {
    const { code, stderr } = await bench.ctl(line);
    assert.equal(code, 2);
    assert.match(stderr, expected);
    assert.deepEqual(bench.control.calls, []);
  });
}
