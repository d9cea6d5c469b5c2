// What must never be true of an engine, written from the spec and from the children's truth, not from the engine.
// Each rule names itself in the error it throws.
import type { Engine } from '../../../agent/engine/engine.js';
import type {
  Adoption,
  Change,
  Effect,
  EngineInput,
  GroupSpec,
  ProcessFacts,
  ProcessPolicy,
  Reply,
} from '../../../agent/engine/types.js';
import { nameKey, type NameSpec } from '../../../common/names.js';
import { TRANSITIONS, type ProcessState } from '../../../common/states.js';
import type { SimSpawner } from './spawner.js';

type ProcessChange = Change & { readonly kind: 'process' };

/** What the rules remember about one process. */
interface Model {
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

interface OpenRequest {
  readonly input: EngineInput;
  readonly atMs: number;
}

const FAST_MS = 1000;
const FAST_ENDS_AT_ONCE = 10;

export class Watch {
  readonly counts = { spawns: 0, requests: 0 };
  readonly #spawner: SimSpawner;
  readonly #models = new Map<string, Model>();
  readonly #open = new Map<number, OpenRequest>();
  readonly #answered = new Set<number>();
  #lastSpawn = 0;
  #isShutdown = false;
  #completions = 0;
  /** States each process entered during the present batch of effects. */
  #entered = new Map<string, ProcessState[]>();
  #adopting: readonly Adoption[] = [];

  constructor(spawner: SimSpawner) {
    this.#spawner = spawner;
  }

