// Bytes into lines. A line longer than 64 KiB comes in pieces, the marked ones continue. Pure.

/** Longest line kept together, bytes (spec fleet 11). */
export const LINE_BYTES_MAX = 64 * 1024;
const CONTINUED = Buffer.from(' …');
const LINE_FEED = 0x0a;

/** Cuts a stream of bytes at line feeds; holds at most one unfinished line. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines completed by these bytes, without their line feeds. */
  push(data: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let from = 0;
    for (let at = data.indexOf(LINE_FEED); at >= 0; at = data.indexOf(LINE_FEED, from)) {
      this.#append(data.subarray(from, at), lines);
      lines.push(this.#rest);
      this.#rest = Buffer.alloc(0);
      from = at + 1;
    }
    this.#append(data.subarray(from), lines);
    return lines;
  }

  /** What is left of an unfinished line. */
  flush(): Uint8Array[] {
    if (this.#rest.length === 0) return [];
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return [rest];
  }

  #append(piece: Uint8Array, lines: Uint8Array[]): void {
    this.#rest = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    while (this.#rest.length > LINE_BYTES_MAX) {
      lines.push(Buffer.concat([this.#rest.subarray(0, LINE_BYTES_MAX), CONTINUED]));
      this.#rest = this.#rest.subarray(LINE_BYTES_MAX);
    }
  }
}
