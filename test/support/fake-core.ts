// Supervision as the fleet's link sees it, without any: rows are a list, acts answer at once, logs are in memory.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  AgentCore,
  CoreRequest,
  CoreResult,
  LogChannel,
  LogChunk,
  LogFault,
  LogFollower,
  LogStart,
} from '../../agent/core.js';
import type { NameSpec } from '../../common/names.js';
import type { ProcessRow } from '../../common/rows.js';
import { makeRow } from './rows.js';

/** A log that a test writes to; keeps everything, so that what a reader skipped can be counted. */
export class FakeLog {
  private store = Buffer.alloc(1024);
  private length = 0;
  generation = 1;
  openFollowers = 0;
  private wakers = new Set<() => void>();

  get data(): Buffer {
    return this.store.subarray(0, this.length);
  }

  write(text: Buffer | string): void {
    const bytes = Buffer.from(text);
    if (this.length + bytes.length > this.store.length) {
      const larger = Buffer.alloc(2 * (this.length + bytes.length));
      this.store.copy(larger, 0, 0, this.length);
      this.store = larger;
    }
    bytes.copy(this.store, this.length);
    this.length += bytes.length;
    for (const wake of this.wakers) wake();
  }

  follow(start: LogStart): LogFollower {
    let offset = start.bytes === undefined ? 0 : Math.max(0, this.data.length - start.bytes);
    let gapBytes = 0;
    this.openFollowers += 1;
    return {
      read: (bytesMax): LogChunk | undefined => {
        const data = this.data.subarray(offset, offset + bytesMax);
        if (data.length === 0) return undefined;
        const chunk = { data, gapBytes, offset, generation: this.generation };
        offset += data.length;
        gapBytes = 0;
        return chunk;
      },
      behindBytes: () => this.data.length - offset,
      skip: (bytesLeft) => {
        const next = Math.max(offset, this.data.length - bytesLeft);
        gapBytes += next - offset;
        offset = next;
      },
      more: (signal) =>
        new Promise((resolve) => {
          const wake = (): void => {
            this.wakers.delete(wake);
            signal.removeEventListener('abort', wake);
            resolve();
          };
          this.wakers.add(wake);
          signal.addEventListener('abort', wake, { once: true });
          if (signal.aborted) wake();
        }),
      close: () => void (this.openFollowers -= 1),
    };
  }
}

export class FakeCore implements AgentCore {
  readonly identifier = 'web1';
  readonly version = '0.0.0-test';
  readonly configHash = 'hash';
  readonly requests: CoreRequest[] = [];
  readonly log = new FakeLog();
  list: ProcessRow[] = [makeRow({ group: 'app', process: 'web' })];
  result: Partial<CoreResult> = {};

  constructor(private readonly now: () => number = () => 5_000) {}

  nowMs(): number {
    return this.now();
  }

  rows(): readonly ProcessRow[] {
    return this.list;
  }

  row(name: NameSpec): ProcessRow | undefined {
    return this.list.find((row) => row.group === name.group && row.process === name.process);
  }

  async execute(request: CoreRequest): Promise<CoreResult> {
    this.requests.push(request);
    await nextTurn();
    return { outcome: 'ok', fault: '', text: '', row: this.row(request.name), ...this.result };
  }

  openLog(name: NameSpec, channel: LogChannel, start: LogStart): LogFollower | LogFault {
    if (this.row(name) === undefined) return { fault: 'BAD_NAME', text: '' };
    if (channel === 'stderr') return { fault: 'NO_FILE', text: '' };
    return this.log.follow(start);
  }

  isStopping(): boolean {
    return false;
  }
}

/** An activity log that keeps its lines. */
export class FakeActivityLog {
  readonly lines: string[] = [];

  log(level: string, text: string): void {
    this.lines.push(`${level} ${text}`);
  }

  wants(): boolean {
    return true;
  }
}