  /** Before the engine sees an input. */
  input(input: EngineInput, nowMs: number): void {
    switch (input.kind) {
      case 'apply-config':
        return this.#onConfig(input.groups);
      case 'add-group':
        this.#open.set(input.request, { input, atMs: nowMs });
        if (!this.#isShutdown && !this.#hasGroup(input.group.name)) this.#learnGroup(input.group);
        return;
      case 'remove-group':
        this.#open.set(input.request, { input, atMs: nowMs });
        return;
      case 'start':
      case 'stop':
      case 'restart':
      case 'signal': {
        this.counts.requests += 1;
        this.#open.set(input.request, { input, atMs: nowMs });
        const model = this.#models.get(nameKey(input.name));
        if (model === undefined) return;
        if (input.kind === 'start' || input.kind === 'restart') model.startReasons += 1;
        if (input.kind === 'stop' || input.kind === 'restart') model.stopReasons += 1;
        return;
      }
      case 'shutdown':
        this.#isShutdown = true;
        return;
      default:
        return;
    }
  }

  /** Everything an input led to. */
  effects(input: EngineInput, effects: readonly Effect[], nowMs: number, engine: Engine): void {
    this.#entered = new Map();
    for (const [index, effect] of effects.entries()) {
      switch (effect.kind) {
        case 'emit':
          this.#onChange(effect.change, input, effects.slice(index + 1), nowMs);
          break;
        case 'spawn':
          this.#onSpawn(effect.name, effect.spawn, nowMs);
          break;
        case 'signal':
          this.#onSignal(effect, input, nowMs);
          break;
        case 'reply':
          this.#onReply(effect);
          break;
        case 'acknowledge-exit':
          this.#onAcknowledge(effect.spawn, input);
          break;
        case 'shutdown-complete':
          this.#onShutdownComplete();
          break;
        case 'log':
          check(!effect.text.includes('internal error'), 'no assertion fails', effect.text);
          check(!effect.text.startsWith('the spawner answered'), 'no answer is lost', effect.text);
          break;
      }
    }
    this.#afterBatch(input, nowMs, engine);
  }

  agentRestarted(adoptions: readonly Adoption[]): void {
    this.#models.clear();
    this.#open.clear();
    this.#adopting = adoptions;
  }

  /** Nothing has happened for long. */
  atRest(engine: Engine, isShutdown: boolean): void {
    for (const [request, { input }] of this.#open) {
      check(false, 'every request gets its reply', `${input.kind} ${request}`);
    }
    check(!isShutdown || this.#completions === 1, 'a shutdown ends', '');
    const seen = new Set<number>();
    for (const facts of engine.snapshot()) {
      const key = nameKey(facts.name);
      const alive = this.#spawner.alive(facts.name);
      const pids = alive.map(({ pid }) => pid);
      for (const pid of pids) seen.add(pid);
      check(facts.state !== 'STARTING', 'nothing is STARTING for ever', key);
      check(facts.state !== 'STOPPING', 'nothing is STOPPING for ever', key);
      check(isShutdown || facts.state !== 'BACKOFF', 'nothing waits in BACKOFF for ever', key);
      const expected = facts.state === 'RUNNING' ? [facts.pid] : [];
      if (facts.state === 'UNKNOWN') continue;
      check(
        String(pids) === String(expected),
        'at rest the view is the truth',
        () => `${key} is ${facts.state} with pid ${facts.pid}, alive are [${pids.join()}]`,
      );
    }
    for (const child of this.#spawner.children.values()) {
      check(child.end === undefined, 'every exit is acknowledged', nameKey(child.name));
      check(seen.has(child.pid), 'no living child is forgotten', nameKey(child.name));
    }
  }

  #onConfig(groups: readonly GroupSpec[]): void {
    const wanted = new Set<string>();
    for (const group of groups) {
      for (const { name } of group.processes)
        wanted.add(nameKey({ group: group.name, process: name }));
    }
    for (const [key, model] of this.#models) {
      if (wanted.has(key)) continue;
      model.retiring = true;
      model.owedStartAtMs = undefined;
      model.stopReasons += 1;
    }
    for (const group of groups) this.#learnGroup(group);
    for (const { name, child } of this.#adopting) {
      if (child.kind === 'none' || this.#models.has(nameKey(name))) continue;
      this.#learnProcess(name, STRAY, 999);
      const model = this.#models.get(nameKey(name));
      if (model !== undefined) {
        model.retiring = true;
        model.stopReasons += 1;
      }
    }
    for (const { name, child, previous } of this.#adopting) {
      const model = this.#models.get(nameKey(name));
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
    this.#adopting = [];
  }

  #learnGroup(group: GroupSpec): void {
    for (const { name, policy } of group.processes) {
      this.#learnProcess({ group: group.name, process: name }, policy, group.priority);
    }
  }

  #learnProcess(name: NameSpec, policy: ProcessPolicy, priority: number): void {
    const known = this.#models.get(nameKey(name));
    if (known !== undefined) {
      // Back before it was gone: it may start again.
      if (known.retiring && policy.autostart) known.startReasons += 1;
      Object.assign(known, { policy, priority, retiring: false });
      return;
    }
    this.#models.set(nameKey(name), {
      name,
      policy,
      priority,
      state: 'STOPPED',
      attempts: 0,
      retiring: false,
      listed: false,
      startReasons: policy.autostart && !this.#isShutdown ? 1 : 0,
      stopReasons: 0,
      owedStartAtMs: undefined,
      fastEnds: 0,
      startedAtMs: 0,
      killAtMs: undefined,
    });
  }

  #hasGroup(name: string): boolean {
    return [...this.#models.values()].some((model) => model.name.group === name);
  }

  #onChange(change: Change, input: EngineInput, rest: readonly Effect[], nowMs: number): void {
    if (change.kind === 'group-removed') {
      for (const model of [...this.#models.values()]) {
        if (model.name.group === change.group) this.#forget(model);
      }
      return;
    }
    if (change.kind !== 'process') return this.#onRows(change.group, change.rows);
    const model = this.#model(change.facts.name);
    const key = `${nameKey(model.name)} ${change.from} to ${change.to}`;
    check(change.from === model.state, 'a change begins where the last one ended', key);
    check(TRANSITIONS[change.from].includes(change.to), 'every change is in the table', key);
    check(change.facts.state === change.to, 'a change carries its own row', key);
    check(
      change.facts.pid > 0 === ['STARTING', 'RUNNING', 'STOPPING'].includes(change.to) ||
        change.to === 'UNKNOWN' ||
        input.kind === 'spawn-failed' ||
        input.kind === 'force-unknown' ||
        input.kind === 'apply-config',
      'a pid is told exactly while there is a child',
      key,
    );
    model.state = change.to;
    const entered = this.#entered.get(nameKey(model.name)) ?? [];
    this.#entered.set(nameKey(model.name), [...entered, change.to]);
    this.#onState(model, change, input, rest, nowMs);
    check(change.facts.attempts === model.attempts, 'failed starts are counted', key);
  }

