// The numbering of events and the frames made of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventFrame } from '../../../proto/gen/fleetvisor/v1/event.js';
import { compareRevisions, encodeFrame, type StoredItem } from '../../../agent/outbox.js';
import { eventFromWire } from '../../../common/wire.js';
import type { EventBody } from '../../../common/rows.js';
import { SimClock } from '../../support/sim-clock.js';
import { SimStore, simOutbox } from '../../support/sim-outbox.js';

const draft = (body: EventBody, type = 'x') => ({
  type,
  class: 'P1' as const,
  group: 'g',
  process: 'p',
  cause: '',
  body,
});
const agent: EventBody = { kind: 'agent-changed', state: 'running', detail: '' };
const payload: EventBody = { kind: 'payload', data: Buffer.from('hello') };

test('events are numbered from 1 without holes', () => {
  const outbox = simOutbox(new SimClock());
  const seqs = [agent, payload, agent].map((body) => outbox.record(draft(body)).seq);
  assert.deepEqual(seqs, [1, 2, 3]);
  assert.equal(outbox.lastSeq(), 3);
});

test('state events form a chain that passes over payloads', () => {
  const outbox = simOutbox(new SimClock());
  const prevs = [agent, payload, payload, agent, agent].map(
    (body) => outbox.record(draft(body)).prev,
  );
  assert.deepEqual(prevs, [0, 1, 1, 1, 4]);
  assert.equal(outbox.lastStateSeq(), 5);
});

test('listeners hear an event after it is stored', () => {
  const store = new SimStore();
  const outbox = simOutbox(new SimClock(), store);
  const heard: number[] = [];
  const stop = outbox.onEvent((event) => {
    assert.equal(store.stored.at(-1)?.seq, event.seq);
    heard.push(event.seq);
  });
  outbox.record(draft(agent));
  outbox.record(draft(agent));
  stop();
  outbox.record(draft(agent));
  assert.deepEqual(heard, [1, 2]);
});

test('a frame names its events and decodes as an EventFrame', () => {
  const outbox = simOutbox(new SimClock());
  for (const body of [agent, payload, agent]) outbox.record(draft(body));
  const frame = outbox.nextFrame();
  assert.ok(frame !== undefined);
  assert.equal(frame.id, 'web1/1000/1-3');
  const events = EventFrame.decode(frame.data).events.map(eventFromWire);
  assert.deepEqual(
    events.map(({ host, epoch, seq }) => ({ host, epoch, seq })),
    [1, 2, 3].map((seq) => ({ host: 'web1', epoch: 1_000, seq })),
  );
});

test('a frame stays the same, byte for byte, until it is acknowledged', () => {
  const outbox = simOutbox(new SimClock());
  outbox.record(draft(agent));
  const first = outbox.nextFrame();
  outbox.record(draft(agent));
  assert.equal(outbox.nextFrame(), first);
  assert.ok(first !== undefined);
  outbox.acknowledge(first, 1);
  assert.equal(outbox.nextFrame()?.id, 'web1/1000/2-2');
});

test('an acknowledgement of a frame that is not the open one changes nothing', () => {
  const outbox = simOutbox(new SimClock());
  outbox.record(draft(agent));
  const frame = outbox.nextFrame();
  assert.ok(frame !== undefined);
  outbox.acknowledge({ ...frame }, 1);
  assert.equal(outbox.nextFrame()?.id, frame.id);
});

test('a loss becomes a spool.gap event in the place of the last lost one', () => {
  const lost: StoredItem = {
    kind: 'lost',
    epoch: 7,
    first: 3,
    last: 9,
    reason: 'spool full',
    wallMs: 123,
  };
  const store = new SimStore();
  store.nextFrame = () => [lost];
  const frame = simOutbox(new SimClock(), store).nextFrame();
  assert.ok(frame !== undefined);
  assert.equal(frame.id, 'web1/7/3-9');
  const [event] = EventFrame.decode(frame.data).events.map(eventFromWire);
  assert.equal(event?.type, 'spool.gap');
  assert.deepEqual([event?.epoch, event?.seq, event?.wallMs], [7, 9, 123]);
  assert.deepEqual(event?.body, {
    kind: 'spool-gap',
    firstSeq: 3,
    lastSeq: 9,
    reason: 'spool full',
  });
});

test('an event longer than one length byte is framed as protobuf frames it', () => {
  const outbox = simOutbox(new SimClock());
  outbox.record(draft({ kind: 'payload', data: Buffer.alloc(20_000, 'x') }));
  const frame = outbox.nextFrame();
  assert.ok(frame !== undefined);
  const decoded = EventFrame.decode(frame.data);
  assert.deepEqual(Buffer.from(EventFrame.encode(decoded).finish()), Buffer.from(frame.data));
  assert.equal(encodeFrame([]).length, 0);
});

test('revisions order by epoch first', () => {
  assert.ok(compareRevisions({ epoch: 1, seq: 9 }, { epoch: 2, seq: 1 }) < 0);
  assert.ok(compareRevisions({ epoch: 2, seq: 2 }, { epoch: 2, seq: 1 }) > 0);
  assert.equal(compareRevisions({ epoch: 2, seq: 2 }, { epoch: 2, seq: 2 }), 0);
});
