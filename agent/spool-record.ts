// How the spool writes: records of length, CRC-32C and payload, one behind the other in a segment file.
// Invariant: decoding never trusts a length or a byte that its checksum does not cover.
import type { LostRun } from './outbox.js';

/** One thing the spool remembers. */
export type SpoolRecord =
  | {
      readonly kind: 'event';
      readonly epoch: number;
      readonly seq: number;
      readonly bytes: Uint8Array;
    }
  /** Events first..last were cut as one frame; a retry must cut the same. */
  | {
      readonly kind: 'frame';
      readonly epoch: number;
      readonly first: number;
      readonly last: number;
    }
  /** Everything up to (epoch, seq) is on the bus. */
  | {
      readonly kind: 'ack';
      readonly epoch: number;
      readonly seq: number;
      readonly streamSeq: number;
    }
  | ({ readonly kind: 'lost' } & LostRun);

const HEAD_BYTES = 8;
/** kind and three numbers. */
const BODY_BYTES = 1 + 3 * 8;
/** A longer record is damage, or an event that is not stored. */
export const RECORD_BYTES_MAX = 1024 * 1024;

const KINDS = ['event', 'frame', 'ack', 'lost'] as const;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0x82f63b78 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32C (Castagnoli) of the bytes, unsigned. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = (CRC_TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function numbersOf(record: SpoolRecord): readonly [number, number, number] {
  switch (record.kind) {
    case 'event':
      return [record.epoch, record.seq, 0];
    case 'frame':
      return [record.epoch, record.first, record.last];
    case 'ack':
      return [record.epoch, record.seq, record.streamSeq];
    case 'lost':
      return [record.epoch, record.first, record.last];
  }
}

function tailOf(record: SpoolRecord): Uint8Array {
  if (record.kind === 'event') return record.bytes;
  if (record.kind === 'lost') return Buffer.from(`${record.wallMs} ${record.reason}`, 'utf8');
  return new Uint8Array();
}

/** The record as it stands in a segment. */
export function encodeRecord(record: SpoolRecord): Buffer {
  const tail = tailOf(record);
  const buffer = Buffer.allocUnsafe(HEAD_BYTES + BODY_BYTES + tail.length);
  buffer.writeUInt8(KINDS.indexOf(record.kind), HEAD_BYTES);
  numbersOf(record).forEach((value, index) => {
    buffer.writeBigUInt64LE(BigInt(value), HEAD_BYTES + 1 + 8 * index);
  });
  buffer.set(tail, HEAD_BYTES + BODY_BYTES);
  buffer.writeUInt32LE(BODY_BYTES + tail.length, 0);
  buffer.writeUInt32LE(crc32c(buffer.subarray(HEAD_BYTES)), 4);
  return buffer;
}

function decodePayload(payload: Buffer): SpoolRecord | undefined {
  const kind = KINDS[payload.readUInt8(0)];
  const number = (index: number): number => Number(payload.readBigUInt64LE(1 + 8 * index));
  const tail = payload.subarray(BODY_BYTES);
  switch (kind) {
    case 'event':
      return { kind, epoch: number(0), seq: number(1), bytes: tail };
    case 'frame':
      return { kind, epoch: number(0), first: number(1), last: number(2) };
    case 'ack':
      return { kind, epoch: number(0), seq: number(1), streamSeq: number(2) };
    case 'lost': {
      const text = tail.toString('utf8');
      const space = text.indexOf(' ');
      return {
        kind,
        epoch: number(0),
        first: number(1),
        last: number(2),
        wallMs: Number(text.slice(0, space)),
        reason: text.slice(space + 1),
      };
    }
    default:
      return undefined;
  }
}

/** `end`: nothing whole starts here (`need` bytes would be required; 0: what is here is no record). */
export type Decoded =
  | { readonly kind: 'record'; readonly record: SpoolRecord; readonly next: number }
  | { readonly kind: 'damaged'; readonly next: number }
  | { readonly kind: 'end'; readonly need: number };

/** Reads the record at `offset`. A damaged one with a believable length is stepped over. */
export function decodeRecord(buffer: Buffer, offset: number): Decoded {
  if (offset + HEAD_BYTES > buffer.length) return { kind: 'end', need: HEAD_BYTES };
  const length = buffer.readUInt32LE(offset);
  if (length < BODY_BYTES || length > RECORD_BYTES_MAX) return { kind: 'end', need: 0 };
  const next = offset + HEAD_BYTES + length;
  if (next > buffer.length) return { kind: 'end', need: HEAD_BYTES + length };
  const payload = buffer.subarray(offset + HEAD_BYTES, next);
  if (crc32c(payload) !== buffer.readUInt32LE(offset + 4)) return { kind: 'damaged', next };
  const record = decodePayload(payload);
  return record === undefined ? { kind: 'damaged', next } : { kind: 'record', record, next };
}
