// Reads log files: slices for the RPC methods, and a follower that survives rotation and never slows the writer.
// Invariant: a follower's chunks, with their gaps counted, cover every byte logged since its start exactly once.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { LogChunk, LogFollower, LogStart } from '../core.js';
import type { LogFile } from './rotate.js';

/** How far back a follower looks for the start of its last lines. */
const LINES_LOOKBACK_BYTES_MAX = 4 * 1024 * 1024;
const LOOKBACK_BLOCK_BYTES = 64 * 1024;

/**
 * Bytes [offset, offset + length) of a file; a length of 0 reads to the end; a negative offset counts from the end
 * (spec process 12). undefined: the combination is not allowed. Throws the system's error (ENOENT: no such file).
 */
export function readLogSlice(path: string, offset: number, length: number): Buffer | undefined {
  if (offset < 0 ? length !== 0 : length < 0) return undefined;
  return withFile(path, (fd, size) => {
    const from = offset < 0 ? Math.max(0, size + offset) : Math.min(offset, size);
    const to = length === 0 ? size : Math.min(size, from + length);
    return readRange(fd, from, to);
  });
}

/** The last bytes of a log in Supervisor's way: always the end, with the new offset (spec xmlrpc 8.5). */
export interface LogTail {
  readonly data: Buffer;
  readonly offset: number;
  readonly overflow: boolean;
}

/** Never throws: a file that cannot be read is empty. */
export function tailLog(path: string, offset: number, length: number): LogTail {
  try {
    return withFile(path, (fd, size) => {
      const overflow = size > offset + length;
      let from = overflow ? size - 1 : offset;
      let count = length;
      if (from + count > size) {
        if (from > size - 1) count = 0;
        from = size - count;
      }
      from = Math.max(0, from);
      count = Math.max(0, count);
      return { data: readRange(fd, from, Math.min(size, from + count)), offset: size, overflow };
    });
  } catch {
    return { data: Buffer.alloc(0), offset: 0, overflow: false };
  }
}

function withFile<T>(path: string, read: (fd: number, size: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    return read(fd, stat.isFile() ? stat.size : 0);
  } finally {
    closeSync(fd);
  }
}

function readRange(fd: number, from: number, to: number): Buffer {
  const data = Buffer.allocUnsafe(Math.max(0, to - from));
  let done = 0;
  while (done < data.length) {
    const count = readSync(fd, data, done, data.length - done, from + done);
    if (count === 0) break;
    done += count;
  }
  return data.subarray(0, done);
}

/** Follows one LogFile from a place before its present end. Close it, or it keeps a descriptor open. */
export function followLog(file: LogFile, start: LogStart): LogFollower {
  return new FileFollower(file, start);
}

class FileFollower implements LogFollower {
  readonly #file: LogFile;
  readonly #stopListening: () => void;
  readonly #wakes = new Set<() => void>();
  #fd: number | undefined;
  /** Generation and base of the file that `#fd` reads, which may be rotated away meanwhile. */
  #generation: number;
  #base: number;
  /** Stream position of the next byte to give. */
  #position: number;
  #gapBytes = 0;
  #closed = false;

  constructor(file: LogFile, start: LogStart) {
    this.#file = file;
    file.refresh();
    this.#generation = file.generation;
    this.#base = file.base;
    this.#fd = tryOpen(file.path);
    const size = file.end - file.base;
    this.#position = file.base + this.#startOffset(size, start);
    this.#stopListening = file.onChange(() => this.#wake());
  }

  read(bytesMax: number): LogChunk | undefined {
    if (this.#closed || bytesMax <= 0) return undefined;
    for (;;) {
      const chunk = this.#readPresent(bytesMax);
      if (chunk !== undefined) return chunk;
      if (this.#fd !== undefined && this.#generation === this.#file.generation) return undefined;
      if (!this.#openLive()) return undefined;
    }
  }

  behindBytes(): number {
    return Math.max(0, this.#file.end - this.#position);
  }

  skip(bytesLeft: number): void {
    const target = Math.max(this.#position, this.#file.end - Math.max(0, bytesLeft));
    this.#gapBytes += target - this.#position;
    this.#position = target;
  }

  more(signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted || this.behindBytes() > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wakes.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wakes.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#wakes]) wake();
  }

  /** The next bytes of the file that is open; undefined: it has no more. */
  #readPresent(bytesMax: number): LogChunk | undefined {
    if (this.#fd === undefined) return undefined;
    const live = this.#generation === this.#file.generation;
    // Of the live file only what is known to be written: a file that we write elsewhere as well has its own pace.
    const limit = live ? this.#file.end - this.#position : bytesMax;
    const wanted = Math.min(bytesMax, limit);
    if (wanted <= 0) return undefined;
    const offset = this.#position - this.#base;
    const data = Buffer.allocUnsafe(wanted);
    const count = readSync(this.#fd, data, 0, wanted, offset);
    if (count === 0) {
      // Truncated by somebody else: what was there is gone, the next append tells the new place.
      if (live) this.skip(0);
      return undefined;
    }
    this.#position += count;
    const gapBytes = this.#gapBytes;
    this.#gapBytes = 0;
    return { data: data.subarray(0, count), gapBytes, offset, generation: this.#generation };
  }

  /** Goes over to the live file; false: there is none to read. */
  #openLive(): boolean {
    const fd = tryOpen(this.#file.path);
    if (fd === undefined) return false;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = fd;
    this.#generation = this.#file.generation;
    this.#base = this.#file.base;
    // Whole files may have come and gone since the last read.
    if (this.#position < this.#base) {
      this.#gapBytes += this.#base - this.#position;
      this.#position = this.#base;
    }
    return true;
  }

  #startOffset(size: number, start: LogStart): number {
    if (start.bytes !== undefined) return Math.max(0, size - start.bytes);
    if (start.lines === undefined || this.#fd === undefined) return size;
    return lastLinesOffset(this.#fd, size, start.lines);
  }
}

/** Where the last `lines` lines begin; an unfinished last line counts as one. */
function lastLinesOffset(fd: number, size: number, lines: number): number {
  if (lines <= 0) return size;
  let left = lines;
  let to = size;
  const floor = Math.max(0, size - LINES_LOOKBACK_BYTES_MAX);
  while (to > floor) {
    const from = Math.max(floor, to - LOOKBACK_BLOCK_BYTES);
    const block = readRange(fd, from, to);
    for (let i = block.length - 1; i >= 0; i--) {
      // The newline that ends the last line begins no further one.
      if (block[i] !== 0x0a || from + i === size - 1) continue;
      left -= 1;
      if (left === 0) return from + i + 1;
    }
    to = from;
  }
  return floor;
}

function tryOpen(path: string): number | undefined {
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return undefined;
  } catch {
    return undefined;
  }
}
