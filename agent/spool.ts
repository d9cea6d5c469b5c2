// The outbox's disk: events wait here for the bus, over restarts of the agent and outages of hours (spec fleet D16-D22).
// Invariants: the oldest go first; acknowledged ones stay for 10 minutes; when the bound is hit the oldest segment is
// given up and named as lost; a disk that refuses is replaced by a bounded memory until it takes writes again.
import type { Clock } from '../common/clock.js';
import {
  compareRevisions,
  type EventStore,
  type LostRun,
  type Revision,
  type StoredItem,
  type StoreStatus,
} from './outbox.js';
import { endOf, Losses } from './spool-losses.js';
import { SPOOL_LIMITS, type SpoolLimits } from './spool-limits.js';
import { RECORD_BYTES_MAX, type SpoolRecord } from './spool-record.js';
import { Segments, type Position } from './spool-segments.js';

/** Frame limits remembered for republishing; older ones are cut anew (consumers deduplicate by seq). */
const KNOWN_FRAMES_MAX = 4_096;

type EventItem = Extract<StoredItem, { kind: 'event' }>;

interface OpenFrame {
  readonly items: readonly StoredItem[];
  readonly last: Revision;
  /** Where the disk is read on after it. */
  readonly after: Position;
  /** How many of its events came from memory. */
  readonly fromMemory: number;
}

/** What a segment holds, to know what goes when it goes. */
interface SegmentFacts {
  /** First and last seq of each epoch in it. */
  readonly runs: Map<number, { first: number; last: number }>;
  /** When its last event was acknowledged; undefined: not yet. */
  ackedAtMs: number | undefined;
}

const NOWHERE: Revision = { epoch: 0, seq: 0 };

/** A store on disk below `dir`, or in memory alone where `dir` is undefined. */
export class Spool implements EventStore {
  readonly #clock: Clock;
  readonly #limits: SpoolLimits;
  readonly #dir: string | undefined;
  readonly #facts = new Map<number, SegmentFacts>();
  readonly #frames = new Map<string, number>();
  #losses = new Losses();
  #memory: EventItem[] = [];
  #segments: Segments | undefined;
  #diskRetryAtMs = 0;
  #problem = '';
  #acked: Revision = NOWHERE;
  #position: Position = { segment: 0, offset: 0 };
  /** Events held and not acknowledged; losses count beside them. */
  #pending = 0;
  #open: OpenFrame | undefined;
  #unsynced = 0;
  #cancelSync: (() => void) | undefined;
  #closed = false;

  constructor(dir: string | undefined, clock: Clock, limits: SpoolLimits = SPOOL_LIMITS) {
    this.#dir = dir;
    this.#clock = clock;
    this.#limits = limits;
    this.#tryDisk();
  }

