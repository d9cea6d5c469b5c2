// A bucket of the bus over JetStream's key-value store.
import { NatsError, type KV } from 'nats';
import { BusError, type Bucket } from '../bus.js';
import { toBusError } from './errors.js';

/** JetStream's code for "another writer was first". */
const WRONG_LAST_SEQUENCE = 10071;

/** Opens the key-value view per call, because a view dies with its connection. */
export class NatsBucket implements Bucket {
  constructor(
    private readonly name: string,
    private readonly open: () => Promise<KV>,
  ) {}

  private async run<T>(what: string, act: (kv: KV) => Promise<T>): Promise<T> {
    try {
      return await act(await this.open());
    } catch (error) {
      if (error instanceof BusError) throw error;
      throw toBusError(error, `${what} in bucket ${this.name}`);
    }
  }

  get(key: string) {
    return this.run(`get ${key}`, async (kv) => {
      const entry = await kv.get(key);
      if (!entry || entry.operation !== 'PUT') return undefined;
      return { key, value: entry.value, revision: entry.revision };
    });
  }

  keys(prefix: string) {
    return this.run(`list ${prefix}`, async (kv) => {
      const keys: string[] = [];
      for await (const key of await kv.keys(`${prefix}>`)) keys.push(key);
      return keys.sort();
    });
  }

  compareAndSet(key: string, value: Uint8Array, expected: number) {
    return this.run(`write ${key}`, async (kv) => {
      try {
        return expected === 0 ? await kv.create(key, value) : await kv.update(key, value, expected);
      } catch (error) {
        if (error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE) {
          return undefined;
        }
        throw error;
      }
    });
  }

  delete(key: string): Promise<void> {
    return this.run(`delete ${key}`, (kv) => kv.delete(key));
  }

  watch(
    prefix: string,
    onChange: Parameters<Bucket['watch']>[1],
    signal: AbortSignal,
  ): Promise<void> {
    return this.run(`watch ${prefix}`, async (kv) => {
      const entries = await kv.watch({ key: `${prefix}>` });
      const stop = (): void => entries.stop();
      signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const entry of entries) {
          const present = entry.operation === 'PUT';
          onChange(
            entry.key,
            present ? { key: entry.key, value: entry.value, revision: entry.revision } : undefined,
          );
        }
      } finally {
        signal.removeEventListener('abort', stop);
      }
    });
  }
}
