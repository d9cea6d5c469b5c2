// The view of one host's rows: changes in order, gaps, late events, snapshots, new lives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameKey } from '../../../../common/names.js';
import type { FleetEvent, ProcessRow } from '../../../../common/rows.js';
import { FleetView, HELD_MS, type ViewChange } from '../../../../controller/fleet/view.js';
import { makeRow } from '../../../support/rows.js';

const HOST = 'web1';

function changed(
  seq: number,
  row: Partial<ProcessRow> = {},
  prev = seq - 1,
  epoch = 1,
): FleetEvent {
  const full = makeRow({ seq, ...row });
  const body = { kind: 'process-changed', from: 'STOPPED', to: full.state, row: full } as const;
  return { ...head(seq, prev, epoch), body: { ...body, expected: false } };
}

function head(seq: number, prev: number, epoch: number): Omit<FleetEvent, 'body'> {
  return {
    host: HOST,
    hostUid: 'uid',
    epoch,
    seq,
    prev,
    class: 'P1',
    wallMs: 0,
    monoMs: 0,
    type: 'process.state',
    group: 'app',
    process: 'app',
    cause: '',
  };
}

/** A view with a snapshot at (epoch 1, seq 0). */
function viewAt(seq = 0, rows: readonly ProcessRow[] = [makeRow({ seq })]): FleetView {
  const view = new FleetView();
  view.applySnapshot(HOST, { epoch: 1, seq, rows }, 0);
  return view;
}

const stateOf = (view: FleetView): string | undefined => view.row(HOST, 'app', 'app')?.state;

test('the next event is applied and its change told with the row before', () => {
  const view = viewAt(4);
  const result = view.applyEvent(changed(5, { state: 'EXITED' }), 0);
  assert.equal(result.verdict, 'applied');
  assert.equal(result.changes.length, 1);
  const [change] = result.changes as [Extract<ViewChange, { kind: 'row' }>];
  assert.equal(change.previous?.state, 'RUNNING');
  assert.equal(change.row.state, 'EXITED');
  assert.deepEqual(view.cursor(HOST), { epoch: 1, seq: 5 });
});

test('what was applied is dropped as a duplicate, an earlier life as stale', () => {
  const view = viewAt(5);
  assert.equal(view.applyEvent(changed(5), 0).verdict, 'duplicate');
  assert.equal(view.applyEvent(changed(3), 0).verdict, 'duplicate');
  assert.equal(view.applyEvent(changed(9, {}, 8, 0), 0).verdict, 'stale');
});

test('an event that comes too early waits for the one before it', () => {
  const view = viewAt();
  assert.equal(view.applyEvent(changed(2, { state: 'BACKOFF' }), 0).verdict, 'held');
  assert.equal(stateOf(view), 'RUNNING');
  const { changes } = view.applyEvent(changed(1, { state: 'STARTING' }), 10);
  assert.equal(changes.length, 2);
  assert.equal(stateOf(view), 'BACKOFF');
});

test('an event that waited for too long asks for a snapshot, and goes on from it', () => {
  const view = viewAt();
  view.applyEvent(changed(3, { state: 'FATAL' }), 100);
  assert.deepEqual(view.resyncsWanted(100 + HELD_MS - 1), []);
  assert.deepEqual(view.resyncsWanted(100 + HELD_MS), [HOST]);
  view.applySnapshot(HOST, { epoch: 1, seq: 2, rows: [makeRow({ state: 'BACKOFF' })] }, 3_000);
  assert.equal(stateOf(view), 'FATAL');
  assert.deepEqual(view.resyncsWanted(60_000), []);
});

test('a higher epoch waits for its snapshot; the rows stay what they were', () => {
  const view = viewAt(9);
  assert.equal(view.applyEvent(changed(1, { state: 'FATAL' }, 0, 2), 0).verdict, 'resync');
  assert.equal(stateOf(view), 'RUNNING');
  view.applySnapshot(HOST, { epoch: 2, seq: 0, rows: [makeRow({ state: 'STARTING' })] }, 0);
  assert.equal(stateOf(view), 'FATAL');
});

test('a snapshot older than the view changes nothing', () => {
  const view = viewAt(5);
  const older = { epoch: 1, seq: 4, rows: [] };
  assert.equal(view.applySnapshot(HOST, older, 0).verdict, 'stale');
  assert.equal(view.processCount(HOST), 1);
});

test('a snapshot tells what is new, different and gone, and nothing else', () => {
  const same = makeRow({ process: 'same' });
  const view = viewAt(1, [
    same,
    makeRow({ process: 'old' }),
    makeRow({ process: 'other', pid: 1 }),
  ]);
  const rows = [{ ...same }, makeRow({ process: 'other', pid: 2 }), makeRow({ process: 'new' })];
  const { changes } = view.applySnapshot(HOST, { epoch: 1, seq: 2, rows }, 0);
  assert.deepEqual(changes.map(({ kind, row }) => `${kind} ${row.process}`).sort(), [
    'removed old',
    'row new',
    'row other',
  ]);
});

