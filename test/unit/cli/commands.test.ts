// The fleet's command line: hosts, alerts, rollouts, logs and events, against a controller that answers what it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProcessRow } from '../../../common/rows.js';
import { actionToWire, eventToWire } from '../../../common/wire.js';
import {
  Alert,
  RolloutUpdate,
  TailReply,
  type EventsRequest,
  type StartRolloutRequest,
  type TailRequest,
} from '../../../proto/gen/fleetvisor/v1/control.js';
import { header, jsonLines, row, useCtlBench } from '../../support/ctl-bench.js';

const bench = useCtlBench();

test('hosts are listed with state and age', async () => {
  bench.control.answers.hosts = () => ({
    hosts: [header('db1'), header('web1', 'lost')],
    replica: 'c1',
    warmingUp: false,
    busProblem: 'no connection',
  });
  const { code, stdout, stderr } = await bench.ctl('hosts');
  assert.match(stdout, /^db1 {3}up {7}for 36s +1 process +0.1.0$/m);
  assert.match(stdout, /^web1 {2}suspect {2}for 36s, heard/m);
  assert.equal(stderr, 'bus: no connection\n');
  assert.equal(code, 0);
  const [first, , summary] = jsonLines((await bench.ctl('--json hosts')).stdout);
  assert.deepEqual([first?.['kind'], first?.['host'], first?.['state']], ['host', 'db1', 'up']);
  assert.deepEqual(summary?.['results'], { up: 1, suspect: 1 });
  assert.match((await bench.ctl('version')).stdout, /agent 0.1.0 on 2 hosts/);
});

test('alerts say what, where and for how long', async () => {
  bench.control.answers.alerts = ({ includeResolved }) => ({
    alerts: [
      Alert.fromPartial({
        name: includeResolved ? 'HostDown' : 'ProcessFatal',
        severity: 'critical',
        state: 'firing',
        labels: [
          { key: 'host', value: 'web1' },
          { key: 'group', value: 'app' },
          { key: 'process', value: 'app_0' },
        ],
        summary: 'it \x1b[31mfailed',
        startedWallMs: Date.now() - 61_000,
      }),
    ],
  });
  const { stdout } = await bench.ctl('alerts');
  assert.equal(
    stdout,
    'critical  ProcessFatal  web1:app:app_0  firing for 1m  it \\x1b[31mfailed\n',
  );
  assert.match((await bench.ctl('alerts --all')).stdout, /HostDown/);
  assert.match((await bench.ctl('alerts -H db1,web*')).stdout, /ProcessFatal/);
  assert.equal((await bench.ctl('alerts -H db1')).stdout, '');
});

const update = (
  state: string,
  batch: number,
  targets: Record<string, string>,
  partial = true,
): RolloutUpdate =>
  RolloutUpdate.fromPartial({
    id: 'r1',
    action: actionToWire('restart'),
    state,
    batch,
    batches: 2,
    partial,
    targets: Object.entries(targets).map(([host, targetState]) => ({
      target: { host, group: 'app', process: 'app' },
      state: targetState,
    })),
  });

function rolling(updates: readonly RolloutUpdate[], requests: StartRolloutRequest[] = []): void {
  bench.control.answers.startRollout = (request) => {
    requests.push(request);
    return {
      rollout: {
        ...update('planned', 0, { web1: 'pending', web2: 'pending' }, false),
        id: request.id,
      },
      problems: [],
    };
  };
  bench.control.answers.watchRollout = async function* (_request, signal) {
    for (const one of updates) yield await Promise.resolve(one);
    if (updates.at(-1)?.state === 'running') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
  };
}

test('a rolling restart shows its progress and ends with the rollout', async () => {
  const requests: StartRolloutRequest[] = [];
  rolling(
    [
      update('running', 1, { web1: 'acting', web2: 'pending' }, false),
      update('running', 1, { web1: 'done' }),
      update('running', 2, { web2: 'acting' }),
      update('completed', 2, { web2: 'done' }),
    ],
    requests,
  );
  const { code, stdout } = await bench.ctl(
    'restart *:app:* --rolling --batch 25% --soak 500ms --unreachable skip --id r1',
  );
  assert.equal(code, 0);
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'rollout r1: 2 targets in 2 batches',
    'rollout r1: running',
    'batch 1/2',
    '  web1:app:app: acting',
    '  web1:app:app: done',
    'batch 2/2',
    '  web2:app:app: acting',
    '  web2:app:app: done',
    'rollout r1: completed',
    '2 targets: 2 done',
  ]);
  const [request] = requests;
  assert.deepEqual(
    [
      request?.batch,
      request?.batchPercent,
      request?.soakMs,
      request?.maxFailures,
      request?.unreachable,
    ],
    [0, 25, 500, 0, 'skip'],
  );
});

