// The life of one process, state by state: starting, failing, ending (spec process 3).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { factsOf, NEW_RECORD, type Process } from '../../../../agent/engine/facts.js';
import { EngineAssertion, step, type ProcessInput } from '../../../../agent/engine/process.js';
import type { ProcessStatus } from '../../../../agent/engine/types.js';
import { code, driveOne, killed, policy } from '../../../support/engine.js';

describe('starting', () => {
  test('autostart spawns at once and STARTING is told when the pid is known', () => {
    const app = driveOne();
    assert.deepEqual(app.spawns(), ['app:app']);
    assert.equal(app.state(), 'STARTING');
    assert.deepEqual(app.path(), []);
    app.spawned();
    assert.deepEqual(app.path(), ['STARTING']);
    assert.equal(app.facts().pid, 100);
    assert.deepEqual(app.logs(), ["info: spawned: 'app' with pid 100"]);
  });

  test('the first change comes from STOPPED, with the pid in its row', () => {
    const [, change] = driveOne().spawned().changes();
    assert.ok(change?.kind === 'process');
    assert.equal(change.from, 'STOPPED');
    assert.equal(change.pid, 100);
    assert.equal(change.facts.pid, 100);
    assert.equal(change.facts.attempts, 0);
    assert.equal(change.expected, true);
  });

  test('without autostart nothing happens', () => {
    const app = driveOne({ autostart: false });
    assert.deepEqual(app.spawns(), []);
    assert.equal(app.state(), 'STOPPED');
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('RUNNING needs strictly more than startsecs', () => {
    const app = driveOne().spawned();
    assert.equal(app.engine.deadlineMs(), 2001);
    app.nowMs = 2000;
    app.feed({ kind: 'deadline' });
    assert.equal(app.state(), 'STARTING');
    app.nowMs = 2000.5;
    app.feed({ kind: 'force-unknown', name: { group: 'no', process: 'no' }, reason: '' });
    assert.equal(app.state(), 'STARTING');
    app.nowMs = 2001;
    app.feed({ kind: 'deadline' });
    assert.equal(app.state(), 'RUNNING');
    assert.equal(
      app.logs().at(-1),
      'info: success: app entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)',
    );
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('startsecs counts from the start of the child, not from the news of it', () => {
    const app = driveOne();
    app.pass(700).spawned('app', 1000);
    assert.equal(app.engine.deadlineMs(), 2001);
  });

  test('startsecs=0 is RUNNING as soon as there is a pid', () => {
    const app = driveOne({ startMs: 0 }).spawned();
    assert.deepEqual(app.path(), ['STARTING', 'RUNNING']);
  });

  test('a pid that nobody asked for costs the process its state, not the agent', () => {
    const app = driveOne().spawned();
    const { spawn } = app.facts();
    app.feed({ kind: 'spawned', spawn, pid: 999, startedAtMs: app.nowMs });
    assert.equal(app.state(), 'UNKNOWN');
    assert.match(
      app.logs().at(-1) ?? '',
      /UNKNOWN state: internal error: app:app is STARTING, which does not admit a pid nobody/,
    );
    assert.equal(app.facts().pid, 100);
  });
});

describe('failing to start', () => {
  test('an exit before startsecs is BACKOFF, even with an expected code and even when read late', () => {
    const app = driveOne().spawned();
    app.nowMs += 5000;
    app.exited('app', code(0), 1900);
    assert.equal(app.state(), 'BACKOFF');
    assert.equal(app.facts().reason, 'Exited too quickly (process log may have details)');
    assert.equal(app.facts().attempts, 1);
    assert.equal(app.facts().lastStopAtMs, 1900);
    assert.equal(app.logs().at(-1), 'warn: exited: app (exit status 0; not expected)');
    assert.deepEqual(app.path(), ['STARTING', 'BACKOFF']);
  });

  test('the wait begins at the failure and grows by one second each time', () => {
    const app = driveOne().spawned();
    app.nowMs = 1600;
    app.exited('app', code(1), 1500);
    assert.equal(app.engine.deadlineMs(), 2500);
    app.pass(899);
    assert.equal(app.state(), 'BACKOFF');
    app.pass(1);
    assert.equal(app.nowMs, 2500);
    assert.equal(app.state(), 'STARTING');
    assert.equal(app.facts().attempts, 1);
    assert.equal(app.facts().lastStartAtMs, 2500);
    app.spawned().exited('app', code(1));
    assert.equal(app.facts().attempts, 2);
    assert.equal(app.engine.deadlineMs(), 4500);
  });

  test('the time of death is never later than now', () => {
    const app = driveOne().spawned();
    app.exited('app', code(1), app.nowMs + 800);
    assert.equal(app.engine.deadlineMs(), app.nowMs + 1000);
    assert.equal(app.facts().lastStopAtMs, app.nowMs);
  });

  test('FATAL follows startretries + 1 failed attempts, and then it is quiet', () => {
    const app = driveOne({ startRetries: 2 });
    for (let attempt = 0; attempt < 3; attempt++) app.spawned().exited('app', code(1)).pass(10_000);
    assert.deepEqual(app.path(), [
      ...['STARTING', 'BACKOFF', 'STARTING', 'BACKOFF', 'STARTING', 'BACKOFF', 'FATAL'],
    ]);
    assert.equal(app.spawns().length, 3);
    assert.equal(
      app.logs().at(-1),
      'info: gave up: app entered FATAL state, too many start retries too quickly',
    );
    assert.equal(app.facts().attempts, 3);
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('startretries=0 is one attempt', () => {
    const app = driveOne({ startRetries: 0 }).spawned().exited('app', code(1));
    assert.deepEqual(app.path(), ['STARTING', 'BACKOFF', 'FATAL']);
  });

  test('a failed spawn counts like an early exit, with its own text', () => {
    const app = driveOne().spawnFailed('app', "can't find command '/x'");
    assert.deepEqual(app.path(), ['STARTING', 'BACKOFF']);
    assert.equal(app.facts().reason, "can't find command '/x'");
    assert.deepEqual(app.logs(), ["info: spawnerr: can't find command '/x'"]);
    assert.equal(app.engine.deadlineMs(), app.nowMs + 1000);
    assert.equal(app.facts().exit, undefined);
  });

  test('lowered startretries hold at the next retry', () => {
    const app = driveOne().spawned().exited('app', code(1));
    const [before] = app.engine.groups();
    assert.ok(before);
    const processes = before.processes.map(({ name, policy }) => ({
      name,
      policy: { ...policy, startRetries: 0 },
    }));
    app.config([{ ...before, processes }]).pass(1000);
    assert.equal(app.state(), 'FATAL');
    assert.equal(app.spawns().length, 1);
  });

  test('reaching RUNNING forgets the failures', () => {
    const app = driveOne().spawned().exited('app', code(1)).pass(1000).up();
    assert.equal(app.facts().attempts, 0);
    assert.equal(app.facts().reason, '');
  });

  test('a start after FATAL begins to count anew and clears the reason', () => {
    const app = driveOne({ startRetries: 0 }).spawned().exited('app', code(1));
    app.request('start');
    assert.equal(app.facts().attempts, 0);
    assert.equal(app.facts().reason, '');
    assert.equal(app.facts().exit, undefined);
  });
});

describe('ending by itself', () => {
  test('an exit at exactly startsecs passes through RUNNING', () => {
    const app = driveOne({ autorestart: 'never' }).spawned();
    app.nowMs = 2000;
    app.exited('app', code(0), 2000);
    assert.deepEqual(app.path(), ['STARTING', 'RUNNING', 'EXITED']);
    assert.equal(app.facts().attempts, 0);
    assert.ok(!app.logs().some((line) => line.includes('success')));
  });

  test('an exit after failures that lived long enough forgets them', () => {
    const app = driveOne({ autorestart: 'never' }).spawned().exited('app', code(1)).pass(1000);
    app.spawned();
    app.nowMs += 1500;
    app.exited('app', code(0));
    assert.equal(app.facts().attempts, 0);
  });

  test('an expected exit is told so and not restarted', () => {
    const app = driveOne().up().exited('app', code(0));
    assert.equal(app.state(), 'EXITED');
    assert.equal(app.logs().at(-1), 'info: exited: app (exit status 0; expected)');
    const change = app.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.expected, true);
    assert.equal(change.pid, 100);
    assert.equal(change.facts.pid, 0);
    assert.deepEqual(change.facts.exit, { kind: 'code', code: 0 });
    assert.equal(change.facts.reason, '');
    assert.equal(app.engine.deadlineMs(), undefined);
  });

  test('an unexpected exit is restarted in the same breath', () => {
    const app = driveOne().up();
    app.exited('app', code(3));
    assert.deepEqual(
      app.effects.map((effect) => effect.kind),
      ['emit', 'log', 'spawn', 'acknowledge-exit'],
    );
    const change = app.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.expected, false);
    assert.equal(change.facts.reason, 'Bad exit code 3');
    assert.equal(app.logs().at(-1), 'warn: exited: app (exit status 3; not expected)');
  });

  test('an end by itself has no request behind it', () => {
    const app = driveOne({ autostart: false, autorestart: 'never' });
    app.request('start', 'app', { cause: 'why' });
    app.up();
    assert.equal(app.facts().cause, 'why');
    assert.equal(app.exited().facts().cause, '');
  });

  test('every death by signal is unexpected', () => {
    const app = driveOne({ exitCodes: [0, 9] })
      .up()
      .exited('app', killed);
    assert.equal(app.spawns().length, 2);
    assert.equal(app.logs().at(-1), 'warn: exited: app (terminated by SIGKILL; not expected)');
    const change = app.changes().at(-1);
    assert.ok(change?.kind === 'process');
    assert.equal(change.facts.reason, 'Bad exit code -1');
  });

  test('an exit nobody saw is unexpected and named as what it is', () => {
    const app = driveOne().up().exited('app', { kind: 'unobserved' });
    assert.equal(app.spawns().length, 2);
    assert.match(app.logs().at(-1) ?? '', /exit status not observed; not expected/);
  });

  test('autorestart=true restarts after expected exits too, autorestart=false never', () => {
    assert.equal(driveOne({ autorestart: 'always' }).up().exited().spawns().length, 2);
    assert.equal(driveOne({ autorestart: 'never' }).up().exited('app', code(1)).spawns().length, 1);
  });

  test('the exit is acknowledged once', () => {
    const app = driveOne().up();
    const spawn = app.spawn();
    app.exited('app', code(1));
    assert.deepEqual(app.of('acknowledge-exit'), [{ kind: 'acknowledge-exit', spawn }]);
    app.feed({ kind: 'exited', spawn, pid: 100, exit: code(1), atMs: app.nowMs });
    assert.equal(app.state(), 'STARTING');
    assert.equal(app.logs().at(-1), 'info: reaped unknown pid 100 (exit status 1)');
  });

  test('news of the end may outrun the news of the pid', () => {
    const app = driveOne();
    app.feed({ kind: 'exited', spawn: 1, pid: 77, exit: code(1), atMs: app.nowMs });
    assert.deepEqual(app.path(), ['STARTING', 'BACKOFF']);
    assert.equal(app.logs()[0], "info: spawned: 'app' with pid 77");
  });
});

describe('what cannot happen is refused', () => {
  const fresh: Process = {
    name: { group: 'app', process: 'app' },
    groupPriority: 1,
    policy: policy(),
    status: { state: 'STOPPED' },
    record: NEW_RECORD,
  };
  const child = { kind: 'running' as const, spawn: 1, pid: 100, startedAtMs: 0 };
  const spawning = { kind: 'spawning' as const, spawn: 1, from: 'STOPPED' as const };
  const context = { nowMs: 0, supervising: true, allocateSpawn: () => 2 };
  const exited = { kind: 'exited' as const, pid: 1, exit: code(0), atMs: 0 };
  const cases: [string, ProcessStatus, ProcessInput][] = [
    ['a second child', { state: 'RUNNING', child }, { kind: 'start', cause: '' }],
    [
      'a second child while one is on its way',
      { state: 'STARTING', child: { ...spawning, stopWanted: false } },
      { kind: 'start', cause: '' },
    ],
    [
      'a start of what is UNKNOWN',
      { state: 'UNKNOWN', child: undefined, leaveTo: 'EXITED' },
      { kind: 'start', cause: '' },
    ],
    ['a stop of what is down', { state: 'STOPPED' }, { kind: 'stop', cause: '' }],
    [
      'a stop of a child in doubt',
      { state: 'UNKNOWN', child, leaveTo: 'EXITED' },
      { kind: 'stop', cause: '' },
    ],
    [
      'a pid nobody asked for',
      { state: 'RUNNING', child },
      { kind: 'spawned', pid: 1, startedAtMs: 0 },
    ],
    ['a failure nobody asked for', { state: 'RUNNING', child }, { kind: 'spawn-failed', text: '' }],
    ['an exit of nobody', { state: 'STOPPED' }, exited],
    [
      'a failed signal to nobody',
      { state: 'FATAL' },
      { kind: 'signal-failed', plain: true, error: '' },
    ],
    ['a change that is not in the table', { state: 'RUNNING', child }, { kind: 'give-up' }],
  ];
  for (const [name, status, input] of cases) {
    test(name, () => {
      assert.throws(() => step({ ...fresh, status }, input, context), EngineAssertion);
    });
  }

  test('a process that never ran has nothing to tell', () => {
    assert.deepEqual(factsOf(fresh), {
      name: { group: 'app', process: 'app' },
      program: 'app',
      groupPriority: 1,
      priority: 999,
      autostart: true,
      startMs: 1000,
      stopWaitMs: 10_000,
      state: 'STOPPED',
      pid: 0,
      spawn: 0,
      childStartedAtMs: 0,
      lastStartAtMs: undefined,
      lastStopAtMs: undefined,
      exit: undefined,
      reason: '',
      attempts: 0,
      cause: '',
    });
  });
});
