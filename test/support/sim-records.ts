// Records in memory with the bus's rules (revisions grow over the whole bucket); can be taken away and back.
import { BusError } from '../../common/bus.js';
import type { RecordEntry, Records } from '../../controller/records.js';

export class SimRecords implements Records {
  private readonly entries = new Map<string, RecordEntry>();
  private readonly watchers = new Set<{
    prefix: string;
    onChange: (key: string, entry: RecordEntry | undefined) => void;
  }>();
  private revision = 0;
  /** While true every call fails as it does when the bus is away. */
  away = false;

  private check(): void {
    if (this.away) throw new BusError('the simulated bus is away', true);
  }

  get(key: string): Promise<RecordEntry | undefined> {
    return Promise.resolve().then(() => {
      this.check();
      return this.entries.get(key);
    });
  }

  list(prefix: string): Promise<readonly RecordEntry[]> {
    return Promise.resolve().then(() => {
      this.check();
      return [...this.entries.values()].filter((entry) => entry.key.startsWith(prefix));
    });
  }

  compareAndSet(key: string, value: unknown, expected: number): Promise<number | undefined> {
    return Promise.resolve().then(() => {
      this.check();
      if ((this.entries.get(key)?.revision ?? 0) !== expected) return undefined;
      this.revision += 1;
      const entry = { key, value: structuredClone(value), revision: this.revision };
      this.entries.set(key, entry);
      this.tell(key, entry);
      return this.revision;
    });
  }

  delete(key: string): Promise<void> {
    return Promise.resolve().then(() => {
      this.check();
      this.revision += 1;
      this.entries.delete(key);
      this.tell(key, undefined);
    });
  }

  async watch(
    prefix: string,
    onChange: (key: string, entry: RecordEntry | undefined) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for (const entry of await this.list(prefix)) onChange(entry.key, entry);
    const watcher = { prefix, onChange };
    this.watchers.add(watcher);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    this.watchers.delete(watcher);
  }

  private tell(key: string, entry: RecordEntry | undefined): void {
    for (const watcher of this.watchers) {
      if (key.startsWith(watcher.prefix)) watcher.onChange(key, entry);
    }
  }
}
