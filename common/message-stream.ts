// One end of a bidirectional stream of messages: read with backpressure, sent with flow control, over once.
// Knows nothing of gRPC but the shape of its duplex calls.
import { setMaxListeners } from 'node:events';

/** One end of a bidirectional stream. */
export interface MessageStream<In, Out> {
  /** What the other end sends, read only as fast as it is taken; for one reader. Ends with the stream. */
  readonly incoming: AsyncIterable<In>;
  /** Resolves when the transport took the message (its flow control included); false: the stream is over. */
  send(message: Out): Promise<boolean>;
  /** Messages given to `send` that the transport has not taken yet. */
  readonly pending: number;
  /** Nothing more will be sent. */
  end(): void;
  /** Ends both directions now. */
  cancel(): void;
  /** Aborted when the stream is over, for whatever reason. */
  readonly signal: AbortSignal;
}

/** What is used of a gRPC duplex call. */
export interface DuplexCall<Out> extends NodeJS.EventEmitter {
  write(message: Out, callback: (error?: Error | null) => void): boolean;
  iterator(options: { destroyOnReturn: boolean }): AsyncIterableIterator<unknown>;
  end(): unknown;
}

/**
 * Wraps a duplex call. `failure` turns its error into what readers get; undefined: the messages just end.
 */
export function openStream<In, Out>(
  call: DuplexCall<Out>,
  cancel: () => void,
  failure: (error: unknown) => Error | undefined,
): MessageStream<In, Out> {
  const over = newScope();
  let pending = 0;
  let ended = false;
  call.on('error', () => over.abort());
  for (const event of ['close', 'cancelled', 'status']) call.on(event, () => over.abort());
  async function* read(): AsyncGenerator<In, void, void> {
    try {
      for await (const message of call.iterator({ destroyOnReturn: false })) yield message as In;
    } catch (error) {
      const mapped = failure(error);
      if (mapped !== undefined) throw mapped;
    }
  }
  return {
    incoming: read(),
    send(message) {
      if (ended || over.signal.aborted) return Promise.resolve(false);
      pending++;
      return new Promise((resolve) => {
        let done = false;
        const finish = (taken: boolean): void => {
          if (done) return;
          done = true;
          pending--;
          over.signal.removeEventListener('abort', giveUp);
          resolve(taken);
        };
        const giveUp = (): void => finish(false);
        over.signal.addEventListener('abort', giveUp, { once: true });
        call.write(message, (error) => finish(error === undefined || error === null));
      });
    },
    get pending() {
      return pending;
    },
    end() {
      if (ended) return;
      ended = true;
      call.end();
    },
    cancel,
    signal: over.signal,
  };
}

/** Resolves when the transport took the message; false: the reader is gone. */
export function writeMessage<Out>(
  call: Pick<DuplexCall<Out>, 'write'>,
  message: Out,
  signal: AbortSignal,
): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    signal.addEventListener('abort', gone, { once: true });
    call.write(message, (error) => {
      signal.removeEventListener('abort', gone);
      resolve(error === undefined || error === null);
    });
  });
}

/** A call's end has a listener for each part of the call: a message on its way, a host that it commands. */
export function newScope(): AbortController {
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  return over;
}
