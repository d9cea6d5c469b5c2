// Events for watchers: history then live, once each, bounded, also without the bus.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { Bus, BusMessage } from '../../../common/bus.js';
import { silentLogger } from '../../../common/log.js';
import type { FleetEvent } from '../../../common/rows.js';
import { eventSubject } from '../../../common/subjects.js';
import { eventToWire } from '../../../common/wire.js';
import { EventHub, type EventBatch, type EventQuery } from '../../../controller/events.js';
import { Feed } from '../../../controller/feed.js';
import { HEALTH_TIMES } from '../../../controller/fleet/health.js';
import { EventFrame } from '../../../proto/gen/fleetvisor/v1/event.js';
import { makeRow } from '../../support/rows.js';
import { settle, SimClock } from '../../support/sim-clock.js';

/** The parts of a bus that events need: one stored list. */
class FakeBus implements Pick<Bus, 'consume' | 'publishStored'> {
  readonly stored: BusMessage[] = [];
  away = false;

  publishStored(subject: string, data: Uint8Array) {
    if (this.away) return Promise.reject(new Error('the bus is away'));
    const streamSeq = this.stored.length + 1;
    this.stored.push({ subject, data, streamSeq, storedWallMs: 0 });
    return Promise.resolve({ streamSeq, duplicate: false });
  }

  async consume(
    _stream: string,
    { follow, signal }: { follow: boolean; signal: AbortSignal },
    onMessage: (message: BusMessage) => void | Promise<void>,
  ): Promise<void> {
    if (this.away) throw new Error('the bus is away');
    if (follow) return;
    for (const message of [...this.stored]) {
      if (signal.aborted) return;
      await onMessage(message);
    }
  }
}

let clock: SimClock;
let feed: Feed;
let bus: FakeBus;
let hub: EventHub;
const stop = new AbortController();
const EVERYTHING = { sinceWallMs: 0, untilWallMs: 0, follow: false, matches: () => true };

beforeEach(() => {
  clock = new SimClock();
  feed = new Feed(clock, HEALTH_TIMES);
  bus = new FakeBus();
  const signal = stop.signal;
  hub = new EventHub({
    ...{ feed, clock, log: silentLogger, fleet: 'f', replica: 'c1', signal },
    bus: bus as unknown as Bus,
  });
});

function event(seq: number, part: Partial<FleetEvent> = {}): FleetEvent {
  return {
    host: 'web1',
    hostUid: 'uid',
    epoch: 1,
    seq,
    prev: seq - 1,
    class: 'P1',
    wallMs: clock.wallMs(),
    monoMs: 0,
    type: 'process.state',
    group: 'app',
    process: 'app',
    cause: '',
    body: {
      kind: 'process-changed',
      from: 'STOPPED',
      to: 'RUNNING',
      row: makeRow(),
      expected: false,
    },
    ...part,
  };
}

function store(...events: FleetEvent[]): void {
  const data = EventFrame.encode({ events: events.map(eventToWire) }).finish();
  bus.stored.push({ subject: eventSubject('f', 'web1'), data, streamSeq: 1, storedWallMs: 0 });
}

function watch(part: Partial<EventQuery>, end = new AbortController()) {
  const batches: EventBatch[] = [];
  const run = async (): Promise<void> => {
    for await (const batch of hub.watch({ ...EVERYTHING, ...part }, end.signal))
      batches.push(batch);
  };
  const seqs = (): number[] => batches.flatMap(({ events }) => events.map(({ seq }) => seq));
  return { batches, seqs, done: run(), end };
}

test('history comes first, then what is live, each event once', async () => {
  const since = clock.wallMs();
  store(event(1), event(2));
  store(event(2), event(3));
  const watching = watch({ follow: true, sinceWallMs: since });
  feed.event(event(3));
  feed.event(event(4));
  await settle();
  feed.event(event(5));
  feed.event(event(5));
  await settle();
  watching.end.abort();
  await watching.done;
  assert.deepEqual(watching.seqs(), [1, 2, 3, 4, 5]);
  const marked = watching.batches.findIndex(({ live }) => live);
  assert.ok(watching.batches.slice(0, marked).every(({ live }) => !live));
});

test('without history a follower sees only what happens from now on', async () => {
  feed.event(event(1));
  const watching = watch({ follow: true });
  await settle();
  feed.event(event(2));
  await settle();
  watching.end.abort();
  await watching.done;
  assert.deepEqual(watching.seqs(), [2]);
});

test('with the bus away the recent events are told, and that the history is not complete', async () => {
  bus.away = true;
  feed.event(event(1));
  feed.event(event(2));
  const watching = watch({});
  await watching.done;
  assert.deepEqual(watching.seqs(), [1, 2]);
  assert.match(watching.batches.map(({ notice }) => notice).join(''), /not complete.*away/);
});

test('times bound the answer', async () => {
  const base = clock.wallMs();
  for (let seq = 1; seq <= 5; seq++) store(event(seq, { wallMs: base + seq * 1_000 }));
  const watching = watch({ sinceWallMs: base + 2_000, untilWallMs: base + 4_000 });
  await watching.done;
  assert.deepEqual(watching.seqs(), [2, 3, 4]);
});

test('a reader that is too slow loses the oldest and is told how many', async () => {
  const reader = hub.watch({ ...EVERYTHING, follow: true }, new AbortController().signal);
  assert.equal((await reader.next()).value?.live, true);
  for (let seq = 1; seq <= 10_500; seq++) feed.event(event(seq));
  const { value } = await reader.next();
  assert.equal(value?.events.length, 10_000);
  assert.match(value.notice, /^500 events/);
  assert.equal(value.events.at(-1)?.seq, 10_500);
  await reader.return();
});

test('changes of a host are stored, and what waited goes when the bus is back', async () => {
  const facts = { host: 'web1', hostUid: 'uid', epoch: 1, agentVersion: '1', labels: new Map() };
  bus.away = true;
  feed.register(facts, '', false, 2_000);
  feed.snapshot('web1', { epoch: 1, seq: 0, rows: [] }, 0);
  await settle();
  assert.equal(bus.stored.length, 0);
  bus.away = false;
  hub.busIsBack();
  await settle();
  const types = bus.stored.flatMap(({ data }) =>
    EventFrame.decode(data).events.map(({ type }) => type),
  );
  assert.deepEqual(types, ['host.up']);
});

test('a frame that cannot be read, or speaks for another host, tells nothing', async () => {
  const subject = eventSubject('f', 'web1');
  bus.stored.push({ subject, data: Buffer.from('\xff\xff'), streamSeq: 1, storedWallMs: 0 });
  store(event(1, { host: 'db1' }), event(2));
  const watching = watch({ sinceWallMs: 1 });
  await watching.done;
  assert.deepEqual(watching.seqs(), [2]);
});
