// One end of a session in memory: what was sent is a list, what arrives is said by the test, reading may be stopped.
import type { MessageStream } from '../../common/rpc.js';

export class FakeStream<In, Out> implements MessageStream<In, Out> {
  readonly sent: Out[] = [];
  /** false: the other end reads nothing, so what is sent stays pending. */
  isReading = true;
  hasEnded = false;
  private readonly over = new AbortController();
  private readonly untaken: { message: Out; done: (taken: boolean) => void }[] = [];
  private readonly inbox: In[] = [];
  private wake: (() => void) | undefined;
  private failure: Error | undefined;

  readonly incoming: AsyncIterable<In> = this.read();

  private async *read(): AsyncGenerator<In, void, void> {
    for (;;) {
      const message = this.inbox.shift();
      if (message !== undefined) yield message;
      else if (this.over.signal.aborted) break;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
    if (this.failure !== undefined) throw this.failure;
  }

  get pending(): number {
    return this.untaken.length;
  }

  get signal(): AbortSignal {
    return this.over.signal;
  }

  send(message: Out): Promise<boolean> {
    if (this.hasEnded || this.over.signal.aborted) return Promise.resolve(false);
    return new Promise((done) => {
      this.untaken.push({ message, done });
      // As on a real stream, the answer comes later than the call.
      setImmediate(() => this.take());
    });
  }

  private take(): void {
    while (this.isReading && !this.over.signal.aborted) {
      const next = this.untaken.shift();
      if (next === undefined) return;
      this.sent.push(next.message);
      next.done(true);
    }
  }

  /** The other end reads again. */
  resume(): void {
    this.isReading = true;
    this.take();
  }

  /** The other end says something. */
  say(message: In): void {
    this.inbox.push(message);
    this.wake?.();
  }

  end(): void {
    this.hasEnded = true;
  }

  cancel(): void {
    this.break(undefined);
  }

  /** The stream is over; `failure` is what the reader is told. */
  break(failure: Error | undefined): void {
    if (this.over.signal.aborted) return;
    this.failure = failure;
    this.over.abort();
    for (const { done } of this.untaken.splice(0)) done(false);
    this.wake?.();
  }
}
