// Values from callbacks to one async reader. Bounded by its writers (one value per target) or by `max`, beyond
// which the oldest values are dropped and counted, never silently (spec fleet L3).

export class Channel<T> {
  private readonly values: T[] = [];
  private wake: () => void = () => undefined;
  private drained: () => void = () => undefined;
  private closed = false;
  private failure: { readonly error: unknown } | undefined;
  private lost = 0;

  constructor(private readonly max: number = Number.POSITIVE_INFINITY) {}

  push(value: T): void {
    if (this.closed) return;
    this.values.push(value);
    if (this.values.length > this.max) {
      this.values.shift();
      this.lost += 1;
    }
    this.wake();
  }

  /** The reader ends after what is there. */
  close(): void {
    this.closed = true;
    this.wake();
  }

  /** The reader throws after what is there. */
  fail(error: unknown): void {
    this.failure = { error };
    this.close();
  }

  /** How many values were dropped since the last call. */
  takeLost(): number {
    const lost = this.lost;
    this.lost = 0;
    return lost;
  }

  /** All that is there, without waiting. */
  drain(): T[] {
    const values = this.values.splice(0);
    this.drained();
    return values;
  }

  /** Resolves when there is something to drain, or at the end; false: at the end. */
  async ready(signal: AbortSignal): Promise<boolean> {
    while (this.values.length === 0) {
      if (this.failure !== undefined) throw this.failure.error;
      if (this.closed || signal.aborted) return false;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.wake = done;
        signal.addEventListener('abort', done, { once: true });
      });
    }
    return true;
  }

  /** Resolves when fewer than `count` values wait, so that a producer goes no faster than the reader. */
  async roomBelow(count: number, signal: AbortSignal): Promise<void> {
    while (this.values.length >= count && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.drained = done;
        signal.addEventListener('abort', done, { once: true });
      });
    }
  }

  /** One value at a time, until closed or `signal`. */
  async *take(signal: AbortSignal): AsyncGenerator<T, void, void> {
    while (await this.ready(signal)) yield* this.drain();
  }
}