  /** Moves what waits in memory to the disk; false: the disk refuses. */
  #tryDisk(): boolean {
    if (this.#dir === undefined) return false;
    try {
      if (this.#segments === undefined) this.#openDisk(this.#dir);
      // A frame cut from memory is cut again from the disk, within the same limits.
      if ((this.#open?.fromMemory ?? 0) > 0) this.#open = undefined;
      while (this.#memory.length > 0) {
        this.#write(this.#memory[0] as EventItem);
        this.#memory.shift();
      }
      this.#problem = '';
      return true;
    } catch (error) {
      this.#refused(error as Error);
      return false;
    }
  }

  #refused(error: Error): void {
    this.#problem = `spool ${this.#dir}: ${error.message}`;
    this.#diskRetryAtMs = this.#clock.nowMs() + this.#limits.diskRetryMs;
  }

  #openDisk(dir: string): void {
    // Older events could only be sent behind newer ones now: they stay on disk for the next start.
    if (this.#acked !== NOWHERE) throw new Error('not opened again before the next start');
    const lostHere = this.#losses;
    this.#losses = new Losses();
    this.#facts.clear();
    const events: Revision[] = [];
    try {
      this.#segments = new Segments(dir, this.#limits.segmentBytesMax, (record, segment) => {
        if (record.kind === 'event') events.push({ epoch: record.epoch, seq: record.seq });
        if (record.kind === 'lost') this.#losses.add(record);
        this.#learn(record, segment);
      });
    } catch (error) {
      this.#losses = lostHere;
      this.#acked = NOWHERE;
      throw error;
    }
    this.#losses.forgetUpTo(this.#acked);
    this.#pending += events.filter((event) => this.#isPending(event)).length;
    for (const run of lostHere.runs) this.#losses.add(run);
    this.#position = this.#segments.start();
    for (const facts of this.#facts.values()) this.#noteAcked(facts);
  }

  #learn(record: SpoolRecord, segment: number): void {
    const known = this.#facts.get(segment);
    const facts: SegmentFacts = known ?? { runs: new Map(), ackedAtMs: undefined };
    this.#facts.set(segment, facts);
    switch (record.kind) {
      case 'event': {
        const run = facts.runs.get(record.epoch);
        if (run === undefined) {
          facts.runs.set(record.epoch, { first: record.seq, last: record.seq });
        } else run.last = record.seq;
        facts.ackedAtMs = undefined;
        break;
      }
      case 'frame':
        this.#rememberFrame(record.epoch, record.first, record.last);
        break;
      case 'ack':
        if (compareRevisions(record, this.#acked) > 0) {
          this.#acked = { epoch: record.epoch, seq: record.seq };
        }
        break;
      case 'lost':
        break;
    }
  }

  #isPending(event: Revision): boolean {
    return compareRevisions(event, this.#acked) > 0;
  }

  #rememberFrame(epoch: number, first: number, last: number): void {
    this.#frames.set(`${epoch}/${first}`, last);
    if (this.#frames.size <= KNOWN_FRAMES_MAX) return;
    const [oldest] = this.#frames.keys();
    if (oldest !== undefined) this.#frames.delete(oldest);
  }

  /** Writes a record and what a new segment must begin with; throws what the disk said. */
  #write(record: SpoolRecord): void {
    const segments = this.#segments as Segments;
    const { segment, fresh } = segments.append(record);
    this.#learn(record, segment);
    if (fresh) {
      // So that the acknowledgement outlives the segment it was written to.
      segments.append({ kind: 'ack', ...this.#acked, streamSeq: 0 });
      this.#reclaim(this.#limits.bytesMax);
    }
    this.#unsynced += 1;
    if (this.#unsynced >= this.#limits.syncRecords) this.#sync();
    else this.#cancelSync ??= this.#clock.after(this.#limits.syncMs, () => this.#sync());
  }

  #sync(): void {
    this.#cancelSync?.();
    this.#cancelSync = undefined;
    this.#unsynced = 0;
    this.#segments?.sync((error) => {
      if (error !== null) this.#problem = `spool ${this.#dir}: sync: ${error.message}`;
    });
  }

  /** Bookkeeping that only saves work or repeats nothing when it is missing: a refusal is not worth memory mode. */
  #note(record: SpoolRecord): void {
    if (this.#segments === undefined || this.#problem !== '') return;
    try {
      this.#write(record);
    } catch (error) {
      this.#refused(error as Error);
    }
  }

