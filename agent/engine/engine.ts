// All processes of one host: gives each input to the process it is about and gathers what shall be done.
// Invariants: a failed assertion costs one process its state, never the others; every request gets one reply;
// spawn numbers and tokens are never reused; equal inputs give equal effects.
import type { NameSpec } from '../../common/names.js';
import { SIGNALLABLE_STATES } from '../../common/states.js';
import { Configurator, isDown } from './configure.js';
import { Deadlines } from './deadlines.js';
import { factsOf, liveChildOf } from './facts.js';
import { Groups } from './groups.js';
import { lines } from './messages.js';
import { deadlineMs, step, type ProcessEffect, type ProcessInput } from './process.js';
import { Requests, SHUTTING_DOWN, WAITING_MAX, type Slot } from './requests.js';
import { Shutdown } from './shutdown.js';
import type {
  Effect,
  EngineInput,
  EngineLogLevel,
  EngineRequest,
  EngineView,
  Fault,
  GroupSpec,
  ProcessFacts,
  ProcessStatus,
  ReplyOutcome,
  RequestId,
} from './types.js';

type InputOf<Kind extends EngineInput['kind']> = Extract<EngineInput, { readonly kind: Kind }>;

/** A signal on its way; its outcome is still to come. */
interface SentSignal {
  readonly slot: Slot;
  readonly spawn: number;
  readonly pid: number;
  /** undefined: sent to stop the process. */
  readonly request: RequestId | undefined;
}

/** The engine of one host. Drive it as types.ts says. */
export class Engine implements EngineView {
  readonly #groups = new Groups();
  readonly #bySpawn = new Map<number, Slot>();
  readonly #signals = new Map<number, SentSignal>();
  readonly #requests: Requests;
  readonly #configurator: Configurator;
  readonly #deadlines = new Deadlines();
  /** Processes whose deadline may have moved during the present input. */
  readonly #touched = new Set<Slot>();
  #shutdown: Shutdown | undefined;
  #effects: Effect[] = [];
  #nextSpawn: number;
  #nextToken = 1;
  #nowMs = 0;

