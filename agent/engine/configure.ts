// What a configuration makes of the processes that are there: new ones start, changed ones go on under the new
// rules, missing ones are stopped and then forgotten; at an agent's start, children left behind are taken over.
// Invariant: nothing with a child is ever forgotten.
import { nameKey } from '../../common/names.js';
import { RUNNING_STATES, STOPPED_STATES } from '../../common/states.js';
import { adopt, STRAY_POLICY } from './adopt.js';
import { childOf, isStopping, NEW_RECORD, type Process } from './facts.js';
import { type Group, type Groups, rowsOf } from './groups.js';
import type { ProcessInput } from './process.js';
import type { Requests, Slot } from './requests.js';
import type { Adoption, Change, GroupSpec, ProcessSpec } from './types.js';

/** What configuring needs of the engine. */
export interface ConfigureHands {
  nowMs(): number;
  isShuttingDown(): boolean;
  /** Steps a process and lets its requests go on. */
  act(slot: Slot, input: ProcessInput): void;
  emit(change: Change): void;
  /** A process has this child from the last agent. */
  claim(slot: Slot, spawn: number): void;
  /** A process is no longer there. */
  forget(slot: Slot): void;
  /** The end of such a child has been dealt with. */
  release(spawn: number): void;
}

interface Added {
  readonly slot: Slot;
  /** What is still to happen to an adopted process. */
  readonly next: ProcessInput | undefined;
  /** Never run under the last agent, so autostart applies. */
  readonly isNew: boolean;
}

type Found = Map<string, Adoption>;

export class Configurator {
  readonly #groups: Groups;
  readonly #requests: Requests;
  readonly #hands: ConfigureHands;
  /** Groups of which something is being removed. */
  readonly #leaving = new Set<Group>();

  constructor(groups: Groups, requests: Requests, hands: ConfigureHands) {
    this.#groups = groups;
    this.#requests = requests;
    this.#hands = hands;
  }

