// Records and leases kept in a bucket of the bus: the real adapters of ../records.ts.
import type { Bucket, BucketEntry, Bus } from '../../common/bus.js';
import { pause, type Clock } from '../../common/clock.js';
import type { Lease, RecordEntry, Records } from '../records.js';

/** JSON records in the bucket `name`; every call fails with BusError while the bus is away. */
export function bucketRecords(bus: Bus, name: string): Records {
  let opened: Promise<Bucket> | undefined;
  const bucket = (): Promise<Bucket> => {
    opened ??= bus.bucket(name).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  return {
    async get(key) {
      const entry = await (await bucket()).get(key);
      return entry && decode(entry);
    },
    async list(prefix) {
      const open = await bucket();
      const entries = await Promise.all((await open.keys(prefix)).map((key) => open.get(key)));
      return entries.filter((entry) => entry !== undefined).map(decode);
    },
    async compareAndSet(key, value, expected) {
      const data = Buffer.from(JSON.stringify(value));
      return (await bucket()).compareAndSet(key, data, expected);
    },
    async delete(key) {
      await (await bucket()).delete(key);
    },
    async watch(prefix, onChange, signal) {
      await (
        await bucket()
      ).watch(prefix, (key, entry) => onChange(key, entry && decode(entry)), signal);
    },
  };
}

function decode(entry: BucketEntry): RecordEntry {
  const value: unknown = JSON.parse(Buffer.from(entry.value).toString('utf8'));
  return { key: entry.key, value, revision: entry.revision };
}

/** Times of spec fleet D40, milliseconds. */
export interface LeaseTimes {
  readonly renewMs: number;
  readonly giveUpMs: number;
  readonly takeOverMs: number;
}

export const LEASE_TIMES: LeaseTimes = { renewMs: 5_000, giveUpMs: 10_000, takeOverMs: 15_000 };

interface Holding {
  readonly holder: string;
  readonly fence: number;
  readonly counter: number;
}

/**
 * Leases over records. A holder renews by compare-and-set and gives up `giveUpMs` after it *sent* its last
 * successful renewal; others take over once they saw the revision stand still for `takeOverMs` on their own
 * clock. Only a successful compare-and-set decides (spec fleet D40).
 */
export function recordLease(
  records: Records,
  holder: string,
  clock: Clock,
  times: LeaseTimes = LEASE_TIMES,
): Lease {
  return {
    async hold(name, whileHeld, signal) {
      const key = `lease.${name}`;
      let seen: { revision: number; sinceMs: number } | undefined;
      while (!signal.aborted) {
        const held = await tryTake(key, seen);
        if (held.kind === 'taken') {
          seen = undefined;
          await keep(key, held.revision, held.holding, whileHeld, signal);
        } else if (held.revision !== seen?.revision) {
          seen = { revision: held.revision, sinceMs: clock.nowMs() };
        }
        await pause(clock, times.renewMs, signal);
      }
    },
  };

  async function tryTake(
    key: string,
    seen: { revision: number; sinceMs: number } | undefined,
  ): Promise<
    | { kind: 'taken'; revision: number; holding: Holding }
    | { kind: 'held' | 'away'; revision: number }
  > {
    try {
      const entry = await records.get(key);
      const old = entry?.value as Holding | undefined;
      const free =
        entry === undefined ||
        old?.holder === holder ||
        old?.holder === '' ||
        (seen?.revision === entry.revision && clock.nowMs() - seen.sinceMs >= times.takeOverMs);
      if (!free) return { kind: 'held', revision: entry.revision };
      const fence = Math.max((old?.fence ?? 0) + 1, Math.floor(clock.wallMs()));
      const holding: Holding = { holder, fence, counter: 0 };
      const revision = await records.compareAndSet(key, holding, entry?.revision ?? 0);
      return revision === undefined
        ? { kind: 'held', revision: -1 }
        : { kind: 'taken', revision, holding };
    } catch {
      return { kind: 'away', revision: seen?.revision ?? -1 };
    }
  }

  /** Runs the duty and renews beside it; on loss the duty's signal fires and its end is awaited. */
  async function keep(
    key: string,
    revision: number,
    holding: Holding,
    whileHeld: (fence: number, lost: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const lost = new AbortController();
    const stop = (): void => lost.abort();
    signal.addEventListener('abort', stop, { once: true });
    let renewed = { revision, sentMs: clock.nowMs(), counter: 0 };
    const renewing = (async () => {
      while (!lost.signal.aborted) {
        await pause(clock, times.renewMs, lost.signal);
        if (lost.signal.aborted) return;
        const sentMs = clock.nowMs();
        const counter = renewed.counter + 1;
        try {
          const next = await records.compareAndSet(key, { ...holding, counter }, renewed.revision);
          if (next === undefined) return stop();
          renewed = { revision: next, sentMs, counter };
        } catch {
          if (clock.nowMs() - renewed.sentMs >= times.giveUpMs) return stop();
        }
        if (clock.nowMs() - renewed.sentMs >= times.giveUpMs) return stop();
      }
    })();
    try {
      await whileHeld(holding.fence, lost.signal);
    } finally {
      const wasLost = lost.signal.aborted && !signal.aborted;
      stop();
      signal.removeEventListener('abort', stop);
      await renewing;
      // Handing over at once spares the successor the wait; only the holder's own revision is given up.
      if (!wasLost) {
        await records
          .compareAndSet(key, { ...holding, holder: '' }, renewed.revision)
          .catch(() => undefined);
      }
    }
  }
}
