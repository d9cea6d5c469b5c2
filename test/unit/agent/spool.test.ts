// The spool on a real folder: what survives restarts, damage, a full spool and a disk that refuses.
// The rule behind all of it: seqs delivered and seqs named as lost are 1..last in every epoch (spec fleet A3).
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { StoredItem } from '../../../agent/outbox.js';
import { SPOOL_LIMITS, type SpoolLimits } from '../../../agent/spool-limits.js';
import { Spool } from '../../../agent/spool.js';
import { SimClock } from '../../support/sim-clock.js';

const root = mkdtempSync(join(tmpdir(), 'fv-spool-'));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const folder = (): string => join(root, String(++folders));

const SMALL: SpoolLimits = {
  ...SPOOL_LIMITS,
  bytesMax: 8_000,
  segmentBytesMax: 1_000,
  memoryEventsMax: 20,
  frameEventsMax: 8,
};
const bytesOf = (epoch: number, seq: number): Buffer => Buffer.from(`${epoch}/${seq}`.padEnd(60));

function fill(spool: Spool, epoch: number, first: number, last: number): void {
  for (let seq = first; seq <= last; seq++) spool.append(epoch, seq, bytesOf(epoch, seq));
}

const nameOf = (item: StoredItem): string =>
  item.kind === 'event'
    ? `${item.epoch}/${item.seq}`
    : `lost ${item.epoch}/${item.first}-${item.last} ${item.reason}`;
const frameOf = (spool: Spool): string[] => (spool.nextFrame() ?? []).map(nameOf);

/** Takes everything there is, as the bus would. */
function takeAll(spool: Spool): string[] {
  const names: string[] = [];
  for (let items = spool.nextFrame(); items !== undefined; items = spool.nextFrame()) {
    for (const item of items) {
      if (item.kind === 'event') {
        assert.deepEqual(Buffer.from(item.bytes), bytesOf(item.epoch, item.seq));
      }
      names.push(nameOf(item));
    }
    spool.acknowledge(1);
  }
  assert.equal(spool.status().depth, 0);
  return names;
}

/** Every seq of 1..last once, delivered or named as lost. */
function assertComplete(names: readonly string[], epoch: number, last: number): void {
  const seen = names.flatMap((name) => {
    const [, lostEpoch, first, end] = /^lost (\d+)\/(\d+)-(\d+)/.exec(name) ?? [];
    if (lostEpoch === undefined)
      return name.startsWith(`${epoch}/`) ? [Number(name.split('/')[1])] : [];
    if (Number(lostEpoch) !== epoch) return [];
    return Array.from({ length: Number(end) - Number(first) + 1 }, (_, i) => Number(first) + i);
  });
  assert.deepEqual(
    seen,
    Array.from({ length: last }, (_, index) => index + 1),
  );
}

const range = (epoch: number, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => `${epoch}/${first + i}`);

test('events come back in order, in frames of the limit, and are gone once acknowledged', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 20);
  assert.equal(spool.status().depth, 20);
  assert.deepEqual(frameOf(spool), range(5, 1, 8));
  assert.deepEqual(takeAll(spool), range(5, 1, 20));
});

test('what was not acknowledged is there after a restart, before the events of the new epoch', () => {
  const dir = folder();
  const before = new Spool(dir, new SimClock(), SMALL);
  fill(before, 5, 1, 10);
  before.nextFrame();
  before.acknowledge(1);
  const again = new Spool(dir, new SimClock(), SMALL);
  assert.equal(again.status().depth, 2);
  fill(again, 6, 1, 3);
  assert.deepEqual(takeAll(again), [...range(5, 9, 10), ...range(6, 1, 3)]);
});

test('a frame that was cut before a crash is cut alike after it', () => {
  const dir = folder();
  const before = new Spool(dir, new SimClock(), SMALL);
  fill(before, 5, 1, 3);
  assert.deepEqual(frameOf(before), range(5, 1, 3));
  fill(before, 5, 4, 6);
  const again = new Spool(dir, new SimClock(), SMALL);
  assert.deepEqual(frameOf(again), range(5, 1, 3));
});

test('epochs do not share a frame', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 2);
  fill(spool, 6, 1, 2);
  assert.deepEqual(frameOf(spool), range(5, 1, 2));
});

test('a torn tail is cut, and writing goes on behind it', () => {
  const dir = folder();
  fill(new Spool(dir, new SimClock(), SMALL), 5, 1, 3);
  const [name = ''] = readdirSync(dir);
  const path = join(dir, name);
  writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from([40, 0, 0, 0, 1, 2])]));
  const again = new Spool(dir, new SimClock(), SMALL);
  fill(again, 6, 1, 1);
  assert.deepEqual(takeAll(again), [...range(5, 1, 3), '6/1']);
  assert.deepEqual(takeAll(new Spool(dir, new SimClock(), SMALL)), []);
});

test('a damaged record in the middle becomes a named loss', () => {
  const dir = folder();
  fill(new Spool(dir, new SimClock(), SMALL), 5, 1, 5);
  const [name = ''] = readdirSync(dir);
  const path = join(dir, name);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('5/3')] = 0x00;
  writeFileSync(path, bytes);
  const names = takeAll(new Spool(dir, new SimClock(), SMALL));
  assert.deepEqual(names, ['5/1', '5/2', 'lost 5/3-3 damaged', '5/4', '5/5']);
});

