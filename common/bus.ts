// The bus as a port: what agents and controllers ask of NATS with JetStream. The adapter is nats/connection.ts.
// Invariants: nothing is buffered for a bus that is away (callers keep their own spool); every promise
// settles within the adapter's time limit; a subscription survives reconnects by itself.

/** Thrown when the bus is away, full or refuses; `retryable` says whether the same call may succeed later. */
export class BusError extends Error {
  override readonly name = 'BusError';
  constructor(
    message: string,
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

export type BusStatus =
  | { readonly kind: 'connected'; readonly server: string }
  | { readonly kind: 'away'; readonly reason: string };

export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Position in the stream; 0 for messages that are not stored. */
  readonly streamSeq: number;
  /** When the bus stored it, wall milliseconds; 0 for messages that are not stored. */
  readonly storedWallMs: number;
}

export interface StreamLimits {
  readonly subjects: readonly string[];
  readonly ageMsMax: number;
  readonly bytesMax: number;
  readonly duplicateWindowMs: number;
}

/** One value of a bucket. `revision` grows with every change of the bucket. */
export interface BucketEntry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

export interface Bucket {
  get(key: string): Promise<BucketEntry | undefined>;
  keys(prefix: string): Promise<readonly string[]>;
  /**
   * Writes if the key's revision is `expected` (0: the key must not exist).
   * Returns the new revision, or undefined when another writer was first.
   */
  compareAndSet(key: string, value: Uint8Array, expected: number): Promise<number | undefined>;
  delete(key: string): Promise<void>;
  /** The present entries, then changes; `undefined` value means deleted. Ends on `signal`. */
  watch(
    prefix: string,
    onChange: (key: string, entry: BucketEntry | undefined) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface Bus {
  status(): BusStatus;
  onStatus(callback: (status: BusStatus) => void): void;
  /** Stores one message; the same `id` within the duplicate window is stored once. Resolves when acknowledged. */
  publishStored(
    subject: string,
    data: Uint8Array,
    id: string,
  ): Promise<{ readonly streamSeq: number; readonly duplicate: boolean }>;
  /** Sends without storage or acknowledgement; dropped when the bus is away. */
  publish(subject: string, data: Uint8Array): void;
  /** Not stored messages from now on. */
  subscribe(subject: string, onMessage: (message: BusMessage) => void): () => void;
  /**
   * Stored messages from `sinceWallMs` (or from now on when undefined), in stream order, for ever or, with
   * `follow: false`, until the stream's present end. Resumes by itself after a reconnect, without repeating
   * what it delivered. `onCaughtUp` is called once when the present end is reached. Ends on `signal`.
   */
  consume(
    stream: string,
    options: {
      readonly subjects: readonly string[];
      readonly sinceWallMs: number | undefined;
      readonly follow: boolean;
      readonly signal: AbortSignal;
      readonly onCaughtUp?: () => void;
    },
    onMessage: (message: BusMessage) => void | Promise<void>,
  ): Promise<void>;
  /** Creates or updates a stream; fails with the numbers when the store cannot hold it. */
  ensureStream(name: string, limits: StreamLimits): Promise<void>;
  ensureBucket(
    name: string,
    options: { readonly bytesMax: number; readonly history: number },
  ): Promise<void>;
  bucket(name: string): Promise<Bucket>;
  close(): Promise<void>;
}
