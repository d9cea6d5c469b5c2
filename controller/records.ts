// Ports for what must outlive a controller: records (get, compare-and-set, watch) and leases over them.
// The NATS adapter is bus/records.ts, the simulated one test/support/sim-records.ts.

/** A record's value and the revision to name when changing it. */
export interface RecordEntry {
  readonly key: string;
  /** JSON value; shapes belong to the owner of the key's prefix. */
  readonly value: unknown;
  readonly revision: number;
}

export interface Records {
  get(key: string): Promise<RecordEntry | undefined>;
  list(prefix: string): Promise<readonly RecordEntry[]>;
  /** `expected` 0: must not exist. Returns the new revision, or undefined when another writer was first. */
  compareAndSet(key: string, value: unknown, expected: number): Promise<number | undefined>;
  delete(key: string): Promise<void>;
  /** Present entries, then changes; ends on `signal`. */
  watch(
    prefix: string,
    onChange: (key: string, entry: RecordEntry | undefined) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** A duty that one replica owns at a time. */
export interface Lease {
  /**
   * Tries to take the lease, then keeps it until `signal` or loss. `whileHeld` runs once per holding and gets
   * the fence (grows with every holder) and a signal that fires when the lease is given up (spec fleet D40).
   */
  hold(
    name: string,
    whileHeld: (fence: number, lost: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
}