test('a full spool gives up the oldest and names them', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 300);
  assert.ok(spool.status().bytes <= SMALL.bytesMax + SMALL.segmentBytesMax);
  const names = takeAll(spool);
  assert.match(names[0] ?? '', /^lost 5\/1-\d+ spool full$/);
  assert.equal(names.filter((name) => name.startsWith('lost')).length, 1);
  assertComplete(names, 5, 300);
});

test('a loss is still named after a restart, also when a whole epoch is gone', () => {
  const dir = folder();
  fill(new Spool(dir, new SimClock(), SMALL), 5, 1, 20);
  fill(new Spool(dir, new SimClock(), SMALL), 6, 1, 300);
  const names = takeAll(new Spool(dir, new SimClock(), SMALL));
  assert.equal(names[0], 'lost 5/1-20 spool full');
  assertComplete(names, 5, 20);
  assertComplete(names, 6, 300);
});

test('a full spool while a frame is in flight loses nothing in silence', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 10);
  spool.nextFrame();
  fill(spool, 5, 11, 300);
  spool.acknowledge(1);
  const names = takeAll(spool);
  assert.equal(names.at(-1), '5/300');
  assertComplete(names, 5, 300);
});

test('acknowledged events free their space after ten minutes, not before', async () => {
  const clock = new SimClock();
  const dir = folder();
  const spool = new Spool(dir, clock, { ...SMALL, bytesMax: 1_000_000 });
  fill(spool, 5, 1, 50);
  takeAll(spool);
  const held = readdirSync(dir).length;
  await clock.advance(9 * 60_000);
  fill(spool, 5, 51, 70);
  assert.ok(readdirSync(dir).length > held);
  await clock.advance(2 * 60_000);
  fill(spool, 5, 71, 90);
  assert.ok(readdirSync(dir).length < held);
  assert.deepEqual(takeAll(spool), range(5, 51, 90));
});

test('rewinding offers everything held again in the same frames', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 3);
  assert.deepEqual(takeAll(spool), range(5, 1, 3));
  fill(spool, 5, 4, 9);
  assert.deepEqual(takeAll(spool), range(5, 4, 9));
  assert.equal(spool.rewind(), 9);
  assert.deepEqual(frameOf(spool), range(5, 1, 3));
  assert.deepEqual(takeAll(spool), range(5, 1, 9));
});

test('without a folder the newest events are kept in memory and the rest is named', () => {
  const spool = new Spool(undefined, new SimClock(), SMALL);
  fill(spool, 5, 1, 50);
  assert.equal(spool.status().mode, 'memory');
  const names = takeAll(spool);
  assert.equal(names[0], 'lost 5/1-30 memory full');
  assertComplete(names, 5, 50);
});

test('a disk that refuses is replaced by memory and used again once it takes writes', async () => {
  const clock = new SimClock();
  const parent = folder();
  writeFileSync(parent, 'a file where a folder should be');
  const spool = new Spool(join(parent, 'spool'), clock, SMALL);
  fill(spool, 5, 1, 5);
  assert.equal(spool.status().mode, 'memory');
  assert.match(spool.status().problem, /ENOTDIR|EEXIST/);
  rmSync(parent);
  fill(spool, 5, 6, 6);
  assert.equal(spool.status().mode, 'memory');
  await clock.advance(SMALL.diskRetryMs);
  fill(spool, 5, 7, 7);
  assert.equal(spool.status().mode, 'disk');
  assert.equal(spool.status().problem, '');
  assert.deepEqual(takeAll(new Spool(join(parent, 'spool'), clock, SMALL)), range(5, 1, 7));
});

test('an event too large for the spool is named as lost and the rest goes on', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  fill(spool, 5, 1, 1);
  spool.append(5, 2, Buffer.alloc(600_000));
  fill(spool, 5, 3, 3);
  assert.deepEqual(takeAll(spool), ['5/1', 'lost 5/2-2 event too large', '5/3']);
});

test('an event too large at the very end is named as lost too', () => {
  const spool = new Spool(folder(), new SimClock(), SMALL);
  spool.append(5, 1, Buffer.alloc(600_000));
  assert.deepEqual(takeAll(spool), ['lost 5/1-1 event too large']);
});

test('an event larger than a frame travels alone', () => {
  const spool = new Spool(folder(), new SimClock(), { ...SMALL, frameBytesMax: 100 });
  fill(spool, 5, 1, 3);
  assert.deepEqual(frameOf(spool), ['5/1']);
});

test('files are private', () => {
  const dir = folder();
  fill(new Spool(dir, new SimClock(), SMALL), 5, 1, 1);
  chmodSync(dir, 0o700);
  assert.deepEqual(readdirSync(dir), ['0000000001.spool']);
});

test('random lives: whatever restarts, acknowledgements and overflows do, every seq is accounted for', () => {
  // A small generator of its own: the same runs each time.
  let state = 42;
  const next = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
  for (let life = 0; life < 20; life++) {
    const dir = folder();
    const clock = new SimClock();
    const taken: string[] = [];
    const lasts = new Map<number, number>();
    for (let epoch = 1; epoch <= 4; epoch++) {
      const spool = new Spool(dir, clock, SMALL);
      let seq = 0;
      for (let step = 0; step < 60; step++) {
        const events = next(6);
        fill(spool, epoch, seq + 1, seq + events);
        seq += events;
        const items = next(3) === 0 ? spool.nextFrame() : undefined;
        if (items === undefined || next(2) === 0) continue;
        taken.push(...items.map(nameOf));
        spool.acknowledge(1);
      }
      lasts.set(epoch, seq);
    }
    taken.push(...takeAll(new Spool(dir, clock, SMALL)));
    for (const [epoch, last] of lasts) assertComplete(taken, epoch, last);
  }
});
