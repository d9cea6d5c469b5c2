// The form of the spool's records: what is read back, and what damage does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  crc32c,
  decodeRecord,
  encodeRecord,
  RECORD_BYTES_MAX,
  type SpoolRecord,
} from '../../../agent/spool-record.js';

const RECORDS: readonly SpoolRecord[] = [
  { kind: 'event', epoch: 2 ** 53 - 1, seq: 1, bytes: Buffer.from('abc') },
  { kind: 'event', epoch: 1, seq: 2, bytes: Buffer.alloc(0) },
  { kind: 'frame', epoch: 1, first: 1, last: 128 },
  { kind: 'ack', epoch: 1, seq: 128, streamSeq: 99 },
  { kind: 'lost', epoch: 1, first: 5, last: 6, wallMs: 17, reason: 'spool full, später' },
];

test('CRC-32C matches its published check value', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

for (const record of RECORDS) {
  test(`a record of kind ${record.kind} (${JSON.stringify(record).length} characters) is read back`, () => {
    const decoded = decodeRecord(encodeRecord(record), 0);
    assert.equal(decoded.kind, 'record');
    assert.deepEqual(decoded.kind === 'record' && decoded.record, record);
  });
}

test('half a record is an end, at whatever byte it was torn', () => {
  const whole = encodeRecord(RECORDS[0] as SpoolRecord);
  for (let length = 0; length < whole.length; length++) {
    assert.equal(decodeRecord(whole.subarray(0, length), 0).kind, 'end');
  }
});

test('any changed byte behind the length is noticed, and the next record is found', () => {
  const first = encodeRecord(RECORDS[0] as SpoolRecord);
  const second = encodeRecord(RECORDS[2] as SpoolRecord);
  for (let at = 4; at < first.length; at++) {
    const both = Buffer.concat([first, second]);
    both.writeUInt8(both.readUInt8(at) ^ 0x10, at);
    const damaged = decodeRecord(both, 0);
    assert.equal(damaged.kind, 'damaged');
    const next = decodeRecord(both, damaged.kind === 'damaged' ? damaged.next : 0);
    assert.deepEqual(next.kind === 'record' && next.record, RECORDS[2]);
  }
});

test('a length that nobody writes is not followed', () => {
  const buffer = Buffer.alloc(64);
  buffer.writeUInt32LE(RECORD_BYTES_MAX + 1, 0);
  assert.deepEqual(decodeRecord(buffer, 0), { kind: 'end', need: 0 });
  buffer.writeUInt32LE(0, 0);
  assert.deepEqual(decodeRecord(buffer, 0), { kind: 'end', need: 0 });
});
