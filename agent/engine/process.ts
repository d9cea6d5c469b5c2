// One process: its state, what a fact or wish makes of it, and what shall be done about it (spec process 2-7).
// Invariants: every change of state is in TRANSITIONS; a child is asked for only when there is none; inputs are
// never changed in place, so that a failed assertion leaves nothing half done.
import { TRANSITIONS, type ProcessState } from '../../common/states.js';
import { childOf, factsOf, liveChildOf, type Process, type ProcessRecord } from './facts.js';
import { badExit, EXITED_TOO_QUICKLY, lines } from './messages.js';
import { countFastExits, isExpected, isRestartDue, restartAtMs } from './restart.js';
import type {
  Change,
  EngineLogLevel,
  EngineSignal,
  ExitStatus,
  LiveChild,
  ProcessStatus,
  SpawningChild,
} from './types.js';

/** Each failed start adds a second to the wait before the next one (spec process 3). */
export const BACKOFF_STEP_MS = 1000;
/** SIGKILL is not repeated more often than this, whatever `stopwaitsecs` says. */
const KILL_REPEAT_MS_MIN = 1000;
const SIGKILL: EngineSignal = { number: 9, name: 'SIGKILL' };

export type ProcessInput =
  | { readonly kind: 'start'; readonly cause: string }
  | { readonly kind: 'stop'; readonly cause: string }
  | { readonly kind: 'spawned'; readonly pid: number; readonly startedAtMs: number }
  | { readonly kind: 'spawn-failed'; readonly text: string }
  | {
      readonly kind: 'exited';
      readonly pid: number;
      readonly exit: ExitStatus;
      readonly atMs: number;
    }
  | { readonly kind: 'signal-failed'; readonly plain: boolean; readonly error: string }
  | { readonly kind: 'deadline' }
  /** Shutdown: a process in BACKOFF will not be tried again. */
  | { readonly kind: 'give-up' }
  | { readonly kind: 'force-unknown'; readonly reason: string };

export type ProcessEffect =
  | { readonly kind: 'spawn'; readonly spawn: number }
  | {
      readonly kind: 'signal';
      readonly child: LiveChild;
      readonly signal: EngineSignal;
      readonly target: 'process' | 'group';
    }
  | { readonly kind: 'emit'; readonly change: Change & { readonly kind: 'process' } }
  | { readonly kind: 'log'; readonly level: EngineLogLevel; readonly text: string };

/** What a step may know about the world. */
export interface StepContext {
  readonly nowMs: number;
  /** False while the daemon shuts down or this process is being removed: nothing starts by itself. */
  readonly supervising: boolean;
  /** A spawn number never used before. */
  allocateSpawn(): number;
}

export interface Step {
  readonly process: Process;
  readonly effects: readonly ProcessEffect[];
}

/** Thrown when a step finds what cannot be; the engine then moves the process to UNKNOWN. */
export class EngineAssertion extends Error {}

/** One process after one input; throws EngineAssertion when it cannot happen in this state. */
export function step(process: Process, input: ProcessInput, context: StepContext): Step {
  const turn = new Turn(process, context);
  switch (input.kind) {
    case 'start':
      turn.start(input.cause);
      break;
    case 'stop':
      turn.stop(input.cause);
      break;
    case 'spawned':
      turn.spawned(input.pid, input.startedAtMs);
      break;
    case 'spawn-failed':
      turn.spawnFailed(input.text);
      break;
    case 'exited':
      turn.exited(input.pid, input.exit, input.atMs);
      break;
    case 'signal-failed':
      turn.signalFailed(input.plain, input.error);
      break;
    case 'deadline':
      turn.deadline();
      break;
    case 'give-up':
      turn.giveUp();
      break;
    case 'force-unknown':
      turn.unknown(input.reason);
      break;
    default:
      input satisfies never;
  }
  return { process: turn.process, effects: turn.effects };
}

