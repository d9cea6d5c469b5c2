// Stopping everything in order: groups of the highest priority value first, those of equal priority together
// (spec process 9, 10). Invariant: a tier is touched only when those before it have nothing left to stop.
import { STOPPED_STATES } from '../../common/states.js';
import { isStopping } from './facts.js';
import type { Groups } from './groups.js';
import { lines } from './messages.js';
import { shutdownTiers, stopOrder } from './order.js';
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
  /** Priorities not reached yet, highest first. */
  readonly #tiersLeft: number[];
  #tier: number | undefined;
  #reportAtMs: number;
  #isComplete = false;

  constructor(groups: Groups, hands: ShutdownHands) {
    this.#groups = groups;
    this.#hands = hands;
    this.#tiersLeft = shutdownTiers(groups.all().map((group) => group.spec));
    this.#reportAtMs = hands.nowMs();
  }

  /** Goes on as far as possible; true once, when nothing is left to stop. */
  proceed(): boolean {
    if (this.#isComplete) return false;
    while (this.#isTierDown()) {
      this.#tier = this.#tiersLeft.shift();
      if (this.#tier === undefined) {
        this.#isComplete = true;
        return true;
      }
      for (const slot of stopOrder(this.#tierSlots(), priorityOf)) this.#stop(slot);
    }
    this.#report();
    return false;
  }

  /** When it is to be said again who is waited for; undefined: never. */
  reportAtMs(): number | undefined {
    return this.#isComplete ? undefined : this.#reportAtMs;
  }

  #isTierDown(): boolean {
    return this.#tierSlots().every((slot) => !isUnstopped(slot));
  }

  #tierSlots(): Slot[] {
    const groups = this.#groups.all().filter((group) => group.spec.priority === this.#tier);
    return groups.flatMap((group) => group.slots);
  }

  #stop(slot: Slot): void {
    const { status } = slot.process;
    if (status.state === 'BACKOFF') return this.#hands.act(slot, { kind: 'give-up' });
    const isUp = status.state === 'STARTING' || status.state === 'RUNNING';
    if (isUp && !isStopping(status)) this.#hands.act(slot, { kind: 'stop', cause: '' });
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
