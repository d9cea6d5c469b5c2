// The keeper's framing: what is written is read back, in any cut; what breaks the rules is refused.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  bytesField,
  Field,
  type Frame,
  FRAME_BYTES_MAX,
  FrameReader,
  FrameWriter,
  KeeperErrorCode,
  Message,
  numberField,
  ProtocolError,
  requiredNumber,
  textField,
} from '../../../../agent/keeper/protocol.js';

const KEEPER_C = readFileSync(
  new URL('../../../../agent/keeper/keeper.c', import.meta.url),
  'utf8',
);
const KEEPER_MD = readFileSync(new URL('../../../../docs/keeper.md', import.meta.url), 'utf8');

function read(bytes: Buffer): Frame {
  const [frame] = new FrameReader().push(bytes);
  assert.ok(frame);
  return frame;
}

test('a frame has the bytes of the contract', () => {
  const frame = new FrameWriter().number(3, 258).text(8, 'ab').finish(2, 7);
  const expected = [
    '1b000000' + '0200' + '0000' + '07000000', // 27 bytes of payload, type 2, request 7
    '0300' + '0000' + '08000000' + '0201000000000000',
    '0800' + '0000' + '03000000' + '616200',
  ];
  assert.equal(frame.toString('hex'), expected.join(''));
});

test('numbers, texts and bytes come back as they were', () => {
  const frame = read(
    new FrameWriter()
      .number(1, -5)
      .number(2, Number.MAX_SAFE_INTEGER)
      .text(3, 'größe')
      .bytes(4, Buffer.from([0, 255]))
      .text(6, 'one')
      .text(6, 'two')
      .finish(9, 0xffffffff),
  );
  assert.equal(frame.type, 9);
  assert.equal(frame.id, 0xffffffff);
  assert.equal(numberField(frame, 1), -5);
  assert.equal(numberField(frame, 2), Number.MAX_SAFE_INTEGER);
  assert.equal(textField(frame, 3), 'größe');
  assert.deepEqual(bytesField(frame, 4), Buffer.from([0, 255]));
  assert.deepEqual(
    frame.fields.filter((field) => field.tag === 6).map((field) => field.data.toString()),
    ['one\0', 'two\0'],
  );
  assert.equal(numberField(frame, 77), undefined);
});

test('frames are found however the stream is cut', () => {
  const frames = [1, 2, 3].map((id) =>
    new FrameWriter().text(5, 'x'.repeat(id * 20)).finish(4, id),
  );
  const stream = Buffer.concat(frames);
  for (let size = 1; size <= stream.length; size++) {
    const reader = new FrameReader();
    const ids: number[] = [];
    for (let at = 0; at < stream.length; at += size) {
      for (const frame of reader.push(stream.subarray(at, at + size))) ids.push(frame.id);
    }
    assert.deepEqual(ids, [1, 2, 3], `pieces of ${size} bytes`);
  }
});

test('a frame beyond the limit is refused on both sides', () => {
  const large = Buffer.alloc(FRAME_BYTES_MAX);
  assert.throws(() => new FrameWriter().bytes(1, large).finish(1, 1), ProtocolError);
  const header = Buffer.alloc(12);
  header.writeUInt32LE(FRAME_BYTES_MAX + 1, 0);
  assert.throws(() => new FrameReader().push(header), ProtocolError);
});

test('values that do not fit are refused when writing', () => {
  assert.throws(() => new FrameWriter().number(1, 2 ** 53), ProtocolError);
  assert.throws(() => new FrameWriter().number(1, 1.5), ProtocolError);
  assert.throws(() => new FrameWriter().text(1, 'a\0b'), ProtocolError);
});

test('malformed fields are refused when reading', () => {
  const cutHeader = Buffer.from('04000000' + '0100' + '0000' + '01000000' + '01000000', 'hex');
  const beyond = Buffer.from('08000000' + '0100' + '0000' + '01000000' + '0100000009000000', 'hex');
  assert.throws(() => new FrameReader().push(cutHeader), /cut off/);
  assert.throws(() => new FrameReader().push(beyond), /beyond its message/);
  const short = read(new FrameWriter().bytes(1, Buffer.alloc(4)).finish(1, 1));
  assert.throws(() => numberField(short, 1), ProtocolError);
  assert.throws(() => textField(short, 1), ProtocolError);
  assert.throws(() => requiredNumber(short, 2), /lacks field 2/);
  const huge = read(new FrameWriter().bytes(1, Buffer.alloc(8, 0x7f)).finish(1, 1));
  assert.throws(() => numberField(huge, 1), ProtocolError);
});

/** `MSG_ACK_EXIT = 5` of the C file becomes ackExit: 5. */
function constantsOf(source: string, prefix: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [, name = '', value] of source.matchAll(
    new RegExp(`\\b${prefix}([A-Z_]+) = (\\d+)[,;]?`, 'g'),
  )) {
    if (name === 'REQUEST_END') continue;
    const camel = name
      .toLowerCase()
      .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    found[camel] = Number(value);
  }
  return found;
}

test('agent, keeper and docs/keeper.md name the same messages, fields and errors', () => {
  assert.deepEqual(constantsOf(KEEPER_C, 'MSG_'), { ...Message });
  assert.deepEqual(constantsOf(KEEPER_C, 'F_'), { ...Field });
  assert.deepEqual(constantsOf(KEEPER_C, 'E_'), { ...KeeperErrorCode });
  const rows = (heading: string): Record<string, number> => {
    const section = KEEPER_MD.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
    const found: Record<string, number> = {};
    for (const [, value, name = ''] of section.matchAll(/^\| (\d+) +\| `(\w+)` +\|/gm)) {
      found[name] = Number(value);
    }
    return found;
  };
  assert.deepEqual(rows('Messages'), { ...Message });
  assert.deepEqual(rows('Fields'), { ...Field });
  assert.deepEqual(rows('Errors'), { ...KeeperErrorCode });
});
