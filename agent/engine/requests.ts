// Requests on processes: one change at a time per process, in arrival order (spec fleet 8 D35), one reply each.
// A stop does not wait for a start to succeed: it takes over, and whoever waited for the start hears so.
import { RUNNING_STATES, type ProcessState } from '../../common/states.js';
import { isStopping, liveChildOf, childOf, type Process } from './facts.js';
import { lines } from './messages.js';
import type { ProcessInput } from './process.js';
import type { EngineLogLevel, Fault, ReplyOutcome, RequestId, Until } from './types.js';

/** Requests waiting for their turn, over all processes; one more is `busy`. */
export const WAITING_MAX = 256;
/** Why nothing is taken any more once a shutdown has begun. */
export const SHUTTING_DOWN = 'the agent is shutting down';
/** How often a wait for a stop is mentioned in the log (spec process 6). */
const REPORT_EVERY_MS = 2000;

/** A start, stop or restart that has not had its turn. */
export interface Pending {
  /** undefined: the engine's own wish, nobody waits for the result. */
  readonly request: RequestId | undefined;
  readonly action: 'start' | 'stop' | 'restart';
  readonly cause: string;
  readonly until: Until;
  readonly ifSpawn: number | undefined;
}

/** The one request that is being carried out on a process. */
interface Active {
  readonly pending: Pending;
  /** What it waits for; a restart, or a start during a stop, goes through both. */
  phase: 'stopping' | 'starting';
  /** Its reply is given, only its turn lasts. */
  answered: boolean;
  /** A stop was under way already when its turn came. */
  readonly late: boolean;
  reportAtMs: number;
}

/** A process and those who want something of it. */
export interface Slot {
  process: Process;
  /** No longer configured: stopped, then forgotten. */
  retiring: boolean;
  /** States entered since its requests were last looked at, oldest first. */
  seen: ProcessState[];
  active: Active | undefined;
  readonly queue: Pending[];
}

/** What requests need of the engine. */
export interface RequestHands {
  nowMs(): number;
  step(slot: Slot, input: ProcessInput): void;
  reply(
    request: RequestId,
    outcome: ReplyOutcome,
    fault: Fault | undefined,
    text: string,
    slot: Slot,
  ): void;
  log(level: EngineLogLevel, text: string): void;
}

export class Requests {
  readonly #hands: RequestHands;
  #waiting = 0;

  constructor(hands: RequestHands) {
    this.#hands = hands;
  }

  /** Takes a request: replies at once, begins, or waits. */
  submit(slot: Slot, pending: Pending): void {
    const { active, queue } = slot;
    const stopsStart = pending.action === 'stop' && active?.pending.action !== 'stop';
    const waits = queue.length > 0 || (active !== undefined && !stopsStart);
    if (queue.length === 0 && active !== undefined && isRepeat(active, pending)) {
      return this.#answerAlready(slot, pending);
    }
    if (waits && this.#waiting >= WAITING_MAX) {
      const text = `${WAITING_MAX} requests are waiting already; try again when some have ended`;
      return this.#reply(slot, pending, 'busy', 'FAILED', text);
    }
    queue.push(pending);
    this.#waiting += 1;
    this.pump(slot);
  }

  /** Looks at what has happened to the process since, and goes on as far as possible. */
  pump(slot: Slot): void {
    for (;;) {
      this.#settle(slot);
      const [head] = slot.queue;
      if (slot.active !== undefined) {
        if (head?.action !== 'stop' || slot.active.pending.action === 'stop') break;
        // A stop that is refused anyway takes nothing over.
        if (!isConflict(slot, head)) {
          this.#finish(slot, 'failed', 'ABNORMAL_TERMINATION', 'a later request stopped it');
        }
      }
      const next = slot.queue.shift();
      if (next === undefined) break;
      this.#waiting -= 1;
      this.#begin(slot, next);
    }
    this.#report(slot);
  }

  /** Refuses all that waits and all that would start; a stop under way is seen to its end. */
  abandon(slot: Slot, outcome: ReplyOutcome, fault: Fault, text: string): void {
    if (slot.active !== undefined && slot.active.pending.action !== 'stop') {
      this.#finish(slot, outcome, fault, text);
    }
    for (const pending of slot.queue) this.#reply(slot, pending, outcome, fault, text);
    this.#waiting -= slot.queue.length;
    slot.queue.length = 0;
  }

  /** When the next line about waiting for a stop is due; undefined: never. */
  reportAtMs(slot: Slot): number | undefined {
    return awaitedStop(slot)?.reportAtMs;
  }

  #report(slot: Slot): void {
    const awaited = awaitedStop(slot);
    if (awaited === undefined || awaited.reportAtMs > this.#hands.nowMs()) return;
    awaited.reportAtMs = this.#hands.nowMs() + REPORT_EVERY_MS;
    this.#hands.log('info', lines.waitingToStop(slot.process.name.process));
  }

