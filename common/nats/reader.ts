// Reads a stream in order from a cursor of its own, over lost connections and stores that went back in time.
// Invariants: a message that was delivered is not delivered again by the same reader unless the store went back; a hole
// in the server's own numbering starts a new consumer at the cursor.
import { AckPolicy, DeliverPolicy, nanos, type JsMsg, type NatsConnection } from 'nats';
import type { Bus, BusMessage } from '../bus.js';
import { toBusError } from './errors.js';
import { sleep } from './sleep.js';

const IDLE_HEARTBEAT_MS = 2_000;
const FETCH_EXPIRES_MS = 30_000;
const FETCH_MESSAGES = 256;
const RETRY_MS = 500;
const CONSUMER_KEPT_MS = 60_000;

export type ConsumeOptions = Parameters<Bus['consume']>[1];

export interface ReaderWorld {
  /** Throws BusError while the bus is away. */
  readonly connection: () => NatsConnection;
  readonly requestMs: number;
  readonly isClosed: () => boolean;
}

export interface Reading extends ConsumeOptions {
  readonly stream: string;
  readonly onMessage: (message: BusMessage) => void | Promise<void>;
}

/** Where a reader stands: the stream sequence it wants next, unknown until the first attempt. */
interface Cursor {
  nextSeq: number | undefined;
  caughtUp: boolean;
}

/** Resolves at the end of what was asked for; without `follow` it rejects when the bus fails. */
export async function readStream(world: ReaderWorld, reading: Reading): Promise<void> {
  const cursor: Cursor = { nextSeq: undefined, caughtUp: false };
  while (!reading.signal.aborted && !world.isClosed()) {
    try {
      await readOnce(world, reading, cursor);
      if (!reading.follow) return;
    } catch (error) {
      if (!reading.follow) throw toBusError(error, `read ${reading.stream}`);
    }
    await sleep(RETRY_MS, reading.signal);
  }
}

/** Reads until the connection breaks, a message is missing, the end is reached or `signal` fires. */
async function readOnce(world: ReaderWorld, reading: Reading, cursor: Cursor): Promise<void> {
  const { stream, signal } = reading;
  const connection = world.connection();
  const js = connection.jetstream({ timeout: world.requestMs });
  const manager = await js.jetstreamManager(false);
  const { state } = await manager.streams.info(stream);
  const end = state.last_seq + 1;
  if (cursor.nextSeq === undefined) {
    if (reading.sinceWallMs === undefined) cursor.nextSeq = end;
  } else if (cursor.nextSeq > end) {
    // A store that went back in time reuses sequence numbers: the old cursor would skip new messages.
    cursor.nextSeq = state.first_seq;
  }
  const filter = reading.subjects.length === 1 ? reading.subjects[0] : undefined;
  const info = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(CONSUMER_KEPT_MS),
    ...(filter === undefined ? {} : { filter_subject: filter }),
    ...startOf(cursor.nextSeq, reading.sinceWallMs ?? 0),
  });
  const caughtUp = (): void => {
    if (cursor.caughtUp) return;
    cursor.caughtUp = true;
    reading.onCaughtUp?.();
  };
  if (info.num_pending === 0) {
    caughtUp();
    if (!reading.follow) return;
  }
  const consumer = await js.consumers.get(stream, info.name);
  const messages = await consumer.consume({
    max_messages: FETCH_MESSAGES,
    expires: FETCH_EXPIRES_MS,
    idle_heartbeat: IDLE_HEARTBEAT_MS,
  });
  const stop = (): void => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  void connection.closed().then(stop);
  void stopOnMissedHeartbeats(messages);
  try {
    let delivered = 0;
    for await (const message of messages) {
      delivered += 1;
      if (message.info.deliverySequence !== delivered) return;
      await reading.onMessage(toMessage(message));
      cursor.nextSeq = message.seq + 1;
      if (message.info.pending === 0) {
        caughtUp();
        if (!reading.follow) return;
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
    messages.stop();
  }
}

/** A consumer that fell silent is replaced instead of waited for. */
async function stopOnMissedHeartbeats(messages: {
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
