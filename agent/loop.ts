// Inputs -> engine -> effects: one queue, one timer for the next deadline, effects performed from a table.
// Invariants: all effects of one input are performed, in order, before the next input; performing never calls back
// into the engine, it queues; facts that can be read already are delivered before a deadline.
import type { Clock } from '../common/clock.js';
import type { Effect, EngineInput, EngineView } from './engine/types.js';

/** One performer for each kind of effect: forgetting one does not compile. */
export type EffectTable = {
  readonly [Kind in Effect['kind']]: (effect: Extract<Effect, { readonly kind: Kind }>) => void;
};

/** Inputs that wait while effects are performed; more means that something feeds itself. */
const QUEUE_MAX = 1_000_000;

/** Drives one engine. */
export class Loop {
  readonly #engine: EngineView;
  readonly #clock: Clock;
  readonly #table: EffectTable;
  readonly #onTurn: () => void;
  #queue: EngineInput[] = [];
  #isDraining = false;
  #cancelTimer: (() => void) | undefined;
  #armedForMs: number | undefined;
  #closed = false;

  /** `onTurn` is called after each queue has run empty, when the engine is at rest. */
  constructor(engine: EngineView, clock: Clock, table: EffectTable, onTurn: () => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#table = table;
    this.#onTurn = onTurn;
  }

  /** Hands an input to the engine: now, or after the one that is being handled. */
  push(input: EngineInput): void {
    if (this.#closed) return;
    if (this.#queue.length >= QUEUE_MAX)
      throw new Error(`the engine's queue holds ${QUEUE_MAX} inputs`);
    this.#queue.push(input);
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      this.#drain();
    } finally {
      this.#isDraining = false;
    }
    this.#onTurn();
    this.#arm();
  }

  /** Stops the timer and takes no more inputs. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #drain(): void {
    for (let next = 0; next < this.#queue.length; next++) {
      const input = this.#queue[next] as EngineInput;
      for (const effect of this.#engine.handle(input, this.#clock.nowMs())) this.#perform(effect);
    }
    this.#queue = [];
  }

  #perform<Kind extends Effect['kind']>(effect: Extract<Effect, { readonly kind: Kind }>): void {
    const perform = this.#table[effect.kind] as (effect: Effect) => void;
    perform(effect);
  }

  #arm(): void {
    const deadlineMs = this.#engine.deadlineMs();
    if (deadlineMs === this.#armedForMs || this.#closed) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedForMs = deadlineMs;
    if (deadlineMs === undefined) return;
    const delayMs = Math.max(0, Math.ceil(deadlineMs - this.#clock.nowMs()));
    this.#cancelTimer = this.#clock.after(delayMs, () => {
      // Timers run before descriptors are read: let the exits that wait there come first.
      setImmediate(() => {
        this.#armedForMs = undefined;
        this.push({ kind: 'deadline' });
      });
    });
  }
}
