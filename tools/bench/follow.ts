// Reads a growing file from where it left off: stamps of load.c, and the log that both daemons write alike.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export interface Stamp {
  readonly pid: number;
  readonly atMs: number;
  readonly word: string;
}

/** The whole lines that were added since the last call; none while the file does not exist. */
export class Lines {
  private offset = 0;
  private rest = '';

  constructor(private readonly path: string) {}

  next(): string[] {
    let fd: number;
    try {
      fd = openSync(this.path, 'r');
    } catch {
      return [];
    }
    try {
      const added = Buffer.alloc(Math.max(0, fstatSync(fd).size - this.offset));
      const length = readSync(fd, added, 0, added.length, this.offset);
      this.offset += length;
      const lines = (this.rest + added.toString('latin1', 0, length)).split('\n');
      this.rest = lines.pop() ?? '';
      return lines;
    } finally {
      closeSync(fd);
    }
  }
}

/** Stamps of every program that was given this file. */
export class Stamps {
  private readonly lines: Lines;

  constructor(readonly path: string) {
    this.lines = new Lines(path);
  }

  next(): Stamp[] {
    return this.lines.next().map((line) => {
      const [pid, ns, word = ''] = line.split(' ');
      return { pid: Number(pid), atMs: Number(ns) / 1e6, word };
    });
  }
}
