// What an agent remembers of commands so that none acts twice, and of rollouts so that no old executor acts at all.
// Pure. Invariants: an intent without a result is never run again; memory is bounded by number and age
// (spec fleet D31, D39).
import type { Outcome } from '../../common/rows.js';

/** One act: the same id may name many targets. */
export interface CommandKey {
  readonly id: string;
  readonly group: string;
  readonly process: string;
}

/** What is kept of a result; the row is asked for anew. */
export interface KeptResult {
  readonly outcome: Outcome;
  readonly fault: string;
  readonly message: string;
}

/** `interrupted`: an earlier life of this agent began it and nobody knows how it ended. */
export type Remembered =
  | { readonly kind: 'running' }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'result'; readonly result: KeptResult };

/** Who may act for a rollout: a later executor has a higher fence, a later step a higher step. */
export interface Fence {
  readonly id: string;
  readonly fence: number;
  readonly step: number;
}

/** One line of the journal. */
export type MemoryRecord =
  | ({
      readonly kind: 'intent';
      readonly action: string;
      readonly actor: string;
      readonly wallMs: number;
    } & CommandKey)
  | ({ readonly kind: 'result'; readonly wallMs: number } & CommandKey & KeptResult)
  /** It was refused before anything was done: the id may be used again. */
  | ({ readonly kind: 'forget' } & CommandKey)
  | ({ readonly kind: 'fence' } & Fence);

export interface MemoryLimits {
  readonly commandsMax: number;
  readonly ageMsMax: number;
  readonly rolloutsMax: number;
}

export const MEMORY_LIMITS: MemoryLimits = {
  commandsMax: 10_000,
  ageMsMax: 24 * 3_600_000,
  rolloutsMax: 1_000,
};

interface Entry {
  readonly key: CommandKey;
  state: Remembered;
  readonly atMs: number;
}

const textOf = (key: CommandKey): string => JSON.stringify([key.id, key.group, key.process]);

/** Commands in the order of their intents, oldest first. */
export class CommandMemory {
  readonly #limits: MemoryLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #fences = new Map<string, Fence>();

  constructor(limits: MemoryLimits = MEMORY_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size + this.#fences.size;
  }

  /** undefined: never heard of, so it may run. */
  lookup(key: CommandKey): Remembered | undefined {
    return this.#entries.get(textOf(key))?.state;
  }

  /** The command is about to act. */
  intend(key: CommandKey, nowMs: number): void {
    this.#entries.set(textOf(key), { key, state: { kind: 'running' }, atMs: nowMs });
    for (const [text, entry] of this.#entries) {
      const isOld = nowMs - entry.atMs > this.#limits.ageMsMax;
      if (!isOld && this.#entries.size <= this.#limits.commandsMax) break;
      // What is running must not run again beside itself; it goes when it is done.
      if (entry.state.kind !== 'running') this.#entries.delete(text);
      else if (!isOld) break;
    }
  }

  finish(key: CommandKey, result: KeptResult): void {
    const entry = this.#entries.get(textOf(key));
    if (entry !== undefined) entry.state = { kind: 'result', result };
  }

  forget(key: CommandKey): void {
    this.#entries.delete(textOf(key));
  }

  /** The higher (fence, step) already seen for this rollout; undefined: `fence` may act. */
  higherFence(fence: Fence): Fence | undefined {
    const seen = this.#fences.get(fence.id);
    if (seen === undefined) return undefined;
    const isLower = fence.fence === seen.fence ? fence.step < seen.step : fence.fence < seen.fence;
    return isLower ? seen : undefined;
  }

  /** Remembers a fence that may act; false: it was known already. */
  raiseFence(fence: Fence): boolean {
    const seen = this.#fences.get(fence.id);
    if (seen?.fence === fence.fence && seen.step === fence.step) return false;
    this.#fences.delete(fence.id);
    this.#fences.set(fence.id, fence);
    const [oldest] = this.#fences.keys();
    if (this.#fences.size > this.#limits.rolloutsMax && oldest !== undefined) {
      this.#fences.delete(oldest);
    }
    return true;
  }

  /** Takes a line of an earlier life's journal. `atMs` is its age on this life's clock, so 0 or less. */
  recall(record: MemoryRecord, atMs: number): void {
    switch (record.kind) {
      case 'intent': {
        const { id, group, process } = record;
        this.intend({ id, group, process }, atMs);
        const entry = this.#entries.get(textOf(record));
        if (entry !== undefined) entry.state = { kind: 'interrupted' };
        return;
      }
      case 'result': {
        const { outcome, fault, message } = record;
        this.finish(record, { outcome, fault, message });
        return;
      }
      case 'forget':
        this.forget(record);
        return;
      case 'fence': {
        const { id, fence, step } = record;
        if (this.higherFence({ id, fence, step }) === undefined) {
          this.raiseFence({ id, fence, step });
        }
      }
    }
  }

  /** Everything still known, as a fresh journal. `wallMsOf` turns this life's clock into the wall's. */
  records(wallMsOf: (atMs: number) => number): MemoryRecord[] {
    const lines: MemoryRecord[] = [...this.#fences.values()].map((fence) => ({
      kind: 'fence',
      ...fence,
    }));
    for (const { key, state, atMs } of this.#entries.values()) {
      const wallMs = wallMsOf(atMs);
      lines.push({ kind: 'intent', ...key, action: '', actor: '', wallMs });
      if (state.kind === 'result') lines.push({ kind: 'result', ...key, ...state.result, wallMs });
    }
    return lines;
  }
}
