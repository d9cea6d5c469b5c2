// Sends a log to a controller that asked for it, on a stream of its own so that a flood never delays a heartbeat.
// Invariants: one chunk of at most 64 KiB is on its way at a time; the program that writes is never slowed; a follower
// more than 1 MiB behind skips ahead and says how much (spec fleet D51).
import { Channel, type TailSpec } from '../../proto/gen/fleetvisor/v1/session.js';
import type { AgentCore, LogFollower } from '../core.js';
import type { TransferStream } from './dial.js';

const CHUNK_BYTES = 64 * 1024;
const BEHIND_BYTES_MAX = 1024 * 1024;
/** Where a follower that skipped goes on. */
const SKIP_TO_BYTES = 64 * 1024;
/** Logs sent at once to one controller (spec fleet 14). */
const TRANSFERS_MAX = 100;

interface Ending {
  /** Supervisor's fault name; empty: it ended as asked. */
  readonly fault: string;
  readonly message: string;
}

const AS_ASKED: Ending = { fault: '', message: '' };

/** The transfers of one session; they end with it. */
export class Transfers {
  readonly #core: Pick<AgentCore, 'openLog'>;
  readonly #dial: () => TransferStream;
  readonly #open = new Map<string, AbortController>();

  constructor(core: Pick<AgentCore, 'openLog'>, dial: () => TransferStream) {
    this.#core = core;
    this.#dial = dial;
  }

  /** Begins to send; problems are told on the stream. An id that is open already is ignored. */
  open(id: string, spec: TailSpec): void {
    if (this.#open.has(id)) return;
    const abort = new AbortController();
    const isFull = this.#open.size >= TRANSFERS_MAX;
    this.#open.set(id, abort);
    const stream = this.#dial();
    stream.signal.addEventListener('abort', () => abort.abort(), { once: true });
    if (stream.signal.aborted) abort.abort();
    // What is on its way to a reader that stopped would hold the transfer open.
    const cancel = (): void => (stream.pending > 0 ? stream.cancel() : undefined);
    abort.signal.addEventListener('abort', cancel, { once: true });
    void drain(stream, () => abort.abort());
    void this.#run(id, spec, stream, abort.signal, isFull).finally(() => {
      this.#open.delete(id);
      stream.end();
    });
  }

  close(id: string): void {
    this.#open.get(id)?.abort();
  }

  closeAll(): void {
    for (const abort of this.#open.values()) abort.abort();
  }

  async #run(
    id: string,
    spec: TailSpec,
    stream: TransferStream,
    signal: AbortSignal,
    isFull: boolean,
  ): Promise<void> {
    await stream.send({ body: { $case: 'opened', value: { transferId: id } } });
    let ending: Ending;
    if (isFull) {
      ending = { fault: 'BUSY', message: `this host sends ${TRANSFERS_MAX} logs already` };
    } else {
      try {
        ending = await this.#tail(spec, stream, signal);
      } catch (error) {
        ending = {
          fault: 'FAILED',
          message: `reading the log failed: ${(error as Error).message}`,
        };
      }
    }
    await stream.send({ body: { $case: 'end', value: ending } });
  }

  async #tail(spec: TailSpec, stream: TransferStream, signal: AbortSignal): Promise<Ending> {
    const channel = spec.channel === Channel.STDERR ? 'stderr' : 'stdout';
    const start = {
      ...(spec.bytes > 0 ? { bytes: spec.bytes } : {}),
      ...(spec.lines > 0 ? { lines: spec.lines } : {}),
    };
    const log = this.#core.openLog({ group: spec.group, process: spec.process }, channel, start);
    if ('fault' in log) {
      const message = log.fault === 'BAD_NAME' ? 'no such process' : `${channel} is not logged`;
      return { fault: log.fault, message: log.text === '' ? message : `${message}: ${log.text}` };
    }
    try {
      await (spec.follow ? follow(log, stream, signal) : sendOnce(log, stream, signal));
    } finally {
      log.close();
    }
    return AS_ASKED;
  }
}

/** Everything up to where the log ended when it was opened; a program that goes on writing does not prolong it. */
async function sendOnce(
  log: LogFollower,
  stream: TransferStream,
  signal: AbortSignal,
): Promise<void> {
  let left = log.behindBytes();
  while (left > 0 && !signal.aborted) {
    const chunk = log.read(Math.min(CHUNK_BYTES, left));
    if (chunk === undefined) return;
    left -= chunk.data.length + chunk.gapBytes;
    if (!(await sendChunk(stream, chunk))) return;
  }
}

async function follow(
  log: LogFollower,
  stream: TransferStream,
  signal: AbortSignal,
): Promise<void> {
  // What was asked for at the start is no lag.
  let allowance = Math.max(BEHIND_BYTES_MAX, log.behindBytes());
  while (!signal.aborted) {
    const behind = log.behindBytes();
    if (behind > allowance) log.skip(SKIP_TO_BYTES);
    else allowance = Math.max(BEHIND_BYTES_MAX, Math.min(allowance, behind));
    const chunk = log.read(CHUNK_BYTES);
    if (chunk === undefined) await log.more(signal);
    else if (!(await sendChunk(stream, chunk))) return;
  }
}

type Chunk = NonNullable<ReturnType<LogFollower['read']>>;

/** Waits until the transport took the chunk: its flow control reaches back to the reader at the other end. */
function sendChunk(stream: TransferStream, chunk: Chunk): Promise<boolean> {
  const { gapBytes, offset, generation } = chunk;
  // The follower may use its buffer again.
  const data = Buffer.from(chunk.data);
  return stream.send({ body: { $case: 'tail', value: { data, gapBytes, offset, generation } } });
}

/** Reads the controller's side, which says `cancel` or nothing, to its end. */
async function drain(stream: TransferStream, onCancel: () => void): Promise<void> {
  try {
    for await (const message of stream.incoming) {
      if (message.body?.$case === 'cancel') onCancel();
    }
  } catch {
    // The stream broke; its signal has told everyone.
  }
  onCancel();
}