test('a scope that a command cannot honour is refused, never ignored', async () => {
  for (const [line, flag] of [
    ['alerts -l role=web', '-l'],
    ['hosts -x web1', '-x'],
    ['events --expect 3', '--expect'],
    ['rollout list -H web1', '-H'],
    ['hosts -H web1 -l role=web', '-H or -l'],
  ] as const) {
    const { code, stderr } = await bench.ctl(line);
    assert.equal(code, 2, line);
    assert.ok(stderr.includes(flag), stderr);
  }
  assert.deepEqual(bench.control.calls, []);
});

test('hosts are asked for by -H, comma by comma, and by -l', async () => {
  const asked: (readonly string[])[] = [];
  bench.control.answers.hosts = ({ hosts }) => {
    asked.push(hosts);
    return { hosts: [header('db1')], replica: 'c1', warmingUp: false, busProblem: '' };
  };
  await bench.ctl('hosts -H web1,db*');
  await bench.ctl('version -l role=web -l env=prod');
  assert.deepEqual(asked, [['web1', 'db*'], ['@role=web&env=prod']]);
});

test('how a batch ended stands above the next, and a failed rollout says what it left alone', async () => {
  const one = (host: string, state: string, batch: number, message = '') => ({
    target: { host, group: 'app', process: 'app' },
    ...{ state, batch, message },
  });
  const head = { id: 'r1', batches: 3, partial: true };
  rolling([
    RolloutUpdate.fromPartial({
      ...{ ...head, state: 'running', batch: 1 },
      targets: [one('w1', 'acting', 1), one('w2', 'pending', 2), one('w3', 'pending', 3)],
    }),
    RolloutUpdate.fromPartial({
      ...{ ...head, state: 'running', batch: 2 },
      targets: [one('w2', 'acting', 2), one('w1', 'done', 1)],
    }),
    RolloutUpdate.fromPartial({
      ...{ ...head, state: 'failed', batch: 2, reason: 'w2:app:app: it ended' },
      targets: [one('w2', 'failed', 2, 'failed: it ended')],
    }),
  ]);
  const { code, stdout } = await bench.ctl('rollout watch r1');
  assert.equal(code, 23);
  assert.deepEqual(stdout.trimEnd().split('\n').slice(1), [
    ...['batch 1/3', '  w1:app:app: acting', '  w1:app:app: done'],
    ...['batch 2/3', '  w2:app:app: acting', '  w2:app:app: failed (it ended)'],
    'rollout r1: failed (w2:app:app: it ended)',
    '3 targets: 1 done, 1 failed, 1 not begun',
  ]);
});

test('a rollout that pauses is 22, one that is aborted or failed 23', async () => {
  for (const [state, exit] of [
    ['paused', 22],
    ['aborted', 23],
    ['failed', 23],
  ] as const) {
    rolling([update(state, 1, { web1: 'failed' })]);
    const { code, stdout } = await bench.ctl('--json restart *:app:* --rolling');
    assert.equal(code, exit);
    assert.equal(jsonLines(stdout).at(-1)?.['exit'], exit);
  }
});

test('Ctrl-C detaches from a rollout and says how to watch and how to stop it', async () => {
  rolling([update('running', 1, { web1: 'acting' })]);
  const stop = new AbortController();
  const onOutput = (stdout: string): void => {
    if (stdout.includes('acting')) stop.abort();
  };
  const { code, stderr } = await bench.ctl('rollout watch r1', { signal: stop.signal, onOutput });
  assert.equal(code, 21);
  assert.match(
    stderr,
    /^detached; the rollout goes on\n.*ctl rollout watch r1\n.*ctl rollout abort r1\n$/,
  );
  assert.ok(!bench.control.calls.includes('abortRollout'));
});

test('rollouts are listed and aborted by id', async () => {
  bench.control.answers.listRollouts = () => ({
    rollouts: [update('paused', 1, { web1: 'failed' }, false)],
  });
  assert.match(
    (await bench.ctl('rollout list')).stdout,
    /^r1 {2}restart {2}paused {2}batch 1\/2 {2}1 target/,
  );
  let reason = '';
  bench.control.answers.abortRollout = (request) => {
    reason = request.reason;
    return { rollout: update('aborting', 1, {}) };
  };
  assert.equal((await bench.ctl('rollout abort r1 bad release')).stdout, 'rollout r1: aborting\n');
  assert.equal(reason, 'bad release');
});

function tailing(
  replies: readonly (readonly [string, Partial<TailReply>])[],
  requests: TailRequest[] = [],
) {
  return async function* (request: TailRequest): AsyncGenerator<TailReply> {
    requests.push(request);
    for (const [host, reply] of replies) {
      yield await Promise.resolve(
        TailReply.fromPartial({ target: { host, group: 'app', process: 'app' }, ...reply }),
      );
    }
  };
}
const bytes = (text: string): Partial<TailReply> => ({ data: Buffer.from(text) });