  /** The rows of a whole group: where the processes stand that nobody has told of yet, and which are gone. */
  #onRows(group: string, rows: readonly ProcessFacts[]): void {
    const byName = new Map(rows.map((row) => [row.name.process, row]));
    for (const model of [...this.#models.values()]) {
      if (model.name.group !== group) continue;
      const row = byName.get(model.name.process);
      if (row !== undefined) model.priority = row.groupPriority;
      if (row === undefined) {
        if (model.listed) this.#forget(model);
      } else if (!model.listed) {
        model.listed = true;
        model.state = row.state;
        model.attempts = row.attempts;
      }
    }
  }

  #forget(model: Model): void {
    const key = nameKey(model.name);
    check(this.#spawner.alive(model.name).length === 0, 'nothing alive is forgotten', key);
    this.#models.delete(key);
  }

  #onState(
    model: Model,
    change: ProcessChange,
    input: EngineInput,
    rest: readonly Effect[],
    nowMs: number,
  ): void {
    const key = nameKey(model.name);
    const { policy } = model;
    const livedMs = input.kind === 'exited' ? input.atMs - model.startedAtMs : undefined;
    if (['STOPPED', 'EXITED', 'FATAL', 'BACKOFF'].includes(change.to)) {
      check(this.#spawner.alive(model.name).length === 0, 'what is down has no child', key);
    }
    switch (change.to) {
      case 'STARTING':
        if (change.from !== 'BACKOFF') model.attempts = 0;
        if (input.kind === 'spawned') model.startedAtMs = input.startedAtMs;
        return;
      case 'RUNNING': {
        model.attempts = 0;
        if (input.kind === 'apply-config') return;
        const next = nextOf(rest, model.name);
        if (next === 'EXITED') {
          check((livedMs ?? 0) >= policy.startMs, 'too quick an exit is no RUNNING', key);
        } else {
          const upMs = nowMs - model.startedAtMs;
          check(policy.startMs <= 0 || upMs > policy.startMs, 'RUNNING is past startsecs', key);
        }
        return;
      }
      case 'BACKOFF':
        model.attempts += 1;
        if (livedMs !== undefined) {
          check(livedMs < policy.startMs, 'BACKOFF is for early exits', key);
        }
        model.owedStartAtMs =
          (input.kind === 'exited' ? input.atMs : (change.facts.lastStopAtMs ?? nowMs)) +
          model.attempts * 1000;
        if (input.kind === 'spawn-failed') model.owedStartAtMs = nowMs + model.attempts * 1000;
        return;
      case 'FATAL':
        check(
          model.attempts > policy.startRetries || this.#isShutdown,
          'FATAL comes after all retries',
          `${key} after ${model.attempts} failures of ${policy.startRetries}`,
        );
        model.owedStartAtMs = undefined;
        return;
      case 'EXITED': {
        const exit = change.facts.exit;
        const expected = exit?.kind === 'code' && policy.exitCodes.includes(exit.code);
        check(change.expected === expected, 'expected means in exitcodes', key);
        if (livedMs !== undefined) model.fastEnds = livedMs < FAST_MS ? model.fastEnds + 1 : 0;
        const due =
          policy.autorestart === 'always' || (policy.autorestart === 'unexpected' && !expected);
        if (due && !model.retiring && !this.#isShutdown) {
          const isDamped = model.fastEnds > FAST_ENDS_AT_ONCE;
          model.owedStartAtMs = isDamped ? Math.max(nowMs, model.startedAtMs + FAST_MS) : nowMs;
        }
        return;
      }
      case 'STOPPING': {
        check(
          model.stopReasons > 0 || this.#isShutdown,
          'nothing is stopped without a reason',
          key,
        );
        const signal = rest.find(
          (effect) => effect.kind === 'signal' && same(effect.name, model.name),
        );
        const target = policy.stopAsGroup ? 'group' : 'process';
        check(
          signal?.kind === 'signal' &&
            signal.signal.number === policy.stopSignal.number &&
            signal.target === target,
          'a stop sends the stop signal',
          key,
        );
        model.killAtMs = nowMs + Math.max(0, policy.stopWaitMs);
        this.#checkTiers(model);
        return;
      }
      case 'STOPPED':
        model.attempts = 0;
        model.owedStartAtMs = undefined;
        model.killAtMs = undefined;
        return;
      case 'UNKNOWN':
        check(
          input.kind === 'force-unknown' || input.kind === 'signal-outcome',
          'UNKNOWN has a cause',
          key,
        );
        model.killAtMs = undefined;
        model.owedStartAtMs = undefined;
        return;
    }
  }

  /** During a shutdown a tier is touched only when those above are down. */
  #checkTiers(model: Model): void {
    if (!this.#isShutdown || model.stopReasons > 0) return;
    for (const other of this.#models.values()) {
      const isUp = ['STARTING', 'RUNNING', 'STOPPING'].includes(other.state);
      check(
        !isUp || other.priority <= model.priority,
        'higher priorities stop before lower ones',
        `${nameKey(model.name)} before ${nameKey(other.name)}`,
      );
    }
  }

  #onSpawn(name: NameSpec, spawn: number, nowMs: number): void {
    this.counts.spawns += 1;
    const model = this.#model(name);
    const key = `${nameKey(name)} (spawn ${spawn}, ${model.state})`;
    check(spawn > this.#lastSpawn, 'spawn numbers grow', key);
    this.#lastSpawn = spawn;
    const asked = [...this.#spawner.asked.values()].some((other) => same(other, name));
    check(!asked && this.#spawner.alive(name).length === 0, 'never two children at once', key);
    check(!this.#isShutdown, 'nothing starts during a shutdown', key);
    check(!model.retiring, 'nothing starts that is being removed', key);
    check(model.state !== 'UNKNOWN', 'nothing UNKNOWN is started', key);
    const isOwed = model.owedStartAtMs !== undefined && model.owedStartAtMs <= nowMs;
    if (model.state === 'BACKOFF') {
      check(isOwed, 'no start in BACKOFF before its time', key);
    } else if (!isOwed) {
      check(model.startReasons > 0, 'nothing starts without a reason', key);
      model.startReasons -= 1;
    }
    model.owedStartAtMs = undefined;
    model.startedAtMs = nowMs;
  }

  #onSignal(effect: Effect & { kind: 'signal' }, input: EngineInput, nowMs: number): void {
    const model = this.#model(effect.name);
    const key = nameKey(effect.name);
    if (input.kind === 'signal') {
      check(effect.target === 'process', 'plain signals go to the process', key);
      return;
    }
    check(model.state === 'STOPPING', 'only what is stopped is signalled', key);
    if (effect.signal.number !== 9) return;
    check((model.killAtMs ?? Infinity) <= nowMs, 'no SIGKILL before stopwaitsecs', key);
    const target = model.policy.killAsGroup ? 'group' : 'process';
    check(effect.target === target, 'SIGKILL goes where killasgroup says', key);
    model.killAtMs = nowMs + Math.max(1000, model.policy.stopWaitMs);
  }

  #onReply(reply: Reply): void {
    const { request, outcome, fault } = reply;
    const open = this.#open.get(request);
    check(open !== undefined, 'one reply for each request', `${request} ${outcome}`);
    this.#open.delete(request);
    this.#answered.add(request);
    check(
      (outcome === 'ok') === (fault === undefined),
      'a fault goes with what is not ok',
      outcome,
    );
    const { input } = open;
    if (!('name' in input) || !('until' in input)) return;
    const model = this.#models.get(nameKey(input.name));
    if (model === undefined) return;
    const key = `${input.kind} ${nameKey(model.name)}: ${outcome} ${fault ?? ''}`;
    const entered = this.#entered.get(nameKey(model.name)) ?? [];
    const isAt = (states: ProcessState[]) =>
      states.includes(model.state) || entered.some((state) => states.includes(state));
    if (input.kind === 'stop') {
      if (outcome !== 'ok') model.stopReasons -= 1;
      if (outcome === 'ok' && input.until === 'settled') {
        check(isAt(['STOPPED', 'EXITED', 'FATAL']), 'ok means stopped', key);
      }
      if (outcome === 'ok' && model.state === 'EXITED') model.owedStartAtMs = undefined;
      return;
    }
    if (outcome === 'ok' && input.until === 'settled')
      check(isAt(['RUNNING']), 'ok means RUNNING', key);
    if (outcome === 'already') {
      check(
        isAt(['STARTING', 'RUNNING', 'BACKOFF']) || reply.facts?.state === 'STARTING',
        'already means it is up',
        key,
      );
    }
    if (fault === 'SPAWN_ERROR') check(isAt(['BACKOFF']), 'SPAWN_ERROR means a failed start', key);
  }

  #onAcknowledge(spawn: number, input: EngineInput): void {
    const child = this.#spawner.children.get(spawn);
    check(child?.end !== undefined, 'only ended children are acknowledged', `spawn ${spawn}`);
    check(!child.acknowledged, 'an exit is acknowledged once', `spawn ${spawn} ${input.kind}`);
  }

  #onShutdownComplete(): void {
    this.#completions += 1;
    check(this.#isShutdown && this.#completions === 1, 'a shutdown is complete once', '');
    for (const model of this.#models.values()) {
      if (model.state === 'UNKNOWN') continue;
      const isDown = ['STOPPED', 'EXITED', 'FATAL'].includes(model.state);
      check(isDown, 'complete means that all is down', `${nameKey(model.name)} ${model.state}`);
    }
  }

  #afterBatch(input: EngineInput, nowMs: number, engine: Engine): void {
    const dueMs = engine.deadlineMs() ?? Infinity;
    if (input.kind === 'deadline') {
      // Only a stop that began just now with stopwaitsecs=0 is due again.
      const stops = [...this.#entered.values()].some((states) => states.includes('STOPPING'));
      check(dueMs > nowMs || stops, 'a deadline that was met is over', `${dueMs} at ${nowMs}`);
    }
    for (const model of this.#models.values()) {
      const key = `${nameKey(model.name)} ${model.state}`;
      const status = engine.status(model.name);
      if (status === undefined) continue;
      if (status.state !== 'STARTING' || status.child.kind === 'running') {
        check(status.state === model.state, 'what was told is what is', `${key}, ${status.state}`);
      }
      if (status.state === 'STARTING' && status.child.kind === 'running') {
        const upAtMs = status.child.startedAtMs + model.policy.startMs + 1;
        check(dueMs <= upAtMs, 'startsecs has its deadline', key);
      }
      if (status.state === 'STOPPING') {
        check(dueMs <= (model.killAtMs ?? Infinity), 'SIGKILL has its deadline', key);
      }
      if (model.owedStartAtMs !== undefined && !this.#isShutdown && !model.retiring) {
        check(dueMs <= model.owedStartAtMs, 'a start that is due has its deadline', key);
        const isOverdue = model.owedStartAtMs <= nowMs && input.kind !== 'signal';
        const isLate = status.state === 'EXITED' && this.#entered.has(nameKey(model.name));
        check(!(isOverdue && isLate), 'a restart follows its exit at once', key);
      }
    }
  }

  #model(name: NameSpec): Model {
    const model = this.#models.get(nameKey(name));
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

/** The next state that these effects tell of a process. */
function nextOf(effects: readonly Effect[], name: NameSpec): ProcessState | undefined {
  for (const effect of effects) {
    if (effect.kind !== 'emit' || effect.change.kind !== 'process') continue;
    if (same(effect.change.facts.name, name)) return effect.change.to;
  }
  return undefined;
}

function same(a: NameSpec, b: NameSpec): boolean {
  return a.group === b.group && a.process === b.process;
}

function check(holds: boolean, rule: string, what: string | (() => string)): asserts holds {
  if (!holds) throw new Error(`${rule}: ${typeof what === 'string' ? what : what()}`);
}