/** When `deadline` is due for this process; undefined: never. */
export function deadlineMs(process: Process, supervising: boolean): number | undefined {
  const { status, policy } = process;
  switch (status.state) {
    case 'STARTING':
      // One millisecond more, because RUNNING means strictly longer than startsecs.
      return status.child.kind === 'running'
        ? status.child.startedAtMs + policy.startMs + 1
        : undefined;
    case 'BACKOFF':
      return supervising ? status.retryAtMs : undefined;
    case 'STOPPING':
      return status.killAtMs;
    case 'EXITED':
      return supervising ? status.restartAtMs : undefined;
    default:
      return undefined;
  }
}

/** A step under way: the process as it has become, and the effects so far. */
class Turn {
  process: Process;
  readonly effects: ProcessEffect[] = [];
  readonly #context: StepContext;

  constructor(process: Process, context: StepContext) {
    this.process = process;
    this.#context = context;
  }

  start(cause: string): void {
    const { status, record } = this.process;
    // None of the states that lead to STARTING has a child.
    this.#assert(TRANSITIONS[status.state].includes('STARTING'), 'a start');
    const spawn = this.#context.allocateSpawn();
    this.#note({
      spawn,
      // Only a retry continues the count: a start after a stop begins anew.
      attempts: status.state === 'BACKOFF' ? record.attempts : 0,
      lastStartAtMs: this.#context.nowMs,
      exit: undefined,
      reason: '',
      cause,
    });
    const child: SpawningChild = {
      kind: 'spawning',
      spawn,
      from: status.state,
      stopWanted: false,
    };
    this.#become({ state: 'STARTING', child });
    this.effects.push({ kind: 'spawn', spawn });
  }

  stop(cause: string): void {
    const { status, name } = this.process;
    this.#note({ cause });
    switch (status.state) {
      case 'STARTING':
        if (status.child.kind === 'running') return this.#terminate(status.child);
        // There is no pid to signal yet; spawned() carries the stop out.
        return this.#become({ ...status, child: { ...status.child, stopWanted: true } });
      case 'RUNNING':
        return this.#terminate(status.child);
      case 'BACKOFF':
        this.#log('debug', lines.stopInBackoff(name.process));
        this.#note({ lastStopAtMs: this.#context.nowMs });
        return this.#move({ state: 'STOPPED' });
      case 'EXITED':
        return this.#become({ state: 'EXITED', restartAtMs: undefined });
      case 'UNKNOWN':
        this.#assert(status.child === undefined, 'a stop of a child that cannot be signalled');
        return this.#move({ state: 'STOPPED' });
      default:
        this.#assert(false, 'a stop');
    }
  }

  spawned(pid: number, startedAtMs: number): void {
    const { status, name, policy } = this.process;
    const asked = childOf(status);
    if (asked?.kind !== 'spawning') return this.#assert(false, 'a pid nobody asked for');
    const child: LiveChild = { kind: 'running', spawn: asked.spawn, pid, startedAtMs };
    if (status.state === 'UNKNOWN') return this.#become({ ...status, child });
    this.#become({ state: 'STARTING', child });
    this.#announce(asked.from);
    this.#log('info', lines.spawned(name.process, pid));
    if (asked.stopWanted) return this.#terminate(child);
    // startsecs=0 is RUNNING at once (spec xmlrpc 8.3).
    if (policy.startMs <= 0) this.#running(child);
  }

  spawnFailed(text: string): void {
    const { status } = this.process;
    const asked = childOf(status);
    if (asked?.kind !== 'spawning') return this.#assert(false, 'a failure nobody asked for');
    this.#log('info', lines.spawnError(text));
    if (status.state === 'UNKNOWN') {
      this.#note({ reason: text });
      return this.#move({ state: 'STOPPED' });
    }
    this.#announce(asked.from);
    this.#backOff(text, this.#context.nowMs);
    this.#afterFailure(asked.stopWanted);
  }

  exited(pid: number, exit: ExitStatus, atMs: number): void {
    const asked = childOf(this.process.status);
    // The news of the pid was lost; the child lived all the same.
    if (asked?.kind === 'spawning') this.spawned(pid, atMs);
    const { status, policy, name } = this.process;
    const child = liveChildOf(status);
    if (child === undefined) return this.#assert(false, 'an exit without a child');
    const diedAtMs = Math.min(atMs, this.#context.nowMs);
    const livedMs = Math.max(0, diedAtMs - child.startedAtMs);
    this.#note({ exit, lastStopAtMs: diedAtMs });
    switch (status.state) {
      case 'STARTING':
        if (livedMs < policy.startMs) {
          this.#backOff(EXITED_TOO_QUICKLY, diedAtMs);
          this.#log('warn', lines.exited(name.process, exit, false));
          return this.#afterFailure(false);
        }
        // It has lived long enough, only nobody looked: it is seen to pass through RUNNING.
        this.#note({ attempts: 0 });
        this.#move({ state: 'RUNNING', child });
        return this.#ended(child, exit, livedMs);
      case 'RUNNING':
        return this.#ended(child, exit, livedMs);
      case 'STOPPING':
        return this.#stopped(child, exit);
      case 'UNKNOWN':
        if (status.leaveTo === 'STOPPED') return this.#stopped(child, exit);
        return this.#ended(child, exit, livedMs);
      default:
        // No other state has a child.
        return;
    }
  }

  signalFailed(plain: boolean, error: string): void {
    const { status, name } = this.process;
    const child = liveChildOf(status);
    if (child === undefined) return this.#assert(false, 'a signal without a child');
    const text = (plain ? lines.sendFailed : lines.killFailed)(name.process, child.pid, error);
    this.#log('critical', text);
    this.unknown(text);
  }

  /** Called when deadlineMs() says so, not earlier. */
  deadline(): void {
    const { status } = this.process;
    switch (status.state) {
      case 'STARTING':
        if (status.child.kind === 'running') this.#running(status.child);
        return;
      case 'BACKOFF':
        // The number of retries may have been lowered meanwhile.
        this.#afterFailure(false);
        if (this.process.status.state === 'BACKOFF') this.start('');
        return;
      case 'STOPPING':
        return this.#killHard(status);
      case 'EXITED':
        return this.start('');
      default:
        return;
    }
  }

  giveUp(): void {
    this.#move({ state: 'FATAL' });
  }

  unknown(reason: string): void {
    const { status, name } = this.process;
    const child = childOf(status);
    this.#note({ reason });
    if (status.state === 'UNKNOWN') return;
    if (child?.kind === 'spawning') this.#announce(child.from);
    this.#log('error', lines.unknownState(name.process, reason));
    const stopping =
      status.state === 'STOPPING' || (child?.kind === 'spawning' && child.stopWanted);
    this.#move({ state: 'UNKNOWN', child, leaveTo: stopping ? 'STOPPED' : 'EXITED' });
  }

  #running(child: LiveChild): void {
    const { name, policy } = this.process;
    this.#note({ attempts: 0 });
    this.#move({ state: 'RUNNING', child });
    this.#log('info', lines.success(name.process, policy.startMs));
  }

  #terminate(child: LiveChild): void {
    const { name, policy } = this.process;
    const { stopSignal, stopAsGroup } = policy;
    const killAtMs = this.#context.nowMs + Math.max(0, policy.stopWaitMs);
    this.#log('debug', lines.killing(name.process, child.pid, stopSignal, stopAsGroup));
    this.#move({ state: 'STOPPING', child, killAtMs });
    this.#signal(child, stopSignal, stopAsGroup);
  }

  #killHard(status: ProcessStatus & { readonly state: 'STOPPING' }): void {
    const { name, policy } = this.process;
    const { child } = status;
    const killAtMs = this.#context.nowMs + Math.max(policy.stopWaitMs, KILL_REPEAT_MS_MIN);
    this.#log('warn', lines.killingHard(name.process, child.pid));
    this.#become({ ...status, killAtMs });
    this.#signal(child, SIGKILL, policy.killAsGroup);
  }

  /** STARTING to BACKOFF. The wait begins at the failure, however late it is noticed. */
  #backOff(reason: string, failedAtMs: number): void {
    const attempts = this.process.record.attempts + 1;
    this.#note({ attempts, reason });
    this.#move({ state: 'BACKOFF', retryAtMs: failedAtMs + attempts * BACKOFF_STEP_MS });
  }

  #afterFailure(stopWanted: boolean): void {
    const { name, policy, record } = this.process;
    if (stopWanted) return this.stop(record.cause);
    if (record.attempts <= policy.startRetries) return;
    this.#move({ state: 'FATAL' });
    this.#log('info', lines.gaveUp(name.process));
  }

  #stopped(child: LiveChild, exit: ExitStatus): void {
    const { name, policy } = this.process;
    this.#move({ state: 'STOPPED' }, { pid: child.pid });
    const level = isExpected(policy, exit) ? 'info' : 'warn';
    this.#log(level, lines.stopped(name.process, exit));
  }

  /** To EXITED, and on to the automatic restart if one is due. */
  #ended(child: LiveChild, exit: ExitStatus, livedMs: number): void {
    const { name, policy, record } = this.process;
    const { nowMs, supervising } = this.#context;
    const expected = isExpected(policy, exit);
    const fastExits = countFastExits(record.fastExits, livedMs);
    const restarts = supervising && isRestartDue(policy, exit);
    const atMs = restarts ? restartAtMs(fastExits, child.startedAtMs, nowMs) : undefined;
    this.#note({ fastExits, cause: '', reason: expected ? '' : badExit(exit) });
    this.#move({ state: 'EXITED', restartAtMs: atMs }, { pid: child.pid, expected });
    this.#log(expected ? 'info' : 'warn', lines.exited(name.process, exit, expected));
    if (atMs !== undefined && atMs <= nowMs) this.start('');
  }

  /** A change of state, checked against the table and told to the world. */
  #move(status: ProcessStatus, event: { pid?: number; expected?: boolean } = {}): void {
    const from = this.process.status.state;
    this.#assert(TRANSITIONS[from].includes(status.state), `a change to ${status.state}`);
    if (status.state === 'STOPPED') this.#note({ attempts: 0 });
    this.#become(status);
    this.#emit(from, event);
  }

  /** STARTING becomes public when the spawner has answered, with the pid in its row. */
  #announce(from: ProcessState): void {
    this.#emit(from, {});
  }

  #emit(from: ProcessState, event: { pid?: number; expected?: boolean }): void {
    const facts = factsOf(this.process);
    const { pid = facts.pid, expected = true } = event;
    const change = { kind: 'process' as const, from, to: facts.state, facts, expected, pid };
    this.effects.push({ kind: 'emit', change });
  }

  #become(status: ProcessStatus): void {
    this.process = { ...this.process, status };
  }

  #note(record: Partial<ProcessRecord>): void {
    this.process = { ...this.process, record: { ...this.process.record, ...record } };
  }

  #signal(child: LiveChild, signal: EngineSignal, asGroup: boolean): void {
    this.effects.push({ kind: 'signal', child, signal, target: asGroup ? 'group' : 'process' });
  }

  #log(level: EngineLogLevel, text: string): void {
    this.effects.push({ kind: 'log', level, text });
  }

  #assert(holds: boolean, what: string): void {
    if (holds) return;
    const { group, process } = this.process.name;
    const { state } = this.process.status;
    throw new EngineAssertion(`${group}:${process} is ${state}, which does not admit ${what}`);
  }
}
