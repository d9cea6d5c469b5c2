// The bus adapter against a real nats-server with JetStream: storage, duplicates, records, reconnects.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Bus } from '../../common/bus.js';
import { systemClock } from '../../common/clock.js';
import { openNats } from '../../common/nats/connection.js';
import { bucketRecords, recordLease } from '../../controller/bus/records.js';
import { temporaryFolder } from '../support/folders.js';
import { findProgram, needs } from '../support/need.js';
import { freePort } from '../support/ports.js';
import { until } from '../support/wait.js';

const skip = needs('nats-server');

class Server {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly config: string,
  ) {}

  static async start(folder: string): Promise<Server> {
    const port = await freePort();
    const config = join(folder, 'nats.conf');
    await writeFile(
      config,
      `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}/store", max_file_store: 200000000 }\n`,
    );
    const server = new Server(port, config);
    server.up();
    return server;
  }

  up(): void {
    const program = findProgram('nats-server') as string;
    this.child = spawn(program, ['-c', this.config], { stdio: 'ignore' });
  }

  async down(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

describe('the bus over a real nats-server', { skip }, () => {
  let server: Server;
  let bus: Bus;
  const cleaners: (() => Promise<void>)[] = [];
  const connected = (): Promise<true> =>
    until('a connected bus', () => bus.status().kind === 'connected' || undefined);

  before(async () => {
    const folder = await temporaryFolder({ after: (clean) => void cleaners.push(clean) });
    server = await Server.start(folder);
    bus = openNats({ servers: [`127.0.0.1:${server.port}`], name: 'test', requestMs: 3_000 });
    await connected();
    await bus.ensureStream('EVENTS', {
      subjects: ['fv.test.event.*.frame'],
      ageMsMax: 3_600_000,
      bytesMax: 10_000_000,
      duplicateWindowMs: 600_000,
    });
    await bus.ensureBucket('COORD', { bytesMax: 1_000_000, history: 1 });
  });

  after(async () => {
    await bus.close();
    await server.down();
    for (const clean of cleaners) await clean();
  });

  const subject = (host: string): string => `fv.test.event.${host}.frame`;
  const publish = (host: string, text: string): ReturnType<Bus['publishStored']> =>
    bus.publishStored(subject(host), Buffer.from(text), `${host}/${text}`);

  /** Everything stored so far, as text. */
  async function history(subjects: readonly string[] = []): Promise<string[]> {
    const seen: string[] = [];
    const { signal } = new AbortController();
    await bus.consume('EVENTS', { subjects, sinceWallMs: 0, follow: false, signal }, (message) => {
      seen.push(Buffer.from(message.data).toString());
    });
    return seen;
  }

  it('stores the same id once', async () => {
    const first = await publish('web1', 'once');
    const second = await publish('web1', 'once');
    assert.equal(second.duplicate, true);
    assert.equal(second.streamSeq, first.streamSeq);
    assert.deepEqual(
      (await history()).filter((text) => text === 'once'),
      ['once'],
    );
  });

  it('reads the history of one subject and ends at its end, also when there is none', async () => {
    await publish('db1', 'a');
    await publish('db2', 'x');
    await publish('db1', 'b');
    assert.deepEqual(await history([subject('db1')]), ['a', 'b']);
    assert.deepEqual(await history([subject('nobody')]), []);
  });

  it('fails with a reason that names what was asked, and says that trying again cannot help', async () => {
    await assert.rejects(bus.publishStored('not.a.stream', Buffer.from('x'), 'x'), {
      name: 'BusError',
      message: /not\.a\.stream/,
    });
    await assert.rejects(
      bus.ensureStream('HUGE', {
        subjects: ['huge'],
        ageMsMax: 1_000,
        bytesMax: 10 ** 12,
        duplicateWindowMs: 500,
      }),
      { name: 'BusError', message: /HUGE of 1000000000000 bytes/, retryable: true },
    );
  });

  it('lets one writer win a compare-and-set', async () => {
    const records = bucketRecords(bus, 'COORD');
    const revision = await records.compareAndSet('cas.a', { n: 1 }, 0);
    assert.ok(revision);
    assert.equal(await records.compareAndSet('cas.a', { n: 2 }, 0), undefined);
    assert.equal(await records.compareAndSet('cas.a', { n: 2 }, revision + 7), undefined);
    assert.ok(await records.compareAndSet('cas.a', { n: 2 }, revision));
    assert.deepEqual((await records.get('cas.a'))?.value, { n: 2 });
    assert.deepEqual(
      (await records.list('cas.')).map(({ key }) => key),
      ['cas.a'],
    );
    await records.delete('cas.a');
    assert.equal(await records.get('cas.a'), undefined);
    assert.ok(await records.compareAndSet('cas.a', { n: 3 }, 0), 'a deleted key may be made anew');
  });

  it('gives a lease to one holder at a time, with a growing fence', async () => {
    const records = bucketRecords(bus, 'COORD');
    const times = { renewMs: 50, giveUpMs: 400, takeOverMs: 800 };
    const stop = new AbortController();
    const fences: number[] = [];
    let holders = 0;
    const duty = async (fence: number): Promise<void> => {
      holders += 1;
      assert.equal(holders, 1, 'two holders at once');
      fences.push(fence);
      await new Promise((resolve) => setTimeout(resolve, 30));
      holders -= 1;
    };
    const replicas = ['a', 'b'].map((name) =>
      recordLease(records, name, systemClock, times).hold('work', duty, stop.signal),
    );
    await until('six holdings', () => fences.length >= 6);
    stop.abort();
    await Promise.all(replicas);
    const sorted = [...new Set(fences)].sort((a, b) => a - b);
    assert.deepEqual(fences, sorted);
  });

  it('resumes every reader after the server was killed, without repeating or missing a message', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    let reading: Promise<void> | undefined;
    await new Promise<void>((ready) => {
      reading = bus.consume(
        'EVENTS',
        {
          subjects: [subject('web9')],
          sinceWallMs: undefined,
          follow: true,
          signal: stop.signal,
          onCaughtUp: ready,
        },
        (message) => void seen.push(Buffer.from(message.data).toString()),
      );
    });
    await publish('web9', 'one');
    await until('the first message', () => seen.includes('one') || undefined);
    await server.down();
    await until('the loss to be noticed', () => bus.status().kind === 'away' || undefined);
    await assert.rejects(publish('web9', 'lost'), { retryable: true });
    server.up();
    await connected();
    await publish('web9', 'two');
    await until('the second message', () => seen.includes('two') || undefined);
    assert.deepEqual(seen, ['one', 'two']);
    stop.abort();
    await reading;
  });
});
