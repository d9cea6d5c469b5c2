// Which groups and processes there are, and in which order they are looked at (spec process 9).
// Invariant: every process is in exactly one group and in the index under its full name.
import { nameKey, type NameSpec } from '../../common/names.js';
import { factsOf, type Process } from './facts.js';
import { compareGroups } from './order.js';
import type { Slot } from './requests.js';
import type { GroupSpec, ProcessFacts } from './types.js';

export interface Group {
  spec: GroupSpec;
  /** In configured order; those being removed at the end. */
  slots: Slot[];
  /** No longer configured: it goes with its last process. */
  retiring: boolean;
}

export class Groups {
  readonly #groups: Group[] = [];
  readonly #slots = new Map<string, Slot>();

  /** By priority, then name. */
  all(): readonly Group[] {
    return this.#groups;
  }

  find(name: string): Group | undefined {
    return this.#groups.find((group) => group.spec.name === name);
  }

  slot(name: NameSpec): Slot | undefined {
    return this.#slots.get(nameKey(name));
  }

  /** Every process in the engine's order. */
  inOrder(): Slot[] {
    return this.#groups.flatMap((group) => group.slots);
  }

  /** The same in no particular order, without the cost of a copy. */
  slots(): IterableIterator<Slot> {
    return this.#slots.values();
  }

  add(spec: GroupSpec): Group {
    const group: Group = { spec, slots: [], retiring: false };
    this.#groups.push(group);
    this.#sort();
    return group;
  }

  /** Gives a group a new priority, kind and list. */
  change(group: Group, spec: GroupSpec): void {
    group.spec = spec;
    this.#sort();
  }

  drop(group: Group): void {
    for (const slot of group.slots) this.#slots.delete(nameKey(slot.process.name));
    this.#groups.splice(this.#groups.indexOf(group), 1);
  }

  addProcess(group: Group, process: Process): Slot {
    const slot: Slot = { process, retiring: false, seen: [], active: undefined, queue: [] };
    this.#slots.set(nameKey(process.name), slot);
    group.slots.push(slot);
    return slot;
  }

  dropProcesses(group: Group, gone: readonly Slot[]): void {
    for (const slot of gone) this.#slots.delete(nameKey(slot.process.name));
    group.slots = group.slots.filter((slot) => !gone.includes(slot));
  }

  #sort(): void {
    this.#groups.sort((a, b) => compareGroups(a.spec, b.spec));
  }
}

/** The facts of a group's processes, in order. */
export function rowsOf(group: Group): ProcessFacts[] {
  return group.slots.map((slot) => factsOf(slot.process));
}
