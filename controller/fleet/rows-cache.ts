// Each host's rows as the bytes of a status answer: a row is encoded once per change, whole hosts are joined once
// and kept. Invariant: the bytes are those of `HostRows.rows` (field 15), so that they can follow an encoded header.
import { nameKey } from '../../common/names.js';
import type { ProcessRow } from '../../common/rows.js';
import { compareRows } from '../../common/selector.js';

/** Field 15, length-delimited. */
const ROWS_TAG = (15 << 3) | 2;
/** Field 1, length-delimited: `StatusChunk.hosts` and `HostRows.header` alike. */
const FIRST_TAG = (1 << 3) | 2;

interface HostCache {
  readonly parts: Map<string, { readonly row: ProcessRow; readonly bytes: Uint8Array }>;
  /** Rows in display order; undefined: to be made again. */
  sorted: readonly ProcessRow[] | undefined;
  joined: Uint8Array | undefined;
}

/** The cache of all hosts; `encode` makes the bytes of one row's message. */
export class RowsCache {
  private readonly hosts = new Map<string, HostCache>();

  constructor(private readonly encode: (row: ProcessRow) => Uint8Array) {}

  set(host: string, row: ProcessRow): void {
    let cache = this.hosts.get(host);
    if (cache === undefined) {
      cache = { parts: new Map(), sorted: undefined, joined: undefined };
      this.hosts.set(host, cache);
    }
    const key = nameKey(row);
    const before = cache.parts.get(key)?.row;
    cache.parts.set(key, { row, bytes: field(ROWS_TAG, [this.encode(row)]) });
    cache.joined = undefined;
    if (before === undefined || compareRows(before, row) !== 0) cache.sorted = undefined;
    else cache.sorted = cache.sorted?.map((other) => (other === before ? row : other));
  }

  remove(host: string, row: ProcessRow): void {
    const cache = this.hosts.get(host);
    if (cache?.parts.delete(nameKey(row)) !== true) return;
    cache.sorted = undefined;
    cache.joined = undefined;
  }

  /** In display order. */
  rows(host: string): readonly ProcessRow[] {
    const cache = this.hosts.get(host);
    if (cache === undefined) return [];
    cache.sorted ??= [...cache.parts.values()].map(({ row }) => row).sort(compareRows);
    return cache.sorted;
  }

  /** The bytes of all rows of a host, in display order. */
  all(host: string): Uint8Array {
    const cache = this.hosts.get(host);
    if (cache === undefined) return new Uint8Array();
    cache.joined ??= join(this.rows(host).map((row) => cache.parts.get(nameKey(row))?.bytes));
    return cache.joined;
  }

  /** The bytes of some rows of a host, in the order given; unknown ones are left out. */
  some(host: string, names: readonly { group: string; process: string }[]): Uint8Array {
    const cache = this.hosts.get(host);
    if (cache === undefined) return new Uint8Array();
    return join(names.map((name) => cache.parts.get(nameKey(name))?.bytes));
  }
}

/** One entry of `StatusChunk.hosts`: an encoded header followed by rows as this cache keeps them. */
export function hostEntry(header: Uint8Array, rows: Uint8Array): Uint8Array {
  return field(FIRST_TAG, [field(FIRST_TAG, [header]), rows]);
}

/** tag, length, content. */
function field(tag: number, content: readonly Uint8Array[]): Uint8Array {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  const head = [tag];
  let left = length;
  while (left > 0x7f) {
    head.push((left & 0x7f) | 0x80);
    left >>>= 7;
  }
  head.push(left);
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  let at = head.length;
  for (const part of content) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function join(parts: readonly (Uint8Array | undefined)[]): Uint8Array {
  const present = parts.filter((part) => part !== undefined);
  const bytes = new Uint8Array(present.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of present) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
