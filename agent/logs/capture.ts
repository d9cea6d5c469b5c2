// Reads what children write: one non-blocking pipe end each, a buffer shared by all, bytes handed on at once.
// Invariants: output is always read, whatever becomes of it; `onEnd` is called exactly once.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';

/** One read takes at most what a pipe holds. */
const BUFFER_BYTES = 64 * 1024;
/** `drain` stops after this much: a child's pipe holds 64 KiB, the rest is somebody who goes on writing. */
const DRAIN_BYTES_MAX = 1024 * 1024;

// Every callback consumes its bytes before it returns, so one buffer serves all pipes.
const shared = Buffer.allocUnsafeSlow(BUFFER_BYTES);

/** Takes bytes that are valid only during the call. */
export type ByteSink = (data: Uint8Array) => void;

/** One pipe being read. */
export class Capture {
  readonly #sink: ByteSink;
  readonly #onEnd: () => void;
  readonly #socket: Socket;
  readonly #fd: number;
  #ended = false;

  /**
   * Opens `path` (`/proc/KEEPER/fd/N`) and reads it until its end. Throws the system's error when it cannot be
   * opened: then the keeper is gone and with it what the pipe held.
   */
  constructor(path: string, sink: ByteSink, onEnd: () => void) {
    this.#sink = sink;
    this.#onEnd = onEnd;
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Node takes `onread` here too; its types know it for `connect` only.
    const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = {
      fd: this.#fd,
      readable: true,
      writable: false,
      onread: {
        buffer: shared,
        callback: (count, buffer) => {
          this.#sink(buffer.subarray(0, count));
          return true;
        },
      },
    };
    this.#socket = new Socket(options);
    this.#socket.on('error', () => this.close());
    this.#socket.on('close', () => this.#finish());
  }

  /** Reads now what the pipe holds, so that a child's last words are logged before its end is. */
  drain(): void {
    for (let done = 0; !this.#ended && done < DRAIN_BYTES_MAX;) {
      let count: number;
      try {
        count = readSync(this.#fd, shared, 0, BUFFER_BYTES, null);
      } catch {
        // EAGAIN: empty, and somebody still holds the other end.
        return;
      }
      if (count === 0) return;
      this.#sink(shared.subarray(0, count));
      done += count;
    }
  }

  /** Stops reading. Idempotent. */
  close(): void {
    this.#socket.destroy();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}

/** Text waiting for one child's stdin. */
const STDIN_QUEUE_BYTES_MAX = 1024 * 1024;

/** The write end of a child's stdin; what the pipe does not take waits, up to 1 MiB (spec process 16). */
export class StdinWriter {
  readonly #socket: Socket;
  #closed = false;

  /** Throws the system's error when the pipe cannot be opened (ENXIO: the child has closed it). */
  constructor(path: string) {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      this.#socket = new Socket({ fd, readable: false, writable: true });
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.#socket.on('error', () => this.close());
    this.#socket.on('close', () => (this.#closed = true));
  }

  /** `closed`: the child does not read any more. `full`: too much is waiting already. */
  write(text: string): 'ok' | 'closed' | 'full' {
    if (this.#closed) return 'closed';
    if (this.#socket.writableLength + Buffer.byteLength(text) > STDIN_QUEUE_BYTES_MAX)
      return 'full';
    this.#socket.write(text);
    return this.#closed ? 'closed' : 'ok';
  }

  /** Idempotent; waiting text is dropped. */
  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }
}