  apply(specs: readonly GroupSpec[], adoptions: readonly Adoption[]): void {
    const found: Found = new Map(adoptions.map((each) => [nameKey(each.name), each]));
    const wanted = new Set(specs.map((spec) => spec.name));
    for (const group of [...this.#groups.all()]) {
      if (!wanted.has(group.spec.name)) this.#retireGroup(group);
    }
    const added: Added[] = [];
    for (const spec of specs) {
      const group = this.#groups.find(spec.name);
      added.push(...(group ? this.#change(group, spec, found) : this.#add(spec, found)));
    }
    for (const adoption of found.values()) this.#adoptStray(adoption);
    this.#follow(added);
    this.#autostart(added);
  }

  /** Adds one group and starts what shall start by itself. */
  add(spec: GroupSpec): void {
    this.#autostart(this.#add(spec, new Map()));
  }

  /** Forgets a group; the caller has checked that nothing in it lives. */
  remove(group: Group): void {
    for (const slot of group.slots) this.#hands.forget(slot);
    this.#groups.drop(group);
    this.#hands.emit({ kind: 'group-removed', group: group.spec.name });
  }

  /** Lets go of what was being removed and is down now. */
  sweep(): void {
    for (const group of this.#leaving) {
      const gone = group.slots.filter((slot) => slot.retiring && isDown(slot));
      this.#groups.dropProcesses(group, gone);
      if (group.retiring && group.slots.length === 0) this.remove(group);
      else if (gone.length > 0) this.#emitGroup('group-changed', group);
      if (!group.slots.some((slot) => slot.retiring)) this.#leaving.delete(group);
    }
  }

  #add(spec: GroupSpec, found: Found): Added[] {
    const group = this.#groups.add(spec);
    const added = spec.processes.map((process) => this.#addProcess(group, process, found));
    this.#emitGroup('group-added', group);
    return added;
  }

  #change(group: Group, spec: GroupSpec, found: Found): Added[] {
    const before = new Map(group.slots.map((slot) => [slot.process.name.process, slot]));
    const added: Added[] = [];
    this.#groups.change(group, spec);
    group.slots = [];
    group.retiring = false;
    const back: Slot[] = [];
    for (const process of spec.processes) {
      const slot = before.get(process.name);
      before.delete(process.name);
      if (slot === undefined) {
        added.push(this.#addProcess(group, process, found));
        continue;
      }
      group.slots.push(slot);
      slot.process = { ...slot.process, policy: process.policy, groupPriority: spec.priority };
      if (slot.retiring) back.push(slot);
    }
    for (const slot of before.values()) {
      slot.process = { ...slot.process, groupPriority: spec.priority };
      group.slots.push(slot);
    }
    this.#emitGroup('group-changed', group);
    for (const slot of before.values()) this.#retire(group, slot);
    for (const slot of back) this.#keepAfterAll(slot);
    return added;
  }

  #addProcess(group: Group, spec: ProcessSpec, found: Found): Added {
    const name = { group: group.spec.name, process: spec.name };
    const adoption = found.get(nameKey(name));
    found.delete(nameKey(name));
    const fresh: Process = {
      name,
      groupPriority: group.spec.priority,
      policy: spec.policy,
      status: { state: 'STOPPED' },
      record: NEW_RECORD,
    };
    const adopted = adoption && adopt(fresh, adoption, this.#hands.nowMs());
    const slot = this.#groups.addProcess(group, adopted?.process ?? fresh);
    const child = childOf(slot.process.status);
    if (child !== undefined) this.#hands.claim(slot, child.spawn);
    return { slot, next: adopted?.next, isNew: adoption?.previous === undefined };
  }

  /** A child of a program that is no longer configured lives only to be stopped. */
  #adoptStray(adoption: Adoption): void {
    if (adoption.child.kind === 'none') return;
    const { group: name, process } = adoption.name;
    let group = this.#groups.find(name);
    if (group === undefined) {
      const { priority } = STRAY_POLICY;
      group = this.#groups.add({ name, priority, kind: 'group', processes: [] });
      group.retiring = true;
    }
    const found = new Map([[nameKey(adoption.name), adoption]]);
    const added = this.#addProcess(group, { name: process, policy: STRAY_POLICY }, found);
    this.#emitGroup('group-changed', group);
    this.#follow([added]);
    this.#retire(group, added.slot);
  }

  /** Lets adopted processes catch up with what happened while nobody looked. */
  #follow(added: readonly Added[]): void {
    for (const { slot, next } of added) {
      if (next === undefined) continue;
      const { spawn } = slot.process.record;
      this.#hands.act(slot, next);
      if (next.kind === 'exited' && next.pid !== 0) this.#hands.release(spawn);
    }
  }

  #autostart(added: readonly Added[]): void {
    if (this.#hands.isShuttingDown()) return;
    const isNew = new Set(added.filter((each) => each.isNew).map((each) => each.slot));
    // In the order of groups, which the configuration need not have.
    for (const slot of this.#groups.inOrder()) {
      const { policy, status } = slot.process;
      if (isNew.has(slot) && policy.autostart && status.state === 'STOPPED') {
        this.#hands.act(slot, { kind: 'start', cause: '' });
      }
    }
  }

  #retireGroup(group: Group): void {
    group.retiring = true;
    this.#leaving.add(group);
    for (const slot of group.slots) this.#retire(group, slot);
  }

  #retire(group: Group, slot: Slot): void {
    slot.retiring = true;
    this.#leaving.add(group);
    const text = 'it is being removed from the configuration';
    this.#requests.abandon(slot, 'interrupted', 'BAD_NAME', text);
    const { status } = slot.process;
    if (RUNNING_STATES.has(status.state) && !isStopping(status)) {
      this.#hands.act(slot, { kind: 'stop', cause: '' });
    }
  }

  /** It came back into the configuration while it was being removed. */
  #keepAfterAll(slot: Slot): void {
    slot.retiring = false;
    if (!slot.process.policy.autostart || this.#hands.isShuttingDown()) return;
    this.#requests.submit(slot, {
      request: undefined,
      action: 'start',
      cause: '',
      until: 'settled',
      ifSpawn: undefined,
    });
  }

  #emitGroup(kind: 'group-added' | 'group-changed', group: Group): void {
    this.#hands.emit({ kind, group: group.spec.name, rows: rowsOf(group) });
  }
}

/** Nothing of it lives. UNKNOWN counts only when it has no child. */
export function isDown(slot: Slot): boolean {
  const { status } = slot.process;
  return STOPPED_STATES.has(status.state) && childOf(status) === undefined;
}
