// Which events were seen already, on any path: so that each is told once, also when the paths overtake each other.
// Pure. Invariant: bounded; what falls out of the window counts as seen (spec fleet D19).

/** Sequences remembered above the low mark, per life of a host. */
const WINDOW_MAX = 10_000;
/** Lives remembered per source; older ones count as seen. */
const LIVES_MAX = 4;

interface Life {
  readonly epoch: number;
  /** Everything up to here was seen or is given up. */
  low: number;
  readonly above: Set<number>;
}

/** Remembers (source, epoch, seq); a source numbers its own events. */
export class SeenEvents {
  private readonly lives = new Map<string, Life[]>();

  /** True the first time. */
  add(source: string, epoch: number, seq: number): boolean {
    const life = this.life(source, epoch);
    if (life === undefined || seq <= life.low || life.above.has(seq)) return false;
    life.above.add(seq);
    while (life.above.delete(life.low + 1)) life.low += 1;
    if (life.above.size > WINDOW_MAX) {
      const smallest = Math.min(...life.above);
      life.low = smallest;
      while (life.above.delete(life.low)) life.low += 1;
      life.low -= 1;
    }
    return true;
  }

  private life(source: string, epoch: number): Life | undefined {
    let lives = this.lives.get(source);
    if (lives === undefined) {
      lives = [];
      this.lives.set(source, lives);
    }
    let life = lives.find((one) => one.epoch === epoch);
    if (life === undefined) {
      if (lives.length >= LIVES_MAX && epoch < (lives[0]?.epoch ?? 0)) return undefined;
      life = { epoch, low: 0, above: new Set() };
      lives.push(life);
      lives.sort((a, b) => a.epoch - b.epoch);
      if (lives.length > LIVES_MAX) lives.shift();
    }
    return life;
  }
}
