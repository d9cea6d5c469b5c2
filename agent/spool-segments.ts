// The spool's files: numbered segments that only grow at the last one's end and are deleted from the first.
// Invariants: a segment ends at its last whole record (a torn tail is cut on opening, a failed write is taken back);
// a segment that could not be repaired is never written again.
import {
  closeSync,
  fdatasync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { decodeRecord, encodeRecord, type SpoolRecord } from './spool-record.js';

/** Where a record starts. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
}

interface Segment {
  readonly id: number;
  readonly path: string;
  bytes: number;
  /** Its end could not be repaired. */
  isBroken: boolean;
}

const SUFFIX = '.spool';
const READ_BYTES = 256 * 1024;

/** The files of one spool. Everything that writes throws what the file system said. */
export class Segments {
  readonly #dir: string;
  readonly #segmentBytesMax: number;
  readonly #segments: Segment[] = [];
  #fd: number | undefined;
  #reader: { readonly segment: number; readonly fd: number } | undefined;

  /** Opens the folder, cuts torn tails, and hands every record to `visit` in order. */
  constructor(
    dir: string,
    segmentBytesMax: number,
    visit: (record: SpoolRecord, segment: number) => void,
  ) {
    this.#dir = dir;
    this.#segmentBytesMax = segmentBytesMax;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const ids = readdirSync(dir)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => Number.parseInt(name, 10))
      .filter((id) => Number.isSafeInteger(id) && id > 0)
      .sort((a, b) => a - b);
    for (const id of ids) {
      const segment = { id, path: this.#path(id), bytes: 0, isBroken: false };
      const buffer = readFileSync(segment.path);
      let offset = 0;
      for (;;) {
        const decoded = decodeRecord(buffer, offset);
        if (decoded.kind === 'end') break;
        offset = decoded.next;
        if (decoded.kind === 'record') {
          visit(decoded.record, id);
          segment.bytes = offset;
        }
      }
      if (segment.bytes < buffer.length) truncateSync(segment.path, segment.bytes);
      this.#segments.push(segment);
    }
  }

  #path(id: number): string {
    return join(this.#dir, `${String(id).padStart(10, '0')}${SUFFIX}`);
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** The oldest segment's id; undefined: nothing stored. */
  get oldest(): number | undefined {
    return this.#segments[0]?.id;
  }

  /** The segment that is written to; undefined: nothing stored. */
  get newest(): number | undefined {
    return this.#segments.at(-1)?.id;
  }

  /** Where reading begins. */
  start(): Position {
    return { segment: this.#segments[0]?.id ?? 0, offset: 0 };
  }

  /** Appends; a full segment is followed by a new one. `fresh`: this record opened a segment. */
  append(record: SpoolRecord): { readonly segment: number; readonly fresh: boolean } {
    const bytes = encodeRecord(record);
    const last = this.#segments.at(-1);
    const isOpen = last !== undefined && !last.isBroken;
    const fresh = !isOpen || last.bytes + bytes.length > this.#segmentBytesMax;
    const segment = fresh ? this.#roll() : last;
    // An earlier life's last segment is written on.
    const fd = (this.#fd ??= openSync(segment.path, 'r+'));
    try {
      let written = 0;
      while (written < bytes.length) {
        written += writeSync(fd, bytes, written, bytes.length - written, segment.bytes + written);
      }
    } catch (error) {
      this.#takeBack(fd, segment);
      throw error;
    }
    segment.bytes += bytes.length;
    return { segment: segment.id, fresh };
  }

  #roll(): Segment {
    const id = (this.#segments.at(-1)?.id ?? 0) + 1;
    const path = this.#path(id);
    const fd = openSync(path, 'wx', 0o600);
    this.#closeWriter();
    this.#fd = fd;
    const segment = { id, path, bytes: 0, isBroken: false };
    this.#segments.push(segment);
    return segment;
  }

  /** A write that failed half way must not stand before later records. */
  #takeBack(fd: number, segment: Segment): void {
    try {
      ftruncateSync(fd, segment.bytes);
    } catch {
      segment.isBroken = true;
    }
  }

  #closeWriter(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    fdatasync(fd, () => closeSync(fd));
  }

  /** Visits records from `position` on until `visit` answers false; returns the place after the last one taken. */
  read(position: Position, visit: (record: SpoolRecord) => boolean): Position {
    let at = position;
    for (const segment of this.#segments) {
      if (segment.id < at.segment) continue;
      if (segment.id > at.segment) at = { segment: segment.id, offset: 0 };
      let bytesWanted = READ_BYTES;
      while (at.offset < segment.bytes) {
        const length = Math.min(bytesWanted, segment.bytes - at.offset);
        const window = Buffer.allocUnsafe(length);
        const got = readSync(this.#readerOf(segment), window, 0, length, at.offset);
        let used = 0;
        let need = 0;
        for (;;) {
          const decoded = decodeRecord(window.subarray(0, got), used);
          if (decoded.kind === 'end') {
            need = decoded.need;
            break;
          }
          if (decoded.kind === 'record' && !visit(decoded.record)) {
            return { segment: segment.id, offset: at.offset + used };
          }
          used = decoded.next;
        }
        at = { segment: segment.id, offset: at.offset + used };
        // Damage that hides where the next record starts, or a file that shrank: go on with the next segment.
        const isWhole = length === segment.bytes - at.offset;
        if (used === 0 && (isWhole || need <= got || got < length)) break;
        bytesWanted = Math.max(READ_BYTES, need);
      }
    }
    return at;
  }

  #readerOf(segment: Segment): number {
    if (this.#reader?.segment !== segment.id) {
      this.#closeReader();
      this.#reader = { segment: segment.id, fd: openSync(segment.path, 'r') };
    }
    return this.#reader.fd;
  }

  #closeReader(): void {
    if (this.#reader !== undefined) closeSync(this.#reader.fd);
    this.#reader = undefined;
  }

  /** Deletes the oldest segment; never the newest. */
  dropOldest(): void {
    const [segment] = this.#segments;
    if (segment === undefined || this.#segments.length < 2) return;
    if (this.#reader?.segment === segment.id) this.#closeReader();
    this.#segments.shift();
    unlinkSync(segment.path);
  }

  /** Starts writing what the kernel holds to the disk. */
  sync(done: (error: Error | null) => void): void {
    if (this.#fd === undefined) done(null);
    else fdatasync(this.#fd, done);
  }

  close(): void {
    this.#closeReader();
    this.#closeWriter();
  }
}
