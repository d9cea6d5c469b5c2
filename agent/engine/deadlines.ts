// Which process is due next, without looking at all of them: a heap of moments, outdated ones dropped when met.
// Invariant: `#due` holds the one moment that counts for a process; heap entries that differ from it mean nothing.
import type { Slot } from './requests.js';

interface Entry {
  readonly dueMs: number;
  readonly slot: Slot;
}

export class Deadlines {
  readonly #due = new Map<Slot, number>();
  /** Each entry is no later than the two at 2i + 1 and 2i + 2. */
  readonly #heap: Entry[] = [];

  /** Sets, moves or (undefined) removes the moment of a process. */
  set(slot: Slot, dueMs: number | undefined): void {
    if (dueMs === this.#due.get(slot)) return;
    if (dueMs === undefined) {
      this.#due.delete(slot);
      return;
    }
    this.#due.set(slot, dueMs);
    this.#push({ dueMs, slot });
  }

  /** The earliest moment; undefined: nothing is due, ever. */
  nextMs(): number | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#due.get(first.slot) === first.dueMs) return first?.dueMs;
      this.#pop();
    }
  }

  /** Takes every process whose moment has come; each must be set again. */
  takeDue(nowMs: number): Set<Slot> {
    const taken = new Set<Slot>();
    for (let dueMs = this.nextMs(); dueMs !== undefined && dueMs <= nowMs; dueMs = this.nextMs()) {
      const { slot } = this.#pop();
      this.#due.delete(slot);
      taken.add(slot);
    }
    return taken;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as Entry;
      if (above.dueMs <= entry.dueMs) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  /** Removes the first entry of a heap that is not empty. */
  #pop(): Entry {
    const heap = this.#heap;
    const first = heap[0] as Entry;
    const last = heap.pop() as Entry;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right !== undefined && right.dueMs < (heap[child] as Entry).dueMs) child += 1;
      const below = heap[child] as Entry;
      if (below.dueMs >= last.dueMs) break;
      heap[at] = below;
      at = child;
    }
    if (heap.length > 0) heap[at] = last;
    return first;
  }
}
