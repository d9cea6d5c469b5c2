// The bus adapter over NATS with JetStream; the one folder that imports `nats`. Works with servers from 2.9 on.
// Invariants: connects in the background and for ever; nothing is sent into a dead connection's buffer.
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import {
  connect,
  DiscardPolicy,
  Events,
  nanos,
  RetentionPolicy,
  StorageType,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
} from 'nats';
import { BusError, type Bucket, type Bus, type BusMessage, type BusStatus } from '../bus.js';
import { NatsBucket } from './bucket.js';
import { reasonOf, toBusError } from './errors.js';
import { readStream, type ConsumeOptions } from './reader.js';
import { sleep } from './sleep.js';

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

/** Connects in the background; the bus is `away` until the first server answers. */
export function openNats(options: NatsOptions): Bus {
  return new NatsBus(options);
}

class NatsBus implements Bus {
  private connection: NatsConnection | undefined;
  private connected = false;
  private reason = 'not connected yet';
  /** Watchers heard of a first connection or of its failure. */
  private announced = false;
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
    if (connected === this.connected && this.announced) return;
    this.announced = true;
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

  consume(
    stream: string,
    options: ConsumeOptions,
    onMessage: (message: BusMessage) => void | Promise<void>,
  ): Promise<void> {
    return readStream(
      {
        connection: () => this.need(`read ${stream}`),
        requestMs: this.requestMs,
        isClosed: () => this.closed,
      },
      { stream, ...options, onMessage },
    );
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
    const open = async () => this.jetstream(`bucket ${name}`).views.kv(name, { bindOnly: true });
    await open();
    return new NatsBucket(name, open);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.stop.abort();
    await this.connection?.close();
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
