// Rotation and readers on real files in a temporary folder: what operators find on disk, what followers see.
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LogFile } from '../../../../agent/logs/rotate.js';
import { followLog, readLogSlice, tailLog } from '../../../../agent/logs/tail.js';
import type { LogFollower } from '../../../../agent/core.js';
import { temporaryFolder } from '../../../support/folders.js';

async function logIn(t: TestContext, bytesMax: number, backups: number): Promise<LogFile> {
  const dir = await temporaryFolder(t);
  const file = new LogFile({ path: join(dir, 'a.log'), bytesMax, backups, mode: 0o666 });
  t.after(() => file.close());
  return file;
}

const put = (file: LogFile, text: string): boolean => file.append(Buffer.from(text));
const get = (file: LogFile, suffix = ''): string => readFileSync(file.path + suffix, 'utf8');

/** Everything a follower has to give now, with the sum of its gaps. */
function drain(follower: LogFollower): { text: string; gap: number } {
  let text = '';
  let gap = 0;
  for (let chunk = follower.read(3); chunk !== undefined; chunk = follower.read(3)) {
    text += Buffer.from(chunk.data).toString();
    gap += chunk.gapBytes;
  }
  return { text, gap };
}

test('a file that reaches maxbytes is moved to .1, older ones up to .N', async (t) => {
  const file = await logIn(t, 4, 2);
  for (const text of ['aaaa', 'bb', 'bb', 'cccccc', 'd']) put(file, text);
  assert.deepEqual([get(file), get(file, '.1'), get(file, '.2')], ['d', 'cccccc', 'bbbb']);
  assert.equal(readdirSync(join(file.path, '..')).length, 3);
});

test('without backups the file is emptied in place', async (t) => {
  const file = await logIn(t, 4, 0);
  put(file, 'aaaaa');
  put(file, 'bb');
  assert.equal(get(file), 'bb');
  assert.equal(readdirSync(join(file.path, '..')).length, 1);
});

test('maxbytes 0 never rotates', async (t) => {
  const file = await logIn(t, 0, 2);
  put(file, 'x'.repeat(100_000));
  put(file, 'y');
  assert.equal(get(file).length, 100_001);
});

test('an existing file is continued, and its size counts', async (t) => {
  const file = await logIn(t, 6, 1);
  writeFileSync(file.path, 'old');
  put(file, 'new');
  assert.deepEqual([get(file), get(file, '.1')], ['', 'oldnew']);
});

test('a file truncated from outside is written on from its start', async (t) => {
  const file = await logIn(t, 10, 1);
  put(file, '12345678');
  truncateSync(file.path, 0);
  put(file, 'abcd');
  assert.equal(get(file), 'abcd');
});

test('a folder that is gone costs bytes, which are counted, and heals', async (t) => {
  const file = await logIn(t, 0, 0);
  const dir = join(file.path, '..');
  renameSync(dir, `${dir}.away`);
  assert.equal(put(file, 'lost'), false);
  assert.equal(file.lostBytes, 4);
  renameSync(`${dir}.away`, dir);
  assert.equal(put(file, 'kept'), true);
  assert.equal(get(file), 'kept');
});

test('trouble with a file is told when it begins and when it is over, more and more rarely', async (t) => {
  const dir = join(await temporaryFolder(t), 'x');
  const told: (string | undefined)[] = [];
  const file = new LogFile({
    path: join(dir, 'a.log'),
    ...{ bytesMax: 0, backups: 0, mode: 0o666 },
    onTrouble: (error) => told.push((error as NodeJS.ErrnoException | undefined)?.code),
  });
  t.after(() => file.close());
  for (let trouble = 1; trouble <= 5; trouble++) {
    for (let i = 0; i < 3; i++) assert.equal(put(file, 'lost'), false);
    mkdirSync(dir);
    for (let i = 0; i < 3; i++) assert.equal(put(file, 'kept'), true);
    assert.deepEqual(told.splice(0), trouble === 3 || trouble === 5 ? [] : ['ENOENT', undefined]);
    file.close();
    rmSync(dir, { recursive: true });
  }
});

test('a rotation that is not possible does not push the backups away', async (t) => {
  const file = await logIn(t, 4, 2);
  for (const text of ['aaaa', 'bbbb']) put(file, text);
  // A folder in the way of the newest backup's new name.
  renameSync(`${file.path}.2`, `${file.path}.keep`);
  const blocker = `${file.path}.2`;
  writeFileSync(blocker, '');
  chmodSync(blocker, 0o600);
  put(file, 'cccc');
  assert.equal(get(file, '.1'), 'cccc');
  assert.equal(get(file, '.keep'), 'aaaa');
});

test('reopening after the file was moved away begins a new one', async (t) => {
  const file = await logIn(t, 0, 0);
  put(file, 'before');
  renameSync(file.path, `${file.path}.moved`);
  put(file, '+');
  file.reopen();
  put(file, 'after');
  assert.deepEqual([get(file), get(file, '.moved')], ['after', 'before+']);
});

