// Rows are kept encoded, and joined bytes decode to what the rows say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeRow, headerToWire, hostRowsFromWire } from '../../../../common/wire.js';
import { hostEntry, RowsCache } from '../../../../controller/fleet/rows-cache.js';
import { HostHeader, StatusChunk } from '../../../../proto/gen/fleetvisor/v1/control.js';
import { makeHeader, makeRow } from '../../../support/rows.js';

const header = makeHeader({ host: 'web1', labels: new Map([['role', 'web']]) });
const headerBytes = HostHeader.encode(headerToWire(header)).finish();

function decode(...parts: Uint8Array[]) {
  return StatusChunk.decode(Buffer.concat(parts)).hosts.map(hostRowsFromWire);
}

test('joined bytes are the message that encoding the rows would give', () => {
  const cache = new RowsCache(encodeRow);
  const long = 'x'.repeat(20_000);
  const rows = [makeRow({ process: 'a' }), makeRow({ process: 'b', reason: long })];
  for (const row of rows) cache.set('web1', row);
  const shown = decode(
    hostEntry(headerBytes, cache.all('web1')),
    hostEntry(headerBytes, cache.all('web2')),
  );
  assert.deepEqual(shown, [
    { header, rows },
    { header, rows: [] },
  ]);
});

test('rows stand in order of priorities, then names with their numbers as numbers', () => {
  const cache = new RowsCache(encodeRow);
  for (const [group, process, groupPriority, priority] of [
    ['web', 'web_10', 999, 999],
    ['web', 'web_9', 999, 999],
    ['db', 'db', 1, 999],
    ['api', 'api', 999, 5],
  ] as const) {
    cache.set('web1', makeRow({ group, process, groupPriority, priority }));
  }
  const order = ['db', 'api', 'web_9', 'web_10'];
  assert.deepEqual(
    cache.rows('web1').map(({ process }) => process),
    order,
  );
  const [shown] = decode(hostEntry(headerBytes, cache.all('web1')));
  assert.deepEqual(
    shown?.rows.map(({ process }) => process),
    order,
  );
});

test('a change replaces the row, a removal takes it away, also after they were joined', () => {
  const cache = new RowsCache(encodeRow);
  cache.set('web1', makeRow({ process: 'a' }));
  cache.set('web1', makeRow({ process: 'b' }));
  cache.all('web1');
  cache.set('web1', makeRow({ process: 'a', state: 'FATAL' }));
  cache.remove('web1', makeRow({ process: 'b' }));
  const [shown] = decode(hostEntry(headerBytes, cache.all('web1')));
  assert.deepEqual(shown?.rows, [makeRow({ process: 'a', state: 'FATAL' })]);
  assert.deepEqual(cache.rows('web1'), shown.rows);
});

test('an unchanged row is encoded once, however often it is shown', () => {
  let encoded = 0;
  const cache = new RowsCache((row) => {
    encoded += 1;
    return encodeRow(row);
  });
  cache.set('web1', makeRow({ process: 'a' }));
  for (let i = 0; i < 5; i++) cache.all('web1');
  cache.some('web1', [{ group: 'app', process: 'a' }]);
  assert.equal(encoded, 1);
});

test('some rows can be taken alone; unknown names are left out', () => {
  const cache = new RowsCache(encodeRow);
  for (const process of ['a', 'b', 'c']) cache.set('web1', makeRow({ process }));
  const names = [
    { group: 'app', process: 'c' },
    { group: 'app', process: 'nope' },
  ];
  const [shown] = decode(hostEntry(headerBytes, cache.some('web1', names)));
  assert.deepEqual(
    shown?.rows.map(({ process }) => process),
    ['c'],
  );
});
