// The agent's line to its keeper over time: opened at the start, opened again when it breaks.
// Invariants: notices wait until the children found at the start are adopted; one reconnection at a time; what an
// abandoned connection still says is not heard.
import type { Clock } from '../../common/clock.js';
import type { KeeperClient } from './client.js';
import { startKeeper, type KeeperPaths, type StartOptions } from './start.js';
import type { ActivityLog } from '../logs/activity.js';
import type { SendDatagram } from '../logs/syslog.js';
import type { ChildRecord, SpawnNotice, Spawner } from '../spawner.js';

/** What is used of a connected keeper. */
type KeeperLine = Pick<KeeperClient, keyof KeeperClient>;

export interface KeeperConnectionOptions {
  readonly paths: KeeperPaths;
  /** `startKeeper`, unless a test stands in for it. */
  readonly start?: (options: StartOptions) => Promise<KeeperLine>;
  readonly clock: Clock;
  readonly log: ActivityLog;
  /** Gets every notice but `lost`, in order, once `release` was called. */
  readonly onNotice: (notice: SpawnNotice) => void;
  /** The line broke; `keeperLives`: only the line did. Output must not be read until `onBack`. */
  readonly onLost: (keeperLives: boolean) => void;
  /** The line is back; `children` is all that the keeper of now holds. */
  readonly onBack: (children: readonly ChildRecord[]) => void;
}

/** Between attempts to reach a keeper. */
const RETRY_MS = 1_000;

/** One agent's line; `open` it once. */
export class KeeperConnection {
  readonly #options: KeeperConnectionOptions;
  #client: KeeperLine | undefined;
  /** Which connection is listened to; grows with each attempt. */
  #attempt = 0;
  #held: SpawnNotice[] | undefined = [];
  #closed = false;

  constructor(options: KeeperConnectionOptions) {
    this.#options = options;
  }

  /** Connects, starting a keeper where none runs. Rejects with a KeeperError that says what to do. */
  async open(): Promise<readonly ChildRecord[]> {
    const { paths, start = startKeeper } = this.#options;
    this.#attempt += 1;
    const attempt = this.#attempt;
    // A connection that broke before it could list has nothing to say about the one that follows.
    this.#held = [];
    const client = await start({
      ...paths,
      onNotice: (notice) => {
        if (attempt === this.#attempt) this.#notice(notice);
      },
    });
    this.#client = client;
    try {
      return await client.list();
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** Lets the notices through that waited for the adoption. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const notice of held) this.#notice(notice);
  }

  /** The highest spawn number that the keeper has seen. */
  get lastSpawn(): number {
    return this.#present().info.lastSpawn;
  }

  get pid(): number {
    return this.#present().info.pid;
  }

  /** Calls on a broken line fail by themselves (EIO). */
  spawner(): Spawner {
    return this.#present();
  }

  /** Opens a way for datagrams to a unix socket, under a name of ours. Rejects with a KeeperError. */
  async openDatagrams(name: string, path: string): Promise<SendDatagram> {
    const client = this.#present();
    // An earlier life may have left its own behind.
    await client.closeSocket(name).catch(() => undefined);
    await client.openDatagram(name, path, false);
    return (data) => client.sendDatagram(name, data);
  }

  /** Ends the keeper, which must have no live children; false: it would not. */
  async shutdown(): Promise<boolean> {
    this.#closed = true;
    try {
      await this.#present().shutdown();
      return true;
    } catch {
      await this.#present().close();
      return false;
    }
  }

  /** Leaves the keeper and its children alone. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.close();
  }

  #present(): KeeperLine {
    if (this.#client === undefined) throw new Error('the keeper was not opened');
    return this.#client;
  }

  #notice(notice: SpawnNotice): void {
    if (this.#held !== undefined) {
      this.#held.push(notice);
      return;
    }
    if (notice.kind !== 'lost') {
      this.#options.onNotice(notice);
      return;
    }
    if (this.#closed) return;
    const lives = isAlive(this.pid);
    this.#options.log.log(
      'error',
      `lost the ${lives ? 'connection to the' : ''} keeper (pid ${this.pid}): ${notice.reason}; connecting again`,
    );
    this.#held = [];
    this.#options.onLost(lives);
    void this.#reopen();
  }

  async #reopen(): Promise<void> {
    while (!this.#closed) {
      try {
        const children = await this.open();
        this.#options.log.log('warn', `connected to the keeper (pid ${this.pid}) again`);
        this.#options.onBack(children);
        this.release();
        return;
      } catch (error) {
        this.#options.log.log('error', (error as Error).message);
        await new Promise<void>((resolve) => this.#options.clock.after(RETRY_MS, resolve));
      }
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
