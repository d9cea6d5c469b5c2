// The bus adapter over NATS with JetStream; the one importer of `nats`. Works with servers from 2.9 on.
// Invariants: connects in the background and for ever; nothing is sent into a dead connection's buffer.
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import {
  AckPolicy,
  connect,
  DeliverPolicy,
  DiscardPolicy,
  Events,
  nanos,
  NatsError,
  RetentionPolicy,
  StorageType,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type KV,
  type NatsConnection,
} from 'nats';
import { BusError, type Bucket, type Bus, type BusMessage, type BusStatus } from './bus.js';

export interface NatsOptions {
  /** `host:port` or `nats://host:port`; at least one. */
  readonly servers: readonly string[];
  /** PEM files; absent only on loopback in tests. Read anew at each connection, so renewed files take effect. */
  readonly tls?: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    /** Refuses a server by returning why; names are checked by URI, never by DNS (design 7). */
    readonly checkServer: (certificate: PeerCertificate) => Error | undefined;
  };
  /** Shown in the server's monitoring. */
  readonly name: string;
  /** Reply subjects live below it, so that permissions can keep identities apart. */
  readonly inboxPrefix?: string;
  /** How long one request may take, milliseconds. */
  readonly requestMs?: number;
}

const PING_MS = 5_000;
const CONNECT_MS = 5_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5_000;
const IDLE_HEARTBEAT_MS = 2_000;
const FETCH_EXPIRES_MS = 30_000;
const FETCH_MESSAGES = 256;
/** JetStream's code for "another writer was first". */
const WRONG_LAST_SEQUENCE = 10071;

/** Where a reader stands: the stream sequence it wants next, unknown until the first attempt. */
interface Cursor {
  nextSeq: number | undefined;
  caughtUp: boolean;
}

/** Connects in the background; the bus is `away` until the first server answers. */
export function openNats(options: NatsOptions): Bus {
  return new NatsBus(options);
}

/** Why something failed, as text an operator can act on. */
function reasonOf(error: unknown): string {
  if (error instanceof NatsError && error.api_error) return error.api_error.description;
  return error instanceof Error ? error.message : String(error);
}

function toBusError(error: unknown, what: string): BusError {
  const api = error instanceof NatsError ? error.api_error : undefined;
  const retryable = api === undefined || api.code >= 500;
  return new BusError(`${what}: ${reasonOf(error)}`, retryable);
}

class NatsBus implements Bus {
  private connection: NatsConnection | undefined;
  private connected = false;
  private reason = 'not connected yet';
  private closed = false;
  private readonly watchers: ((status: BusStatus) => void)[] = [];
  private readonly subscriptions = new Set<{
    subject: string;
    onMessage: (message: BusMessage) => void;
    stop: (() => void) | undefined;
  }>();
  private readonly stop = new AbortController();
  private readonly requestMs: number;

  constructor(private readonly options: NatsOptions) {
    this.requestMs = options.requestMs ?? 5_000;
    void this.keepConnected();
  }

  status(): BusStatus {
    return this.connected && this.connection
      ? { kind: 'connected', server: this.connection.getServer() }
      : { kind: 'away', reason: this.reason };
  }

  onStatus(callback: (status: BusStatus) => void): void {
    this.watchers.push(callback);
  }

  private setConnected(connected: boolean, reason: string): void {
    this.reason = reason;
    if (connected === this.connected) return;
    this.connected = connected;
    for (const watcher of this.watchers) watcher(this.status());
  }

  /** One connection at a time; a lost one is replaced by a new one, never revived with old buffers. */
  private async keepConnected(): Promise<void> {
    let delayMs = RETRY_MS_MIN;
    while (!this.closed) {
      try {
        const connection = await connect({
          servers: [...this.options.servers],
          name: this.options.name,
          timeout: CONNECT_MS,
          pingInterval: PING_MS,
          maxPingOut: 2,
          reconnect: false,
          ignoreClusterUpdates: true,
          ...(this.options.inboxPrefix === undefined
            ? {}
            : { inboxPrefix: this.options.inboxPrefix }),
          ...(this.options.tls === undefined ? {} : { tls: tlsOptions(this.options.tls) }),
        });
        if (this.closed) {
          await connection.close();
          return;
        }
        this.connection = connection;
        for (const entry of this.subscriptions) this.attach(entry);
        this.setConnected(true, '');
        delayMs = RETRY_MS_MIN;
        void this.followStatus(connection);
        const error = await connection.closed();
        this.setConnected(false, error ? reasonOf(error) : 'connection closed');
        this.connection = undefined;
      } catch (error) {
        this.setConnected(false, reasonOf(error));
      }
      if (this.closed) return;
      await sleep(delayMs * (0.5 + Math.random() / 2), this.stop.signal);
      delayMs = Math.min(delayMs * 2, RETRY_MS_MAX);
    }
  }

