// What must never be true of an engine, written from the spec and from the children's truth, not from the engine.
// Each rule names itself in the error it throws.
import type { Engine } from '../../../agent/engine/engine.js';
import type { Adoption, Change, Effect, EngineInput, Reply } from '../../../agent/engine/types.js';
import { nameKey, type NameSpec } from '../../../common/names.js';
import { TRANSITIONS, type ProcessState } from '../../../common/states.js';
import { checkAtRest } from './rest.js';
import { check, type Model, Models, same } from './models.js';
import type { SimSpawner } from './spawner.js';

type ProcessChange = Change & { readonly kind: 'process' };

const FAST_MS = 1000;
const FAST_ENDS_AT_ONCE = 10;

export class Watch {
  readonly counts = { spawns: 0, requests: 0 };
  readonly #spawner: SimSpawner;
  readonly #models: Models;
  readonly #open = new Map<number, EngineInput>();
  #lastSpawn = 0;
  #isShutdown = false;
  #completions = 0;
  /** States each process entered during the present batch of effects. */
  #entered = new Map<string, ProcessState[]>();
  #adopting: readonly Adoption[] = [];

  constructor(spawner: SimSpawner) {
    this.#spawner = spawner;
    this.#models = new Models(spawner);
  }

  /** Before the engine sees an input. */
  input(input: EngineInput): void {
    switch (input.kind) {
      case 'apply-config':
        this.#models.configure(input.groups, this.#adopting, this.#isShutdown);
        this.#adopting = [];
        return;
      case 'add-group':
        this.#open.set(input.request, input);
        if (!this.#isShutdown && !this.#models.hasGroup(input.group.name)) {
          this.#models.learnGroup(input.group, this.#isShutdown);
        }
        return;
      case 'remove-group':
        this.#open.set(input.request, input);
        return;
      case 'start':
      case 'stop':
      case 'restart':
      case 'signal': {
        this.counts.requests += 1;
        this.#open.set(input.request, input);
        const model = this.#models.byKey.get(nameKey(input.name));
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
    this.#models.byKey.clear();
    this.#open.clear();
    this.#adopting = adoptions;
  }

  /** Nothing has happened for long. */
  atRest(engine: Engine, isShutdown: boolean): void {
    for (const [request, { kind }] of this.#open) {
      check(false, 'every request gets its reply', `${kind} ${request}`);
    }
    check(!isShutdown || this.#completions === 1, 'a shutdown ends', '');
    checkAtRest(engine.snapshot(), this.#spawner, isShutdown);
  }

  #onChange(change: Change, input: EngineInput, rest: readonly Effect[], nowMs: number): void {
    if (change.kind === 'group-removed') {
      for (const model of [...this.#models.byKey.values()]) {
        if (model.name.group === change.group) this.#models.forget(model);
      }
      return;
    }
    if (change.kind !== 'process') return this.#models.rows(change.group, change.rows);
    const model = this.#models.get(change.facts.name);
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
    for (const other of this.#models.byKey.values()) {
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
    const model = this.#models.get(name);
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
    const model = this.#models.get(effect.name);
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
    check(
      (outcome === 'ok') === (fault === undefined),
      'a fault goes with what is not ok',
      outcome,
    );
    const input = open;
    if (!('name' in input) || !('until' in input)) return;
    const model = this.#models.byKey.get(nameKey(input.name));
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
    for (const model of this.#models.byKey.values()) {
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
    for (const model of this.#models.byKey.values()) {
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
}

/** The next state that these effects tell of a process. */
function nextOf(effects: readonly Effect[], name: NameSpec): ProcessState | undefined {
  for (const effect of effects) {
    if (effect.kind !== 'emit' || effect.change.kind !== 'process') continue;
    if (same(effect.change.facts.name, name)) return effect.change.to;
  }
  return undefined;
}