test('a gap in the spool is followed by a snapshot', () => {
  const view = viewAt();
  const body = { kind: 'spool-gap', firstSeq: 1, lastSeq: 3, reason: 'full' } as const;
  assert.equal(view.applyEvent({ ...head(4, 0, 1), body }, 0).verdict, 'resync');
});

test('groups come and go with their processes', () => {
  const view = viewAt(0, []);
  const rows = [makeRow({ group: 'g', process: 'a' }), makeRow({ group: 'g', process: 'b' })];
  view.applyEvent({ ...head(1, 0, 1), body: { kind: 'group-added', group: 'g', rows } }, 0);
  assert.equal(view.processCount(HOST), 2);
  const { changes } = view.applyEvent(
    { ...head(2, 1, 1), body: { kind: 'group-removed', group: 'g' } },
    0,
  );
  assert.equal(view.processCount(HOST), 0);
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['removed', 'removed'],
  );
});

test('another machine under the name begins anew, with whatever epoch it has', () => {
  const view = viewAt(5);
  view.rebind(HOST);
  assert.equal(view.cursor(HOST), undefined);
  view.applySnapshot(HOST, { epoch: 1, seq: 1, rows: [makeRow({ state: 'FATAL' })] }, 0);
  assert.equal(stateOf(view), 'FATAL');
});

/** A small generator of numbers that replays from its seed. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
}

test('after quiet the view is the truth, whatever was lost, repeated or overtaken', () => {
  const states = ['STOPPED', 'STARTING', 'RUNNING', 'EXITED', 'FATAL'] as const;
  for (let seed = 1; seed <= 300; seed++) {
    const roll = dice(seed);
    const truth = new Map<string, ProcessRow>();
    for (let i = 0; i < 4; i++) {
      const row = makeRow({ process: `p${i}`, seq: 0 });
      truth.set(nameKey(row), row);
    }
    const told = new Map<string, ProcessRow>();
    const view = new FleetView();
    const hear = (changes: readonly ViewChange[]): void => {
      for (const { kind, row } of changes) {
        if (kind === 'row') told.set(nameKey(row), row);
        else told.delete(nameKey(row));
      }
    };
    let epoch = 1;
    let seq = 0;
    let nowMs = 0;
    const snapshot = (): void => {
      const rows = [...truth.values()];
      hear(view.applySnapshot(HOST, { epoch, seq, rows }, nowMs).changes);
    };
    snapshot();
    const underWay: FleetEvent[] = [];
    for (let step = 0; step < 120; step++) {
      nowMs += roll(300);
      const what = roll(40);
      if (what === 0) {
        // A new life of the agent; what is under way of the old one may still arrive.
        epoch += 1;
        seq = 0;
        for (const [key, row] of truth) truth.set(key, { ...row, seq: 0 });
      } else if (what < 25) {
        seq += 1;
        const row = makeRow({ process: `p${roll(4)}`, state: states[roll(5)] as 'FATAL', seq });
        truth.set(nameKey(row), row);
        const body = { kind: 'process-changed', from: 'STOPPED', to: row.state, row } as const;
        const event = { ...head(seq, seq - 1, epoch), body: { ...body, expected: false } };
        const copies = roll(10) === 0 ? 0 : 1 + roll(2);
        for (let copy = 0; copy < copies; copy++) underWay.push(event);
      } else if (underWay.length > 0) {
        const at = roll(4) === 0 ? roll(underWay.length) : 0;
        const [event] = underWay.splice(at, 1) as [FleetEvent];
        hear(view.applyEvent(event, nowMs).changes);
      }
      if (view.resyncsWanted(nowMs).length > 0 && roll(3) === 0) snapshot();
    }
    for (const event of underWay) hear(view.applyEvent(event, nowMs).changes);
    // Quiet: a heartbeat names the last seq, so a lost last event is noticed as well.
    nowMs += HELD_MS;
    const cursor = view.cursor(HOST);
    if (view.resyncsWanted(nowMs).length > 0 || cursor?.epoch !== epoch || cursor.seq < seq) {
      snapshot();
    }
    const byName = (rows: Iterable<ProcessRow>): ProcessRow[] =>
      [...rows].sort((a, b) => (a.process < b.process ? -1 : 1));
    assert.deepEqual(byName(view.rows(HOST)), byName(truth.values()), `seed ${seed}`);
    assert.deepEqual(byName(told.values()), byName(truth.values()), `changes, seed ${seed}`);
  }
});