  /** `nextSpawn`: above every spawn number this host has ever used. */
  constructor(nextSpawn: number) {
    this.#nextSpawn = nextSpawn;
    this.#requests = new Requests({
      nowMs: () => this.#nowMs,
      step: (slot, input) => this.#step(slot, input),
      reply: (request, outcome, fault, text, slot) =>
        this.#reply(request, outcome, fault, text, slot),
      log: (level, text) => this.#log(level, text),
    });
    this.#configurator = new Configurator(this.#groups, this.#requests, {
      nowMs: () => this.#nowMs,
      isShuttingDown: () => this.#shutdown !== undefined,
      act: (slot, input) => this.#act(slot, input),
      emit: (change) => this.#effects.push({ kind: 'emit', change }),
      forget: (slot) => this.#deadlines.set(slot, undefined),
      claim: (slot, spawn) => this.#claim(slot, spawn),
      release: (spawn) => this.#release(spawn),
    });
  }

  handle(input: EngineInput, nowMs: number): Effect[] {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    this.#effects = [];
    this.#dispatch(input);
    this.#configurator.sweep();
    if (this.#shutdown?.proceed() === true) this.#effects.push({ kind: 'shutdown-complete' });
    this.#renewDeadlines();
    return this.#effects;
  }

  deadlineMs(): number | undefined {
    return earliest(this.#shutdown?.reportAtMs(), this.#deadlines.nextMs());
  }

  status(name: NameSpec): ProcessStatus | undefined {
    return this.#groups.slot(name)?.process.status;
  }

  facts(name: NameSpec): ProcessFacts | undefined {
    const slot = this.#groups.slot(name);
    return slot && factsOf(slot.process);
  }

  snapshot(): ProcessFacts[] {
    return this.#groups.inOrder().map((slot) => factsOf(slot.process));
  }

  groups(): GroupSpec[] {
    return this.#groups.all().map((group) => group.spec);
  }

  nextSpawn(): number {
    return this.#nextSpawn;
  }

  #dispatch(input: EngineInput): void {
    switch (input.kind) {
      case 'apply-config':
        return this.#onConfig(input);
      case 'add-group':
        return this.#onAddGroup(input.request, input.group);
      case 'remove-group':
        return this.#onRemoveGroup(input.request, input.group);
      case 'spawned':
      case 'spawn-failed':
        return this.#onSpawnAnswer(input);
      case 'exited':
        return this.#onExited(input);
      case 'signal-outcome':
        return this.#onSignalOutcome(input);
      case 'start':
      case 'stop':
      case 'restart':
      case 'signal':
        return this.#onRequest(input);
      case 'deadline':
        return this.#onDeadline();
      case 'shutdown':
        return this.#onShutdown();
      case 'force-unknown':
        return this.#onForceUnknown(input);
      default:
        input satisfies never;
    }
  }

  #onConfig({ groups, adopt }: InputOf<'apply-config'>): void {
    this.#configurator.apply(groups, adopt);
    // Policies move deadlines.
    this.#touchAll();
  }

  #onAddGroup(request: RequestId, spec: GroupSpec): void {
    if (this.#refuseInShutdown(request, undefined)) return;
    if (this.#groups.find(spec.name) !== undefined) {
      const text = `group ${spec.name} is there already`;
      return this.#reply(request, 'failed', 'ALREADY_ADDED', text, undefined);
    }
    this.#configurator.add(spec);
    this.#reply(request, 'ok', undefined, '', undefined);
  }

  #onRemoveGroup(request: RequestId, name: string): void {
    if (this.#refuseInShutdown(request, undefined)) return;
    const group = this.#groups.find(name);
    if (group === undefined) {
      return this.#reply(request, 'failed', 'BAD_NAME', `there is no group ${name}`, undefined);
    }
    const busy = group.slots.filter((slot) => !isDown(slot));
    if (busy.length > 0) {
      const names = busy.map((slot) => slot.process.name.process).join(', ');
      const text = `group ${name} can be removed once these are stopped: ${names}`;
      return this.#reply(request, 'failed', 'STILL_RUNNING', text, undefined);
    }
    this.#configurator.remove(group);
    this.#reply(request, 'ok', undefined, '', undefined);
  }

  #onSpawnAnswer(input: InputOf<'spawned' | 'spawn-failed'>): void {
    const slot = this.#bySpawn.get(input.spawn);
    if (slot === undefined) {
      return this.#log('error', `the spawner answered for spawn ${input.spawn}, which is nobody's`);
    }
    if (input.kind === 'spawn-failed') this.#bySpawn.delete(input.spawn);
    this.#act(slot, input);
  }

  #onExited(input: InputOf<'exited'>): void {
    const slot = this.#bySpawn.get(input.spawn);
    if (slot === undefined) this.#log('info', lines.reapedUnknown(input.pid, input.exit));
    else this.#act(slot, input);
    this.#release(input.spawn);
  }

  #onSignalOutcome({ token, outcome }: InputOf<'signal-outcome'>): void {
    const sent = this.#signals.get(token);
    if (sent === undefined) {
      return this.#log('error', `the spawner answered for signal ${token}, which was not sent`);
    }
    this.#signals.delete(token);
    const { slot, spawn, pid, request } = sent;
    const { process } = slot.process.name;
    const isPlain = request !== undefined;
    if (outcome === 'gone') this.#log('debug', lines.gone(process, pid, isPlain));
    const error = typeof outcome === 'string' ? undefined : outcome.error;
    if (request !== undefined && error === undefined) {
      this.#reply(request, 'ok', undefined, '', slot);
    } else if (request !== undefined && error !== undefined) {
      this.#reply(request, 'failed', 'FAILED', lines.sendFailed(process, pid, error), slot);
    }
    // A child that has ended meanwhile can no longer be in doubt.
    const isCurrent = liveChildOf(slot.process.status)?.spawn === spawn;
    if (error !== undefined && isCurrent) {
      this.#act(slot, { kind: 'signal-failed', plain: isPlain, error });
    }
  }

  #onRequest(input: EngineRequest): void {
    const slot = this.#groups.slot(input.name);
    if (slot === undefined || slot.retiring) {
      const { group, process } = input.name;
      const text = `there is no process ${group}:${process}`;
      return this.#reply(input.request, 'failed', 'BAD_NAME', text, undefined);
    }
    if (this.#refuseInShutdown(input.request, slot)) return;
    if (input.kind === 'signal') return this.#onSignalRequest(input, slot);
    this.#touched.add(slot);
    const { request, kind, cause, until, ifSpawn } = input;
    this.#requests.submit(slot, { request, action: kind, cause, until, ifSpawn });
  }

  #onSignalRequest(input: InputOf<'signal'>, slot: Slot): void {
    const { request, signal, ifSpawn } = input;
    const { status, name, record } = slot.process;
    const child = liveChildOf(status);
    if (ifSpawn !== undefined && ifSpawn !== record.spawn) {
      const text = `its last spawn is ${record.spawn}, not ${ifSpawn}`;
      return this.#reply(request, 'conflict', 'FAILED', text, slot);
    }
    if (child === undefined || !SIGNALLABLE_STATES.has(status.state)) {
      this.#log('debug', lines.notRunningToSend(name.process, signal));
      return this.#reply(request, 'failed', 'NOT_RUNNING', `it is ${status.state}`, slot);
    }
    if (this.#signals.size >= WAITING_MAX) {
      const text = `${WAITING_MAX} signals are on their way already; try again later`;
      return this.#reply(request, 'busy', 'FAILED', text, slot);
    }
    this.#log('debug', lines.sending(name.process, child.pid, signal));
    this.#send(slot, { kind: 'signal', child, signal, target: 'process' }, request);
  }

  #onDeadline(): void {
    for (const slot of this.#groups.sort(this.#deadlines.takeDue(this.#nowMs))) {
      this.#touched.add(slot);
      if (isDue(this.#processDeadlineMs(slot), this.#nowMs)) this.#act(slot, { kind: 'deadline' });
      // Else it is the report on a stop that somebody waits for.
      else this.#requests.pump(slot);
    }
  }

  #onShutdown(): void {
    if (this.#shutdown !== undefined) return;
    this.#shutdown = new Shutdown(this.#groups, {
      nowMs: () => this.#nowMs,
      act: (slot, input) => this.#act(slot, input),
      log: (level, text) => this.#log(level, text),
    });
    for (const slot of this.#groups.inOrder()) {
      this.#requests.abandon(slot, 'failed', 'SHUTDOWN_STATE', SHUTTING_DOWN);
    }
    this.#touchAll();
  }

  #onForceUnknown(input: InputOf<'force-unknown'>): void {
    const slot = this.#groups.slot(input.name);
    if (slot !== undefined) this.#act(slot, input);
  }

  /** Steps a process and lets the requests on it go on. */
  #act(slot: Slot, input: ProcessInput): void {
    this.#step(slot, input);
    this.#requests.pump(slot);
  }

  /** One input for one process. What fails for it stays with it. */
  #step(slot: Slot, input: ProcessInput): void {
    this.#touched.add(slot);
    const context = {
      nowMs: this.#nowMs,
      supervising: this.#isSupervising(slot),
      allocateSpawn: () => this.#nextSpawn++,
    };
    let result;
    try {
      result = step(slot.process, input, context);
    } catch (error) {
      const reason = `internal error: ${error instanceof Error ? error.message : String(error)}`;
      result = step(slot.process, { kind: 'force-unknown', reason }, context);
    }
    slot.process = result.process;
    for (const effect of result.effects) this.#perform(slot, effect);
  }

  #perform(slot: Slot, effect: ProcessEffect): void {
    switch (effect.kind) {
      case 'spawn':
        this.#bySpawn.set(effect.spawn, slot);
        this.#effects.push({ ...effect, name: slot.process.name });
        return;
      case 'signal':
        return this.#send(slot, effect, undefined);
      case 'emit':
        slot.seen.push(effect.change.to);
        this.#effects.push(effect);
        return;
      case 'log':
        this.#effects.push(effect);
        return;
      default:
        effect satisfies never;
    }
  }

  #send(
    slot: Slot,
    { child, signal, target }: ProcessEffect & { readonly kind: 'signal' },
    request: RequestId | undefined,
  ): void {
    const token = this.#nextToken++;
    const { spawn, pid } = child;
    this.#signals.set(token, { slot, spawn, pid, request });
    const { name } = slot.process;
    this.#effects.push({ kind: 'signal', token, name, spawn, pid, signal, target });
  }

  #claim(slot: Slot, spawn: number): void {
    this.#bySpawn.set(spawn, slot);
    this.#nextSpawn = Math.max(this.#nextSpawn, spawn + 1);
  }

  #release(spawn: number): void {
    this.#bySpawn.delete(spawn);
    this.#effects.push({ kind: 'acknowledge-exit', spawn });
  }

  #isSupervising(slot: Slot): boolean {
    return this.#shutdown === undefined && !slot.retiring;
  }

  #processDeadlineMs(slot: Slot): number | undefined {
    return deadlineMs(slot.process, this.#isSupervising(slot));
  }

  #renewDeadlines(): void {
    for (const slot of this.#touched) {
      const dueMs = earliest(this.#processDeadlineMs(slot), this.#requests.reportAtMs(slot));
      this.#deadlines.set(slot, dueMs);
    }
    this.#touched.clear();
  }

  #touchAll(): void {
    for (const slot of this.#groups.inOrder()) this.#touched.add(slot);
  }

  #refuseInShutdown(request: RequestId, slot: Slot | undefined): boolean {
    if (this.#shutdown === undefined) return false;
    this.#reply(request, 'failed', 'SHUTDOWN_STATE', SHUTTING_DOWN, slot);
    return true;
  }

  #reply(
    request: RequestId,
    outcome: ReplyOutcome,
    fault: Fault | undefined,
    text: string,
    slot: Slot | undefined,
  ): void {
    const facts = slot && factsOf(slot.process);
    this.#effects.push({ kind: 'reply', request, outcome, fault, text, facts });
  }

  #log(level: EngineLogLevel, text: string): void {
    this.#effects.push({ kind: 'log', level, text });
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function isDue(dueMs: number | undefined, nowMs: number): boolean {
  return dueMs !== undefined && dueMs <= nowMs;
}
