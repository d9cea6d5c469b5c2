// Virtual time: things that will happen, in the order of their moments; equal moments in the order of arrival.

export class Timeline {
  nowMs = 0;
  readonly #queue: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;

  /** Runs `run` at `atMs`, or now if that is past. */
  at(atMs: number, run: () => void): void {
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run };
    // Binary insertion: the queue stays sorted, soonest last.
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#queue[middle];
      if (other !== undefined && isLater(other, entry)) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, entry);
  }

  /** The moment of the next thing; undefined: nothing is left. */
  nextAtMs(): number | undefined {
    return this.#queue.at(-1)?.atMs;
  }

  /** Lets the next thing happen. */
  advance(): void {
    const entry = this.#queue.pop();
    if (entry === undefined) return;
    this.nowMs = entry.atMs;
    entry.run();
  }
}

function isLater(a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean {
  return a.atMs !== b.atMs ? a.atMs > b.atMs : a.order > b.order;
}
