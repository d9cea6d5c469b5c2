// The agent's line to its keeper over time, against a keeper that breaks at awkward moments.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KeeperConnection,
  type KeeperConnectionOptions,
} from '../../../../agent/keeper/connection.js';
import type { StartOptions } from '../../../../agent/keeper/start.js';
import type { SpawnNotice } from '../../../../agent/spawner.js';
import { settle, SimClock } from '../../../support/sim-clock.js';

type Start = NonNullable<KeeperConnectionOptions['start']>;

/** A keeper whose connections the test breaks; `listFails` breaks so many of them before they answer `list`. */
class BreakingKeeper {
  readonly connections: { readonly notice: StartOptions['onNotice']; closed: boolean }[] = [];
  listFails = 0;

  readonly start = ((options: StartOptions) => {
    const connection = { notice: options.onNotice, closed: false };
    this.connections.push(connection);
    const list = (): Promise<readonly never[]> => {
      if (this.listFails === 0) return Promise.resolve([]);
      this.listFails -= 1;
      connection.notice({ kind: 'lost', reason: 'broken while listing' });
      return Promise.reject(new Error('broken while listing'));
    };
    const close = (): Promise<void> => {
      connection.closed = true;
      return Promise.resolve();
    };
    const line = { list, close, info: { pid: process.pid, lastSpawn: 0 } };
    return Promise.resolve(line as unknown as Awaited<ReturnType<Start>>);
  }) as Start;
}

function setUp(): {
  keeper: BreakingKeeper;
  clock: SimClock;
  connection: KeeperConnection;
  heard: string[];
} {
  const keeper = new BreakingKeeper();
  const clock = new SimClock();
  const heard: string[] = [];
  const connection = new KeeperConnection({
    paths: { socketPath: '/nowhere/s', lockPath: '/nowhere/l', spillDir: '/nowhere/d' },
    start: keeper.start,
    clock,
    log: { log: () => undefined, wants: () => false },
    onNotice: (notice: SpawnNotice) => heard.push(notice.kind),
    onLost: () => heard.push('lost'),
    onBack: () => heard.push('back'),
  });
  return { keeper, clock, connection, heard };
}

test('notices wait until the children found at the start are adopted', async () => {
  const { keeper, connection, heard } = setUp();
  await connection.open();
  keeper.connections[0]?.notice({ kind: 'orphan', pid: 7, status: { kind: 'code', code: 0 } });
  assert.deepEqual(heard, []);
  connection.release();
  assert.deepEqual(heard, ['orphan']);
});

test('a reconnection that breaks before it has listed does not unsettle the one that follows', async () => {
  const { keeper, clock, connection, heard } = setUp();
  await connection.open();
  connection.release();
  keeper.listFails = 1;
  keeper.connections[0]?.notice({ kind: 'lost', reason: 'broken' });
  await clock.advance(1_000);
  assert.deepEqual(heard, ['lost', 'back']);
  assert.deepEqual(
    keeper.connections.map(({ closed }) => closed),
    [false, true, false],
  );
  // What the abandoned ones say later is not heard either.
  keeper.connections[1]?.notice({ kind: 'lost', reason: 'late', displaced: true });
  await settle();
  assert.deepEqual(heard, ['lost', 'back']);
});
