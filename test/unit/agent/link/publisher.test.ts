// Frames on their way to a bus that is slow, away, forgetful or well.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventFrame } from '../../../../proto/gen/fleetvisor/v1/event.js';
import { Publisher } from '../../../../agent/link/publisher.js';
import { BusError, type BusStatus } from '../../../../common/bus.js';
import { systemRandom } from '../../../../common/random.js';
import { SimClock } from '../../../support/sim-clock.js';
import { simOutbox, SimStore, SIM_IDENTITY } from '../../../support/sim-outbox.js';

interface Published {
  readonly subject: string;
  readonly data: Buffer;
  readonly id: string;
}

/** A stream that stores what it acknowledges; deduplicates by id. */
class FakeBus {
  readonly attempts: Published[] = [];
  readonly stream: Published[] = [];
  failNext = 0;
  /** Acknowledgements wait for `release`. */
  isSlow = false;
  private held: (() => void)[] = [];
  private watchers: ((status: BusStatus) => void)[] = [];
  private connected = true;

  status(): BusStatus {
    return this.connected ? { kind: 'connected', server: 's' } : { kind: 'away', reason: 'down' };
  }

  onStatus(callback: (status: BusStatus) => void): void {
    this.watchers.push(callback);
  }

  setConnected(connected: boolean): void {
    this.connected = connected;
    for (const watcher of this.watchers) watcher(this.status());
  }

  async publishStored(subject: string, data: Uint8Array, id: string) {
    const message = { subject, data: Buffer.from(data), id };
    this.attempts.push(message);
    if (this.isSlow) await new Promise<void>((resolve) => this.held.push(resolve));
    if (this.failNext > 0) {
      this.failNext -= 1;
      throw new BusError('no answer', true);
    }
    const at = this.stream.findIndex((stored) => stored.id === id);
    if (at >= 0) return { streamSeq: at + 1, duplicate: true };
    this.stream.push(message);
    return { streamSeq: this.stream.length, duplicate: false };
  }

  release(): void {
    for (const resolve of this.held.splice(0)) resolve();
  }

  seqs(): number[] {
    return this.stream.flatMap(({ data }) => EventFrame.decode(data).events.map(({ seq }) => seq));
  }
}

function setUp(store = new SimStore()) {
  const clock = new SimClock();
  const outbox = simOutbox(clock, store);
  const bus = new FakeBus();
  const lines: string[] = [];
  const log = { log: (_level: string, text: string) => void lines.push(text), wants: () => true };
  const record = (count = 1): void => {
    for (let i = 0; i < count; i++) {
      const body = { kind: 'agent-changed', state: 'x', detail: '' } as const;
      outbox.record({ type: 'agent.x', class: 'P0', group: '', process: '', cause: '', body });
    }
  };
  const start = (): Publisher =>
    new Publisher({ outbox, bus, fleet: 'acme', clock, random: systemRandom, log });
  return { clock, outbox, bus, record, start, store, lines };
}

const range = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

test('events gather for 20 ms and leave as one frame under the host subject', async () => {
  const { clock, bus, record, start } = setUp();
  start();
  await clock.advance(1_000);
  record(3);
  await clock.advance(19);
  assert.equal(bus.stream.length, 0);
  await clock.advance(1);
  assert.deepEqual(
    bus.stream.map(({ subject, id }) => ({ subject, id })),
    [{ subject: 'fv.acme.event.web1.frame', id: 'web1/1000/1-3' }],
  );
});

test('one frame is in flight at a time, and what came meanwhile is the next frame', async () => {
  const { clock, bus, record, start } = setUp();
  start();
  bus.isSlow = true;
  record();
  await clock.advance(100);
  record(5);
  await clock.advance(1_000);
  assert.equal(bus.attempts.length, 1);
  bus.isSlow = false;
  bus.release();
  await clock.advance(100);
  assert.deepEqual(
    bus.stream.map(({ id }) => id),
    ['web1/1000/1-1', 'web1/1000/2-6'],
  );
});

test('a failed frame is retried byte for byte until it is acknowledged, then the rest follows', async () => {
  const { clock, bus, record, start, outbox } = setUp();
  start();
  bus.failNext = 3;
  record(2);
  await clock.advance(50);
  record(2);
  await clock.advance(60_000);
  const [first, ...others] = bus.attempts;
  assert.ok(first !== undefined);
  for (const retry of others.slice(0, 3)) assert.deepEqual(retry, first);
  assert.deepEqual(bus.seqs(), range(4));
  assert.equal(outbox.status().depth, 0);
});

test('a bus that is away gets no attempts and everything when it comes back', async () => {
  const { clock, bus, record, start } = setUp();
  bus.setConnected(false);
  start();
  record(300);
  await clock.advance(600_000);
  assert.equal(bus.attempts.length, 0);
  bus.setConnected(true);
  await clock.advance(100);
  assert.deepEqual(bus.seqs(), range(300));
});

test('a bus that answers nothing is tried less and less often', async () => {
  const { clock, bus, record, start, lines } = setUp();
  start();
  bus.failNext = Infinity;
  record();
  await clock.advance(3_600_000);
  // Full jitter up to 30 s: about one attempt every 15 s.
  assert.ok(bus.attempts.length < 1_000, `${bus.attempts.length} attempts`);
  assert.equal(lines.filter((line) => line.includes('cannot be published')).length, 1);
});

test('what waited in the spool leaves first, without a new event', async () => {
  const store = new SimStore();
  const clock = new SimClock();
  const before = simOutbox(clock, store, { ...SIM_IDENTITY, epoch: 999 });
  const body = { kind: 'agent-changed', state: 'x', detail: '' } as const;
  before.record({ type: 'agent.x', class: 'P0', group: '', process: '', cause: '', body });
  const world = setUp(store);
  world.start();
  await world.clock.advance(0);
  assert.deepEqual(
    world.bus.stream.map(({ id }) => id),
    ['web1/999/1-1'],
  );
});

test('a bus that forgot acknowledged frames gets them again under the same ids', async () => {
  const { clock, bus, record, start } = setUp();
  start();
  for (let i = 0; i < 3; i++) {
    record(2);
    await clock.advance(50);
  }
  const ids = bus.stream.map(({ id }) => id);
  bus.stream.length = 1;
  record();
  await clock.advance(1_000);
  for (const id of ids)
    assert.ok(
      bus.stream.some((message) => message.id === id),
      id,
    );
  const types = bus.stream.flatMap(({ data }) => EventFrame.decode(data).events.map((e) => e.type));
  assert.equal(types.filter((type) => type === 'bus.regressed').length, 1);
});

test('after close nothing is published and the frame in flight stays in the outbox', async () => {
  const { clock, bus, record, start, outbox } = setUp();
  const publisher = start();
  bus.isSlow = true;
  record();
  await clock.advance(50);
  publisher.close();
  bus.release();
  record();
  await clock.advance(60_000);
  assert.equal(bus.attempts.length, 1);
  assert.equal(outbox.status().depth, 2);
});
