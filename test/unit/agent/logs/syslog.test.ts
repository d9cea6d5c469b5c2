// Lines for syslog: their form, what waits, what is lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Syslog } from '../../../../agent/logs/syslog.js';

function collector(): { lines: string[]; send: (data: Uint8Array) => Promise<void> } {
  const lines: string[] = [];
  return { lines, send: async (data) => void lines.push(Buffer.from(data).toString()) };
}

test('each line is a message of facility user and priority info', () => {
  const { lines, send } = collector();
  const syslog = new Syslog();
  syslog.connect(send);
  syslog.write('one\n\ntwo\n');
  assert.deepEqual(lines, ['<14>supervisord: one', '<14>supervisord: two']);
});

test('lines wait for the first connection, the oldest go when there are too many', () => {
  const { lines, send } = collector();
  const syslog = new Syslog();
  for (let i = 0; i < 1_005; i++) syslog.write(`line ${i}`);
  syslog.connect(send);
  assert.equal(lines.length, 1_000);
  assert.equal(lines[0], '<14>supervisord: line 5');
  assert.equal(syslog.lostLines, 5);
});

test('a receiver that is away costs lines, nothing else', async () => {
  const syslog = new Syslog();
  syslog.connect(async () => Promise.reject(new Error('EAGAIN')));
  syslog.write('gone');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(syslog.lostLines, 1);
});