test('a device is written to and never rotated or emptied', () => {
  const file = new LogFile({ path: '/dev/null', bytesMax: 1, backups: 1, mode: 0o600 });
  assert.equal(put(file, 'text'), true);
  file.clear();
  file.close();
  assert.equal(statSync('/dev/null').isCharacterDevice(), true);
});

test('a follower sees every byte once, over rotations and clearing', async (t) => {
  const file = await logIn(t, 5, 3);
  put(file, 'old');
  const follower = followLog(file, {});
  t.after(() => follower.close());
  assert.equal(follower.read(10), undefined);
  put(file, 'abcd');
  put(file, 'ef');
  assert.deepEqual(drain(follower), { text: 'abcdef', gap: 0 });
  put(file, 'ghij');
  put(file, 'kl');
  assert.deepEqual(drain(follower), { text: 'ghijkl', gap: 0 });
  file.clear();
  put(file, 'mn');
  assert.deepEqual(drain(follower), { text: 'mn', gap: 0 });
});

test('a follower that was too slow for the rotation hears how much it missed', async (t) => {
  const file = await logIn(t, 4, 1);
  put(file, 'a');
  const follower = followLog(file, { bytes: 1 });
  t.after(() => follower.close());
  for (const text of ['bbbb', 'cccc', 'dddd', 'e']) put(file, text);
  // It holds the file of its start open; the two in between are gone.
  assert.deepEqual(drain(follower), { text: 'abbbbe', gap: 8 });
});

test('a follower may skip ahead, and says so', async (t) => {
  const file = await logIn(t, 0, 0);
  const follower = followLog(file, {});
  t.after(() => follower.close());
  put(file, '0123456789');
  assert.equal(follower.behindBytes(), 10);
  follower.skip(2);
  assert.deepEqual(drain(follower), { text: '89', gap: 8 });
});

test('a follower begins at the last lines or bytes', async (t) => {
  const file = await logIn(t, 0, 0);
  put(file, 'one\ntwo\nthree\n');
  const starts = [{ lines: 1 }, { lines: 2 }, { lines: 9 }, { lines: 0 }, { bytes: 4 }, {}];
  const seen = starts.map((start) => {
    const follower = followLog(file, start);
    const { text } = drain(follower);
    follower.close();
    return text;
  });
  assert.deepEqual(seen, ['three\n', 'two\nthree\n', 'one\ntwo\nthree\n', '', 'ree\n', '']);
});

test('a follower is woken by new bytes and by its signal', async (t) => {
  const file = await logIn(t, 0, 0);
  const follower = followLog(file, {});
  t.after(() => follower.close());
  const woken = follower.more(new AbortController().signal);
  put(file, 'x');
  await woken;
  drain(follower);
  const abort = new AbortController();
  const aborted = follower.more(abort.signal);
  abort.abort();
  await aborted;
});

test('tail answers as the table of spec xmlrpc 8.5', async (t) => {
  const dir = await temporaryFolder(t);
  const path = join(dir, 'f');
  const text = Array.from({ length: 320 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('');
  writeFileSync(path, text);
  const rows: readonly (readonly [number, number, number, boolean])[] = [
    [0, 320, 320, false],
    [0, 400, 320, false],
    [0, 100, 100, true],
    [100, 100, 100, true],
    [300, 20, 20, false],
    [300, 30, 30, false],
    [319, 10, 10, false],
    [320, 10, 0, false],
    [400, 10, 0, false],
    [310, 5, 5, true],
    [0, 0, 0, true],
    [0, -1, 0, true],
    [-5, 10, 10, true],
  ];
  for (const [offset, length, count, overflow] of rows) {
    const tail = tailLog(path, offset, length);
    const wanted = count === 0 ? '' : text.slice(-count);
    const what = `tail(${offset}, ${length})`;
    assert.deepEqual(
      [tail.data.toString(), tail.offset, tail.overflow],
      [wanted, 320, overflow],
      what,
    );
  }
  const missing = tailLog(join(dir, 'none'), 0, 10);
  assert.deepEqual([missing.data.length, missing.offset, missing.overflow], [0, 0, false]);
});

test('read answers slices, and refuses what makes no sense', async (t) => {
  const dir = await temporaryFolder(t);
  const path = join(dir, 'f');
  writeFileSync(path, '0123456789');
  const read = (offset: number, length: number): string | undefined =>
    readLogSlice(path, offset, length)?.toString();
  assert.deepEqual(
    [read(0, 0), read(3, 2), read(8, 5), read(99, 1), read(-3, 0), read(-99, 0)],
    ['0123456789', '34', '89', '', '789', '0123456789'],
  );
  assert.deepEqual([read(-3, 1), read(0, -1)], [undefined, undefined]);
  assert.throws(() => readLogSlice(join(dir, 'none'), 0, 0), { code: 'ENOENT' });
});
