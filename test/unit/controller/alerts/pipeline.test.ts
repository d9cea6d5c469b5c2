// What receivers hear, and how often, in virtual time.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Notice } from '../../../../controller/alerts/groups.js';
import { AlertPipeline } from '../../../../controller/alerts/pipeline.js';
import { makeHeader, makeRow } from '../../../support/rows.js';

const EVERYTHING = [{ receiver: 'ops', matches: () => true }];

/** Lets time pass from deadline to deadline up to `untilMs`, as the shell does. */
function run(pipeline: AlertPipeline, untilMs: number): Notice[] {
  const notices: Notice[] = [];
  for (;;) {
    const due = pipeline.deadlineMs();
    if (due === undefined || due > untilMs) return notices;
    notices.push(...pipeline.step(due));
    assert.notEqual(pipeline.deadlineMs(), due, 'a deadline that was served must move');
  }
}

function words(notices: readonly Notice[]): string[] {
  return notices.map(
    (notice) =>
      `${notice.status}: ${notice.alerts
        .map((a) => `${a.name} ${a.labels.get('host')}:${a.labels.get('process') ?? ''} ${a.state}`)
        .join(', ')}`,
  );
}

describe('alert pipeline', () => {
  it('tells once of a process that gave up, and once that it runs again', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    for (const state of ['STARTING', 'BACKOFF', 'STARTING', 'BACKOFF', 'FATAL'] as const) {
      pipeline.observeProcess('web1', makeRow({ state }), 0);
    }
    assert.deepEqual(words(run(pipeline, 60_000)), ['firing: ProcessFatal web1:app firing']);
    pipeline.observeProcess('web1', makeRow({ state: 'STARTING' }), 60_000);
    pipeline.observeProcess('web1', makeRow({ state: 'RUNNING' }), 61_000);
    assert.deepEqual(words(run(pipeline, 200_000)), ['resolved: ProcessFatal web1:app resolved']);
    assert.deepEqual(words(run(pipeline, 20 * 3_600_000)), []);
  });

  it('does not call a process recovered that fails again within its probation', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    run(pipeline, 20_000);
    pipeline.observeProcess('web1', makeRow({ state: 'RUNNING' }), 20_000);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 49_999);
    assert.deepEqual(words(run(pipeline, 3_600_000)), []);
  });

  it('repeats what still fires after the repeat interval', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    const notices = run(pipeline, 4 * 3_600_000 + 10_000);
    assert.equal(notices.length, 2);
    assert.notEqual(notices[0]?.identity, notices[1]?.identity);
  });

  it('sends many alerts of one kind as one notice, listing at most 50', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    for (let n = 0; n < 60; n++) {
      pipeline.observeProcess(`web${n}`, makeRow({ state: 'FATAL' }), n * 100);
    }
    const notices = run(pipeline, 20_000);
    assert.equal(notices.length, 1);
    assert.equal(notices[0]?.alerts.length, 50);
    assert.equal(notices[0]?.truncated, 10);
  });

  it('tells of a later alert one group interval after the first notice, not after the repeat', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    assert.equal(run(pipeline, 15_000).length, 1);
    pipeline.observeProcess('web2', makeRow({ state: 'FATAL' }), 15_000);
    assert.equal(run(pipeline, 69_999).length, 0);
    assert.equal(run(pipeline, 70_000).length, 1);
  });

  it('waits 15 s before it says that a host is down, and forgets a host that came back', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeHost(makeHeader({ state: 'down' }), 0);
    pipeline.observeHost(makeHeader({ state: 'up' }), 14_999);
    assert.deepEqual(words(run(pipeline, 3_600_000)), []);
    pipeline.observeHost(makeHeader({ state: 'down' }), 4_000_000);
    assert.deepEqual(words(run(pipeline, 4_060_000)), ['firing: HostDown web1: firing']);
  });

  it('keeps quiet about the processes of a host that is down, and speaks when it is back', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeHost(makeHeader({ state: 'down' }), 0);
    run(pipeline, 15_000);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 20_000);
    pipeline.observeProcess('web2', makeRow({ state: 'FATAL' }), 20_000);
    assert.deepEqual(words(run(pipeline, 60_000)), [
      'firing: HostDown web1: firing',
      'firing: ProcessFatal web2:app firing',
    ]);
    pipeline.observeHost(makeHeader({ state: 'up' }), 100_000);
    assert.deepEqual(words(run(pipeline, 300_000)), [
      'resolved: HostDown web1: resolved',
      'firing: ProcessFatal web1:app firing, ProcessFatal web2:app firing',
    ]);
  });

  it('is silent about the targets of an open rollout', () => {
    let open: string | undefined = 'r1';
    const pipeline = new AlertPipeline(EVERYTHING, () => open);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    assert.deepEqual(words(run(pipeline, 100_000)), []);
    assert.equal(pipeline.alerts()[0]?.inhibitedBy, 'rollout r1');
    open = undefined;
    pipeline.step(200_000);
    assert.deepEqual(words(run(pipeline, 300_000)), ['firing: ProcessFatal web1:app firing']);
  });

  it('does not repeat after a restart what an earlier controller told, and still resolves it', () => {
    const first = new AlertPipeline(EVERYTHING, () => undefined);
    first.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    run(first, 20_000);
    const second = new AlertPipeline(EVERYTHING, () => undefined);
    second.restore(first.told());
    second.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    assert.deepEqual(words(run(second, 3_600_000)), []);
    second.observeProcess('web1', makeRow({ state: 'RUNNING' }), 3_600_000);
    assert.deepEqual(words(run(second, 3_800_000)), ['resolved: ProcessFatal web1:app resolved']);
  });

  it('resolves what is no longer configured', () => {
    const pipeline = new AlertPipeline(EVERYTHING, () => undefined);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    run(pipeline, 20_000);
    pipeline.forget('web1', { group: 'app', process: 'app' }, 100_000);
    assert.deepEqual(words(run(pipeline, 200_000)), ['resolved: ProcessFatal web1:app resolved']);
  });

  it('sends each alert to the first route that matches', () => {
    const pipeline = new AlertPipeline(
      [
        { receiver: 'db', matches: (labels) => labels.get('host') === 'db1' },
        { receiver: 'ops', matches: () => true },
      ],
      () => undefined,
    );
    pipeline.observeProcess('db1', makeRow({ state: 'FATAL' }), 0);
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    assert.deepEqual(
      run(pipeline, 20_000).map((n) => [n.receiver, n.alerts[0]?.labels.get('host')]),
      [
        ['db', 'db1'],
        ['ops', 'web1'],
      ],
    );
  });

  it('goes on to the next route where a route says so', () => {
    const pipeline = new AlertPipeline(
      [
        { receiver: 'log', matches: () => true, continues: true },
        { receiver: 'ops', matches: () => true },
        { receiver: 'never', matches: () => true },
      ],
      () => undefined,
    );
    pipeline.observeProcess('web1', makeRow({ state: 'FATAL' }), 0);
    assert.deepEqual(
      run(pipeline, 20_000).map((notice) => notice.receiver),
      ['log', 'ops'],
    );
  });
});