  append(epoch: number, seq: number, bytes: Uint8Array): void {
    this.#pending += 1;
    if (bytes.length > RECORD_BYTES_MAX / 2) {
      this.#addLost(epoch, seq, seq, 'event too large');
      return;
    }
    const item: EventItem = { kind: 'event', epoch, seq, bytes };
    const mayTry = this.#problem === '' || this.#clock.nowMs() >= this.#diskRetryAtMs;
    this.#memory.push(item);
    if (this.#dir !== undefined && mayTry && this.#tryDisk()) return;
    if (this.#memory.length <= this.#limits.memoryEventsMax) return;
    const dropped = this.#memory.shift() as EventItem;
    if ((this.#open?.fromMemory ?? 0) > 0) this.#open = undefined;
    this.#addLost(dropped.epoch, dropped.seq, dropped.seq, 'memory full');
  }

  /** Names events as lost, in memory and on disk. */
  #addLost(epoch: number, first: number, last: number, reason: string): void {
    this.#pending = Math.max(0, this.#pending - (last - first + 1));
    const run: LostRun = { epoch, first, last, reason, wallMs: Math.round(this.#clock.wallMs()) };
    this.#losses.add(run);
    this.#note({ kind: 'lost', ...run });
  }

  /** Frees space: what is acknowledged and old enough, then, beyond `bytesMax`, whatever is oldest. */
  #reclaim(bytesMax: number): void {
    const segments = this.#segments as Segments;
    let hasDropped = false;
    for (;;) {
      const oldest = segments.oldest;
      if (oldest === undefined || oldest === segments.newest) break;
      const facts = this.#facts.get(oldest);
      const isRetained =
        facts?.ackedAtMs === undefined ||
        this.#clock.nowMs() - facts.ackedAtMs < this.#limits.retainAckedMs;
      if (isRetained && segments.bytes <= bytesMax) break;
      segments.dropOldest();
      hasDropped = true;
      this.#facts.delete(oldest);
      if (this.#position.segment <= oldest) {
        this.#open = undefined;
        this.#position = segments.start();
      }
      for (const [epoch, run] of facts?.runs ?? []) {
        const first =
          this.#acked.epoch === epoch ? Math.max(run.first, this.#acked.seq + 1) : run.first;
        if (first > run.last || !this.#isPending({ epoch, seq: run.last })) continue;
        this.#addLost(epoch, first, run.last, 'spool full');
      }
    }
    // What names a loss may have stood in the segment that went.
    if (hasDropped) for (const run of this.#losses.runs) segments.append({ kind: 'lost', ...run });
  }

  #noteAcked(facts: SegmentFacts): void {
    const pending = [...facts.runs].some(([epoch, run]) =>
      this.#isPending({ epoch, seq: run.last }),
    );
    if (!pending) facts.ackedAtMs ??= this.#clock.nowMs();
  }

  nextFrame(): readonly StoredItem[] | undefined {
    this.#open ??= this.#cut();
    return this.#open?.items;
  }

  #cut(): OpenFrame | undefined {
    const items: StoredItem[] = [];
    const frame = { bytes: 0, last: this.#acked, limit: Infinity };
    /** Takes the losses that come before `event`, then the event; false: it belongs to the next frame. */
    const take = (event: EventItem): boolean => {
      if (compareRevisions(event, frame.last) <= 0) return true;
      const gap = this.#gapBefore(event, frame.last);
      if (gap !== undefined) {
        if (items.length > 0 && gap.epoch !== frame.last.epoch) return false;
        items.push({ kind: 'lost', ...gap });
        frame.last = { epoch: gap.epoch, seq: gap.last };
        return take(event);
      }
      const known =
        items.length === 0 ? this.#frames.get(`${event.epoch}/${event.seq}`) : undefined;
      if (known !== undefined) frame.limit = known;
      const isFull =
        items.length >= this.#limits.frameEventsMax ||
        frame.bytes + event.bytes.length > this.#limits.frameBytesMax ||
        event.epoch !== frame.last.epoch ||
        event.seq > frame.limit;
      if (items.length > 0 && isFull) return false;
      items.push(event);
      frame.bytes += event.bytes.length;
      frame.last = { epoch: event.epoch, seq: event.seq };
      return true;
    };
    const after = this.#readDisk(take);
    let fromMemory = 0;
    for (const event of this.#memory) {
      if (!take(event)) break;
      fromMemory += 1;
    }
    this.#takeTrailingLoss(items, frame);
    const [head] = items;
    if (head === undefined) return undefined;
    const first = head.kind === 'event' ? head.seq : head.first;
    if (!this.#frames.has(`${frame.last.epoch}/${first}`)) {
      this.#note({ kind: 'frame', epoch: frame.last.epoch, first, last: frame.last.seq });
      this.#rememberFrame(frame.last.epoch, first, frame.last.seq);
    }
    return { items, last: frame.last, after, fromMemory };
  }

  #readDisk(take: (event: EventItem) => boolean): Position {
    if (this.#segments === undefined) return this.#position;
    try {
      return this.#segments.read(this.#position, (record) =>
        record.kind === 'event' ? take(record) : true,
      );
    } catch (error) {
      this.#problem = `spool ${this.#dir}: read: ${(error as Error).message}`;
      return this.#position;
    }
  }

  /** Losses after the last event held, e.g. one event that was too large. */
  #takeTrailingLoss(items: StoredItem[], frame: { last: Revision }): void {
    const run = this.#losses.after(frame.last);
    if (run === undefined || items.length > 0) return;
    items.push({ kind: 'lost', ...run });
    frame.last = endOf(run);
  }

  /** What is missing between `last` and `event`: known losses first, else a hole in the seqs (damage). */
  #gapBefore(event: Revision, last: Revision): LostRun | undefined {
    const known = this.#losses.after(last);
    if (known !== undefined && compareRevisions(endOf(known), event) < 0) return known;
    const expected = event.epoch === last.epoch ? last.seq + 1 : 1;
    if (event.seq === expected) return undefined;
    const wallMs = Math.round(this.#clock.wallMs());
    const { epoch, seq } = event;
    const run: LostRun = { epoch, first: expected, last: seq - 1, reason: 'damaged', wallMs };
    this.#losses.add(run);
    this.#note({ kind: 'lost', ...run });
    return run;
  }

  acknowledge(streamSeq: number): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const events = open.items.filter((item) => item.kind === 'event').length;
    this.#pending = Math.max(0, this.#pending - events);
    this.#acked = open.last;
    this.#position = open.after;
    this.#memory.splice(0, open.fromMemory);
    this.#losses.forgetUpTo(this.#acked);
    this.#note({ kind: 'ack', ...open.last, streamSeq });
    for (const facts of this.#facts.values()) this.#noteAcked(facts);
    this.#tryReclaim();
  }

  #tryReclaim(): void {
    if (this.#segments === undefined || this.#problem !== '') return;
    try {
      this.#reclaim(Infinity);
    } catch (error) {
      this.#refused(error as Error);
    }
  }

  rewind(): number {
    const before = this.#pending;
    this.#open = undefined;
    if (this.#segments === undefined) return 0;
    this.#position = this.#segments.start();
    let oldest: Revision | undefined;
    this.#segments.read(this.#position, (record) => {
      if (record.kind === 'event') oldest = { epoch: record.epoch, seq: record.seq };
      return oldest === undefined;
    });
    if (oldest === undefined || this.#isPending(oldest)) return 0;
    this.#acked = { epoch: oldest.epoch, seq: oldest.seq - 1 };
    this.#pending = this.#memory.length;
    for (const facts of this.#facts.values()) facts.ackedAtMs = undefined;
    this.#segments.read(this.#position, (record) => {
      if (record.kind === 'event') this.#pending += 1;
      return true;
    });
    return this.#pending - before;
  }

  status(): StoreStatus {
    const isMemory =
      this.#segments === undefined || this.#memory.length > 0 || this.#problem !== '';
    return {
      mode: isMemory ? 'memory' : 'disk',
      depth: this.#pending + this.#losses.runs.length,
      bytes: this.#segments?.bytes ?? 0,
      problem: this.#problem,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelSync?.();
    const segments = this.#segments;
    if (segments === undefined) return;
    await new Promise<void>((resolve) => segments.sync(() => resolve()));
    segments.close();
  }
}
