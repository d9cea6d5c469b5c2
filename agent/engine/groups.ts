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
  #groups: Group[] = [];
  readonly #byName = new Map<string, Group>();
  readonly #slots = new Map<string, Slot>();

  /** By priority, then name. */
  all(): readonly Group[] {
    return this.#groups;
  }

  find(name: string): Group | undefined {
    return this.#byName.get(name);
  }

  slot(name: NameSpec): Slot | undefined {
    return this.#slots.get(nameKey(name));
  }

  /** Every process in the engine's order. */
  inOrder(): Slot[] {
    return this.#groups.flatMap((group) => group.slots);
  }

  /** Some processes, in the same order as `inOrder`. */
  sort(slots: Iterable<Slot>): Slot[] {
    const places = [...slots].map((slot) => {
      const group = this.#byName.get(slot.process.name.group) as Group;
      return { slot, group, index: group.slots.indexOf(slot) };
    });
    places.sort((a, b) =>
      a.group === b.group ? a.index - b.index : compareGroups(a.group.spec, b.group.spec),
    );
    return places.map(({ slot }) => slot);
  }

  add(spec: GroupSpec): Group {
    const group: Group = { spec, slots: [], retiring: false };
    this.#byName.set(spec.name, group);
    this.#insert(group);
    return group;
  }

  /** Gives a group a new priority, kind and list. */
  change(group: Group, spec: GroupSpec): void {
    const isMoved = group.spec.priority !== spec.priority;
    group.spec = spec;
    if (!isMoved) return;
    this.#groups = this.#groups.filter((other) => other !== group);
    this.#insert(group);
  }

  drop(group: Group): void {
    for (const slot of group.slots) this.#slots.delete(nameKey(slot.process.name));
    this.#byName.delete(group.spec.name);
    this.#groups = this.#groups.filter((other) => other !== group);
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

  /** Into its place, found by halving: a thousand groups come one after the other at a start. */
  #insert(group: Group): void {
    let low = 0;
    let high = this.#groups.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#groups[middle] as Group;
      if (compareGroups(other.spec, group.spec) < 0) low = middle + 1;
      else high = middle;
    }
    this.#groups.splice(low, 0, group);
  }
}

/** The facts of a group's processes, in order. */
export function rowsOf(group: Group): ProcessFacts[] {
  return group.slots.map((slot) => factsOf(slot.process));
}
