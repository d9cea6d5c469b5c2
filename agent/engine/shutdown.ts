// Stopping everything in order: groups of the highest priority value first, those of equal priority together
// (spec process 9, 10). Invariant: a tier is touched only when those before it have nothing left to stop.
import { STOPPED_STATES } from '../../common/states.js';
import { isStopping } from './facts.js';
import type { Groups } from './groups.js';
import { lines } from './messages.js';
import { stopOrder } from './order.js';
import type { ProcessInput } from './process.js';
import type { Slot } from './requests.js';
import type { EngineLogLevel } from './types.js';

/** How often it is said for whom the shutdown waits. */
const REPORT_EVERY_MS = 3000;

export interface ShutdownHands {
  nowMs(): number;
  act(slot: Slot, input: ProcessInput): void;
  log(level: EngineLogLevel, text: string): void;
}

export class Shutdown {
  readonly #groups: Groups;
  readonly #hands: ShutdownHands;
  /** The first report is due at once. */
  #reportAtMs = -Infinity;
  /** The tier that is being stopped; those at the end that are down are dropped. */
  #tier: Slot[] = [];
  #isComplete = false;

  constructor(groups: Groups, hands: ShutdownHands) {
    this.#groups = groups;
    this.#hands = hands;
  }

  /** Goes on as far as possible; true once, when nothing is left to stop. */
  proceed(): boolean {
    if (this.#isComplete) return false;
    while (this.#isTierDown()) {
      this.#tier = this.#nextTier();
      if (this.#tier.length === 0) {
        this.#isComplete = true;
        return true;
      }
      for (const slot of stopOrder(this.#tier, priorityOf)) this.#stop(slot);
    }
    this.#report();
    return false;
  }

  /** When it is to be said again who is waited for; undefined: never. */
  reportAtMs(): number | undefined {
    return this.#isComplete ? undefined : this.#reportAtMs;
  }

  /** Looks at each process of a tier once, not at all of them after every input. */
  #isTierDown(): boolean {
    for (;;) {
      const last = this.#tier.at(-1);
      if (last === undefined) return true;
      if (isUnstopped(last)) return false;
      this.#tier.pop();
    }
  }

  /** What is not down in the groups of the highest priority value that have any such. */
  #nextTier(): Slot[] {
    let priority = -Infinity;
    let tier: Slot[] = [];
    for (const group of this.#groups.all()) {
      const unstopped = group.slots.filter(isUnstopped);
      if (unstopped.length === 0) continue;
      // Groups come in ascending priority, so a later one replaces or joins the earlier.
      if (group.spec.priority > priority) tier = [];
      priority = group.spec.priority;
      tier.push(...unstopped);
    }
    return tier;
  }

  #stop(slot: Slot): void {
    const { status } = slot.process;
    if (status.state === 'BACKOFF') return this.#hands.act(slot, { kind: 'give-up' });
    if (!isStopping(status)) this.#hands.act(slot, { kind: 'stop', cause: '' });
  }

  #report(): void {
    if (this.#hands.nowMs() < this.#reportAtMs) return;
    this.#reportAtMs = this.#hands.nowMs() + REPORT_EVERY_MS;
    const names = this.#groups.inOrder().filter(isUnstopped);
    this.#hands.log('info', lines.waitingToDie(names.map((slot) => slot.process.name.process)));
  }
}

/** UNKNOWN is left alone (spec process 10). */
function isUnstopped(slot: Slot): boolean {
  return !STOPPED_STATES.has(slot.process.status.state);
}

function priorityOf(slot: Slot): number {
  return slot.process.policy.priority;
}