test('several logs come line by line with where they come from, and gaps are marked', async () => {
  bench.control.answers.tail = tailing([
    ['web1', bytes('one\ntw')],
    ['web2', bytes('eins\n')],
    ['web1', bytes('o\n')],
    ['web1', { gapBytes: 70, ...bytes('after\nrest') }],
    ['web1', { end: true }],
    ['web2', { end: true, message: 'no log file' }],
  ]);
  const { code, stdout, stderr } = await bench.ctl('tail web*:app:app');
  assert.deepEqual(stdout.split('\n'), [
    'web1:app:app | one',
    'web2:app:app | eins',
    'web1:app:app | two',
    'web1:app:app | --- gap: 70 bytes ---',
    'web1:app:app | after',
    'web1:app:app | rest',
    '',
  ]);
  assert.equal(stderr, 'web2:app:app: ERROR (no log file)\n');
  assert.equal(code, 20);
});

test('one log passes byte by byte into a pipe, and harmless to a terminal', async () => {
  bench.control.answers.tail = tailing([
    ['web1', { data: Buffer.from([0x61, 0x1b, 0x5b, 0xff, 0x0a, 0x62]) }],
  ]);
  assert.equal((await bench.ctl('tail web1:app:app')).stdout, 'a\x1b[\xff\nb');
  assert.equal(
    (await bench.ctl('tail web1:app:app', { terminal: true })).stdout,
    'a\\x1b[\ufffd\nb\n',
  );
  assert.equal(
    (await bench.ctl('tail web1:app:app --raw', { terminal: true })).stdout,
    'a\x1b[\xff\nb',
  );
  const [log, , summary] = jsonLines((await bench.ctl('--json tail web1:app:app')).stdout);
  assert.deepEqual([log?.['kind'], log?.['text']], ['log', 'a\x1b[\ufffd']);
  assert.equal(summary?.['exit'], 0);
});

test('tail asks for what it was told', async () => {
  const requests: TailRequest[] = [];
  bench.control.answers.tail = tailing([], requests);
  await bench.ctl('tail -f -n 5 web1:a:b stderr');
  await bench.ctl('tail -c 100 web1:a:b stdout');
  await bench.ctl('tail -1600 web1:a:b');
  await bench.ctl('tail web1:a:b');
  assert.deepEqual(
    requests.map(({ target, channel, follow, lines: n, bytes: b }) => [
      target?.selectors,
      channel,
      follow,
      n,
      b,
    ]),
    [
      [['web1:a:b'], 'CHANNEL_STDERR', true, 5, 0],
      [['web1:a:b'], 'CHANNEL_STDOUT', false, 0, 100],
      [['web1:a:b'], 'CHANNEL_STDOUT', false, 0, 1600],
      [['web1:a:b'], 'CHANNEL_STDOUT', false, 20, 0],
    ],
  );
});

const wireEvent = (seq: number, from: ProcessRow['state'], to: ProcessRow['state']) =>
  eventToWire({
    ...{
      host: 'web1',
      hostUid: 'u',
      epoch: 7,
      seq,
      prev: seq - 1,
      class: 'P1',
      wallMs: seq,
      monoMs: 0,
    },
    ...{ type: 'process.state', group: 'app', process: 'web', cause: '' },
    body: {
      kind: 'process-changed',
      from,
      to,
      row: row('web', { exit: { kind: 'code', code: 1 } }),
      expected: false,
    },
  });

test('events are printed once each, with what changed, and notices are complaints', async () => {
  const requests: EventsRequest[] = [];
  bench.control.answers.events = async function* (request) {
    requests.push(request);
    yield { events: [wireEvent(1, 'RUNNING', 'EXITED')], live: false, notice: '' };
    yield await Promise.resolve({
      events: [wireEvent(1, 'RUNNING', 'EXITED'), wireEvent(2, 'STARTING', 'RUNNING')],
      live: true,
      notice: '3 events were skipped',
    });
  };
  const { code, stdout, stderr } = await bench.ctl(
    'events --since 10m --type process. -H web1 app',
  );
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    '1970-01-01T00:00:00.001Z  web1:app:web  RUNNING -> EXITED  exit code 1, unexpected',
    '1970-01-01T00:00:00.002Z  web1:app:web  STARTING -> RUNNING  pid 42',
  ]);
  assert.deepEqual([code, stderr], [0, '3 events were skipped\n']);
  const [request] = requests;
  assert.deepEqual(
    [request?.hosts, request?.types, request?.selectors],
    [['web1'], ['process.'], ['app']],
  );
  assert.ok(Math.abs(Date.now() - 600_000 - (request?.sinceWallMs ?? 0)) < 60_000);
  const [event] = jsonLines((await bench.ctl('--json events')).stdout);
  assert.deepEqual(
    [event?.['kind'], event?.['id'], event?.['to'], event?.['exit']],
    ['event', 'web1/7/1', 'EXITED', { code: 1 }],
  );
});