  private async followStatus(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) this.setConnected(false, 'connection lost');
    }
  }

  private need(what: string): NatsConnection {
    if (!this.connected || !this.connection) {
      throw new BusError(`${what}: the bus is away: ${this.reason}`, true);
    }
    return this.connection;
  }

  private jetstream(what: string): JetStreamClient {
    return this.need(what).jetstream({ timeout: this.requestMs });
  }

  private async manager(what: string): Promise<JetStreamManager> {
    return this.need(what).jetstreamManager({ timeout: this.requestMs, checkAPI: false });
  }

  async publishStored(subject: string, data: Uint8Array, id: string) {
    const js = this.jetstream(`publish on ${subject}`);
    try {
      const ack = await js.publish(subject, data, { msgID: id, timeout: this.requestMs });
      return { streamSeq: ack.seq, duplicate: ack.duplicate };
    } catch (error) {
      throw toBusError(error, `publish on ${subject}`);
    }
  }

  publish(subject: string, data: Uint8Array): void {
    if (this.connected) this.connection?.publish(subject, data);
  }

  subscribe(subject: string, onMessage: (message: BusMessage) => void): () => void {
    const entry = { subject, onMessage, stop: undefined };
    this.subscriptions.add(entry);
    if (this.connected) this.attach(entry);
    return () => {
      this.subscriptions.delete(entry);
      (entry as { stop: (() => void) | undefined }).stop?.();
    };
  }

  private attach(entry: {
    subject: string;
    onMessage: (message: BusMessage) => void;
    stop: (() => void) | undefined;
  }): void {
    const subscription = this.connection?.subscribe(entry.subject, {
      callback: (error, message) => {
        if (error) return;
        entry.onMessage({
          subject: message.subject,
          data: message.data,
          streamSeq: 0,
          storedWallMs: 0,
        });
      },
    });
    entry.stop = () => subscription?.unsubscribe();
  }

  async consume(
    stream: string,
    options: Parameters<Bus['consume']>[1],
    onMessage: (message: BusMessage) => void | Promise<void>,
  ): Promise<void> {
    const cursor: Cursor = { nextSeq: undefined, caughtUp: false };
    while (!options.signal.aborted && !this.closed) {
      try {
        await this.consumeOnce(stream, options, cursor, onMessage);
        if (!options.follow) return;
      } catch (error) {
        if (!options.follow) throw toBusError(error, `read ${stream}`);
      }
      await sleep(RETRY_MS_MIN * 2, options.signal);
    }
  }

  /** Reads until the connection breaks, a message is missing, the end is reached or `signal` fires. */
  private async consumeOnce(
    stream: string,
    options: Parameters<Bus['consume']>[1],
    cursor: Cursor,
    onMessage: (message: BusMessage) => void | Promise<void>,
  ): Promise<void> {
    const connection = this.need(`read ${stream}`);
    const manager = await this.manager(`read ${stream}`);
    const present = await manager.streams.info(stream);
    const end = present.state.last_seq + 1;
    if (cursor.nextSeq === undefined) {
      if (options.sinceWallMs === undefined) cursor.nextSeq = end;
    } else if (cursor.nextSeq > end) {
      // A store that went back in time reuses sequence numbers: the old cursor would skip new messages.
      cursor.nextSeq = present.state.first_seq;
    }
    const filter = options.subjects.length === 1 ? options.subjects[0] : undefined;
    const info = await manager.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(60_000),
      ...(filter === undefined ? {} : { filter_subject: filter }),
      ...startOf(cursor.nextSeq, options.sinceWallMs ?? 0),
    });
    const caughtUp = (): void => {
      if (cursor.caughtUp) return;
      cursor.caughtUp = true;
      options.onCaughtUp?.();
    };
    if (info.num_pending === 0) {
      caughtUp();
      if (!options.follow) return;
    }
    const consumer = await this.jetstream(`read ${stream}`).consumers.get(stream, info.name);
    const messages = await consumer.consume({
      max_messages: FETCH_MESSAGES,
      expires: FETCH_EXPIRES_MS,
      idle_heartbeat: IDLE_HEARTBEAT_MS,
    });
    const stop = (): void => messages.stop();
    options.signal.addEventListener('abort', stop, { once: true });
    void connection.closed().then(stop);
    void this.stopOnMissedHeartbeats(messages);
    try {
      let delivered = 0;
      for await (const message of messages) {
        delivered += 1;
        if (message.info.deliverySequence !== delivered) return;
        await onMessage(toMessage(message));
        cursor.nextSeq = message.seq + 1;
        if (message.info.pending === 0) {
          caughtUp();
          if (!options.follow) return;
        }
      }
    } finally {
      options.signal.removeEventListener('abort', stop);
      messages.stop();
    }
  }

  private async stopOnMissedHeartbeats(messages: {
    stop(): void;
    status(): Promise<AsyncIterable<{ type: string }>>;
  }): Promise<void> {
    for await (const status of await messages.status()) {
      if (status.type === 'heartbeats_missed' || status.type === 'consumer_not_found') {
        messages.stop();
        return;
      }
    }
  }

  async ensureStream(name: string, limits: Parameters<Bus['ensureStream']>[1]): Promise<void> {
    const manager = await this.manager(`stream ${name}`);
    const config = {
      name,
      subjects: [...limits.subjects],
      max_age: nanos(limits.ageMsMax),
      max_bytes: limits.bytesMax,
      duplicate_window: nanos(limits.duplicateWindowMs),
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: StorageType.File,
    };
    const what = `stream ${name} of ${limits.bytesMax} bytes`;
    try {
      const exists = await manager.streams.info(name).then(
        () => true,
        () => false,
      );
      await (exists ? manager.streams.update(name, config) : manager.streams.add(config));
    } catch (error) {
      throw toBusError(error, what);
    }
  }

  async ensureBucket(
    name: string,
    options: { readonly bytesMax: number; readonly history: number },
  ): Promise<void> {
    try {
      await this.jetstream(`bucket ${name}`).views.kv(name, {
        history: options.history,
        max_bytes: options.bytesMax,
        storage: StorageType.File,
      });
    } catch (error) {
      throw toBusError(error, `bucket ${name} of ${options.bytesMax} bytes`);
    }
  }

  async bucket(name: string): Promise<Bucket> {
    const open = async (): Promise<KV> =>
      this.jetstream(`bucket ${name}`).views.kv(name, { bindOnly: true });
    await open();
    return new NatsBucket(name, open);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.stop.abort();
    await this.connection?.close();
  }
}

/** Opens the key-value view per call, because a view dies with its connection. */
class NatsBucket implements Bucket {
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

/** What Node's TLS takes beyond the fields the client's type names; the client passes it through. */
function tlsOptions(tls: NonNullable<NatsOptions['tls']>): {
  ca: string;
  cert: string;
  key: string;
} {
  const options = {
    ca: readFileSync(tls.ca, 'utf8'),
    cert: readFileSync(tls.cert, 'utf8'),
    key: readFileSync(tls.key, 'utf8'),
    minVersion: 'TLSv1.3',
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      tls.checkServer(certificate),
  };
  return options;
}

function startOf(
  nextSeq: number | undefined,
  sinceWallMs: number,
): { deliver_policy: DeliverPolicy; opt_start_seq?: number; opt_start_time?: string } {
  if (nextSeq !== undefined) {
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, nextSeq) };
  }
  return {
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(sinceWallMs).toISOString(),
  };
}

function toMessage(message: JsMsg): BusMessage {
  return {
    subject: message.subject,
    data: message.data,
    streamSeq: message.seq,
    storedWallMs: Math.floor(message.info.timestampNanos / 1_000_000),
  };
}

function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done, { once: true });
  });
}
