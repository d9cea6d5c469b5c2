// A lease that one holder of each name has at a time; `revoke` takes it away as a lost renewal would.
import type { Lease } from '../../controller/records.js';

export class SimLease implements Lease {
  private fence = 0;
  private readonly held = new Map<string, AbortController>();

  async hold(
    name: string,
    whileHeld: (fence: number, lost: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted && !this.held.has(name)) {
      const lost = new AbortController();
      this.held.set(name, lost);
      this.fence += 1;
      try {
        await whileHeld(this.fence, AbortSignal.any([lost.signal, signal]));
      } finally {
        this.held.delete(name);
      }
      if (!lost.signal.aborted) return;
    }
  }

  revoke(name: string): void {
    this.held.get(name)?.abort();
  }
}