  #begin(slot: Slot, pending: Pending): void {
    const { status, record, name } = slot.process;
    if (isConflict(slot, pending)) {
      const text = `its last spawn is ${record.spawn}, not ${pending.ifSpawn}`;
      return this.#reply(slot, pending, 'conflict', 'FAILED', text);
    }
    if (isStopping(status)) return this.#beginStopping(slot, pending);
    if (status.state === 'UNKNOWN') return this.#beginUnknown(slot, pending);
    if (RUNNING_STATES.has(status.state)) {
      if (pending.action === 'start') return this.#answerAlready(slot, pending);
      return this.#stop(slot, pending);
    }
    if (pending.action !== 'stop') return this.#start(slot, pending);
    if (status.state === 'EXITED' && status.restartAtMs !== undefined) {
      this.#hands.step(slot, { kind: 'stop', cause: pending.cause });
      return this.#reply(slot, pending, 'ok', undefined, '');
    }
    this.#hands.log('debug', lines.notRunning(name.process, slot.process.policy.stopSignal));
    this.#answerAlready(slot, pending);
  }

  /** The process is being stopped, and not by a request that is still active. */
  #beginStopping(slot: Slot, pending: Pending): void {
    if (pending.action === 'stop' && pending.until === 'accepted') {
      return this.#answerAlready(slot, pending);
    }
    this.#activate(slot, pending, 'stopping', true);
  }

  #beginUnknown(slot: Slot, pending: Pending): void {
    const { status, name } = slot.process;
    if (pending.action === 'stop' && childOf(status) === undefined) {
      return this.#stop(slot, pending);
    }
    const text = `${name.process} is in an unknown process state`;
    this.#reply(slot, pending, 'failed', 'FAILED', text);
  }

  #start(slot: Slot, pending: Pending): void {
    this.#activate(slot, pending, 'starting');
    this.#hands.step(slot, { kind: 'start', cause: pending.cause });
  }

  #stop(slot: Slot, pending: Pending): void {
    const active = this.#activate(slot, pending, 'stopping');
    this.#hands.step(slot, { kind: 'stop', cause: pending.cause });
    // What failed or ended in that same step is told by #settle.
    if (pending.until === 'accepted' && slot.seen.every((state) => state === 'STOPPING')) {
      active.answered = true;
      this.#reply(slot, pending, 'ok', undefined, '');
    }
  }

  #activate(slot: Slot, pending: Pending, phase: Active['phase'], late = false): Active {
    const reportAtMs = this.#hands.nowMs();
    slot.active = { pending, phase, answered: false, late, reportAtMs };
    return slot.active;
  }

  /** Ends the active request if what was seen decides it. */
  #settle(slot: Slot): void {
    for (;;) {
      const state = slot.seen.shift();
      if (state === undefined) break;
      if (slot.active?.phase === 'stopping') this.#settleStopping(slot, slot.active, state);
      else if (slot.active?.phase === 'starting') this.#settleStarting(slot, state);
    }
    const { active } = slot;
    if (active === undefined || active.answered || active.phase !== 'starting') return;
    if (active.pending.until === 'accepted' && liveChildOf(slot.process.status) !== undefined) {
      active.answered = true;
      this.#reply(slot, active.pending, 'ok', undefined, '');
    }
  }

  #settleStopping(slot: Slot, active: Active, state: ProcessState): void {
    switch (state) {
      case 'STOPPED':
      case 'EXITED':
      case 'FATAL':
        if (active.pending.action === 'stop') {
          if (!active.late) return this.#finish(slot, 'ok', undefined, '');
          return this.#finish(slot, 'already', 'NOT_RUNNING', 'another request stopped it');
        }
        active.phase = 'starting';
        return this.#hands.step(slot, { kind: 'start', cause: active.pending.cause });
      case 'UNKNOWN':
        return this.#finish(slot, 'failed', 'FAILED', slot.process.record.reason);
      default:
        return;
    }
  }

  #settleStarting(slot: Slot, state: ProcessState): void {
    const { reason } = slot.process.record;
    switch (state) {
      case 'RUNNING':
        return this.#finish(slot, 'ok', undefined, '');
      case 'BACKOFF':
        return this.#finish(slot, 'failed', 'SPAWN_ERROR', reason);
      case 'UNKNOWN':
        return this.#finish(slot, 'failed', 'FAILED', reason);
      default:
        return;
    }
  }

  #answerAlready(slot: Slot, pending: Pending): void {
    const fault = pending.action === 'start' ? 'ALREADY_STARTED' : 'NOT_RUNNING';
    this.#reply(slot, pending, 'already', fault, `it is ${slot.process.status.state}`);
  }

  #finish(slot: Slot, outcome: ReplyOutcome, fault: Fault | undefined, text: string): void {
    const { active } = slot;
    slot.active = undefined;
    if (active !== undefined && !active.answered) {
      this.#reply(slot, active.pending, outcome, fault, text);
    }
  }

  #reply(
    slot: Slot,
    pending: Pending,
    outcome: ReplyOutcome,
    fault: Fault | undefined,
    text: string,
  ): void {
    if (pending.request !== undefined) {
      this.#hands.reply(pending.request, outcome, fault, text, slot);
    }
  }
}

/** The stop that somebody waits for; undefined: there is none, or nobody does. */
function awaitedStop({ active, process }: Slot): Active | undefined {
  const isAwaited = active?.phase === 'stopping' && !active.answered;
  return isAwaited && process.status.state === 'STOPPING' ? active : undefined;
}

/** Whether the process has been started again since the request was thought of. */
function isConflict(slot: Slot, { ifSpawn }: Pending): boolean {
  return ifSpawn !== undefined && ifSpawn !== slot.process.record.spawn;
}

/** Whether a request asks for what the active one is doing, so that its answer is known. */
function isRepeat(active: Active, pending: Pending): boolean {
  if (active.pending.action !== pending.action) return false;
  if (pending.action === 'start') return active.phase === 'starting';
  return pending.action === 'stop' && pending.until === 'accepted';
}
