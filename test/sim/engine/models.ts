// What the rules remember about each process, learned from configurations and from the rows that are told.
import type {
  Adoption,
  GroupSpec,
  ProcessFacts,
  ProcessPolicy,
} from '../../../agent/engine/types.js';
import { nameKey, type NameSpec } from '../../../common/names.js';
import type { ProcessState } from '../../../common/states.js';
import type { SimSpawner } from './spawner.js';

/** What the rules remember about one process. */
export interface Model {
  readonly name: NameSpec;
  policy: ProcessPolicy;
  priority: number;
  state: ProcessState;
  attempts: number;
  retiring: boolean;
  /** It has been among the rows of its group. */
  listed: boolean;
  /** Starts that a request or the configuration still justifies. */
  startReasons: number;
  /** Requests and removals that justify a stop. */
  stopReasons: number;
  /** Supervision owes a start; not before this moment. */
  owedStartAtMs: number | undefined;
  /** Children in a row that were RUNNING and lived less than a second. */
  fastEnds: number;
  /** When the child in STARTING or RUNNING was started. */
  startedAtMs: number;
  killAtMs: number | undefined;
}

export class Models {
  readonly byKey = new Map<string, Model>();
  readonly #spawner: SimSpawner;

  constructor(spawner: SimSpawner) {
    this.#spawner = spawner;
  }

  /** A whole configuration; `adopting` is what the agent found at its start. */
  configure(
    groups: readonly GroupSpec[],
    adopting: readonly Adoption[],
    isShutdown: boolean,
  ): void {
    const wanted = new Set<string>();
    for (const group of groups) {
      for (const { name } of group.processes)
        wanted.add(nameKey({ group: group.name, process: name }));
    }
    for (const [key, model] of this.byKey) {
      if (wanted.has(key)) continue;
      model.retiring = true;
      model.owedStartAtMs = undefined;
      model.stopReasons += 1;
    }
    for (const group of groups) this.learnGroup(group, isShutdown);
    for (const { name, child } of adopting) {
      if (child.kind === 'none' || this.byKey.has(nameKey(name))) continue;
      this.#learnProcess(name, STRAY, 999, isShutdown);
      const model = this.byKey.get(nameKey(name));
      if (model !== undefined) {
        model.retiring = true;
        model.stopReasons += 1;
      }
    }
    for (const { name, child, previous } of adopting) {
      const model = this.byKey.get(nameKey(name));
      if (model === undefined) continue;
      if (child.kind === 'alive' || child.kind === 'ended') model.startedAtMs = child.startedAtMs;
      else model.startedAtMs = previous?.lastStartAtMs ?? 0;
      if (previous?.state === 'STOPPING') model.stopReasons += 1;
      if (previous?.state === 'BACKOFF' && child.kind === 'none') {
        const { lastStartAtMs = 0, lastStopAtMs = 0, attempts } = previous;
        model.owedStartAtMs = Math.max(lastStartAtMs, lastStopAtMs) + attempts * 1000;
      }
      const comesBack = ['STARTING', 'BACKOFF', 'EXITED'];
      const isOld = previous !== undefined || child.kind !== 'none';
      if (isOld && !comesBack.includes(previous?.state ?? '')) model.startReasons = 0;
      if (isOld && comesBack.includes(previous?.state ?? '')) model.startReasons = 1;
    }
  }

  learnGroup(group: GroupSpec, isShutdown: boolean): void {
    for (const { name, policy } of group.processes) {
      this.#learnProcess({ group: group.name, process: name }, policy, group.priority, isShutdown);
    }
  }

  #learnProcess(
    name: NameSpec,
    policy: ProcessPolicy,
    priority: number,
    isShutdown: boolean,
  ): void {
    const known = this.byKey.get(nameKey(name));
    if (known !== undefined) {
      // Back before it was gone: it may start again.
      if (known.retiring && policy.autostart) known.startReasons += 1;
      Object.assign(known, { policy, priority, retiring: false });
      return;
    }
    this.byKey.set(nameKey(name), {
      name,
      policy,
      priority,
      state: 'STOPPED',
      attempts: 0,
      retiring: false,
      listed: false,
      startReasons: policy.autostart && !isShutdown ? 1 : 0,
      stopReasons: 0,
      owedStartAtMs: undefined,
      fastEnds: 0,
      startedAtMs: 0,
      killAtMs: undefined,
    });
  }

  hasGroup(name: string): boolean {
    return [...this.byKey.values()].some((model) => model.name.group === name);
  }

  /** The rows of a whole group: where the processes stand that nobody has told of yet, and which are gone. */
  rows(group: string, rows: readonly ProcessFacts[]): void {
    const byName = new Map(rows.map((row) => [row.name.process, row]));
    for (const model of [...this.byKey.values()]) {
      if (model.name.group !== group) continue;
      const row = byName.get(model.name.process);
      if (row !== undefined) model.priority = row.groupPriority;
      if (row === undefined) {
        if (model.listed) this.forget(model);
      } else if (!model.listed) {
        model.listed = true;
        model.state = row.state;
        model.attempts = row.attempts;
      }
    }
  }

  forget(model: Model): void {
    const key = nameKey(model.name);
    check(this.#spawner.alive(model.name).length === 0, 'nothing alive is forgotten', key);
    this.byKey.delete(key);
  }

  get(name: NameSpec): Model {
    const model = this.byKey.get(nameKey(name));
    check(model !== undefined, 'nothing happens to what is not configured', nameKey(name));
    return model;
  }
}

const STRAY: ProcessPolicy = {
  program: '',
  priority: 999,
  autostart: false,
  autorestart: 'never',
  startMs: 1000,
  startRetries: 0,
  exitCodes: [0],
  stopSignal: { number: 15, name: 'SIGTERM' },
  stopWaitMs: 10_000,
  stopAsGroup: false,
  killAsGroup: true,
};

export function same(a: NameSpec, b: NameSpec): boolean {
  return a.group === b.group && a.process === b.process;
}

/** Throws unless `holds`; `rule` is what must hold, `what` is about whom. */
export function check(holds: boolean, rule: string, what: string): asserts holds {
  if (!holds) throw new Error(`${rule}: ${what}`);
}
