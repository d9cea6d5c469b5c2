// Commands from the fleet: each (id, target) acts at most once, one change at a time per process, in arrival order.
// Invariants: the intent is stored before the act and the result after it; what is overdue is not begun;
// a signal is no change of state and does not wait behind one (spec fleet 8); neither does a stop, which the engine
// lets take over a start that is under way: an operator who stops a program does not want to see it start first.
import type { Clock } from '../../common/clock.js';
import { nameKey } from '../../common/names.js';
import type { Action, Outcome, ProcessRow } from '../../common/rows.js';
import type { AgentCore } from '../core.js';
import type { ActivityLog } from '../logs/activity.js';
import { CommandJournal } from './command-journal.js';
import { CommandMemory, type CommandKey, type Fence, type MemoryRecord } from './command-memory.js';

/** Commands queued behind another change of their process (spec fleet D35). */
export const WAITING_MAX = 256;

/** A command's envelope in our words. Numbers are 0 where nothing is asked for. */
export interface FleetCommand extends CommandKey {
  readonly actor: string;
  /** undefined: an action that this version does not know. */
  readonly action: Action | undefined;
  /** `signal` only. */
  readonly signal: string;
  /** Time left when it was read, milliseconds; 0 or less: overdue. */
  readonly deadlineLeftMs: number;
  readonly ifEpoch: number;
  readonly ifSeq: number;
  readonly ifSpawn: number;
  readonly rollout: Fence | undefined;
  /** What the change is recorded under. */
  readonly cause: string;
}

export interface CommandAnswer {
  readonly outcome: Outcome;
  readonly fault: string;
  readonly message: string;
  readonly row: ProcessRow | undefined;
  /** An earlier delivery's answer. */
  readonly repeated: boolean;
  /** Not on disk: a restarted agent would not remember it. */
  readonly unsaved: boolean;
}

export interface CommandsOptions {
  readonly core: Pick<AgentCore, 'execute' | 'row'>;
  readonly epoch: number;
  /** The journal; undefined: memory alone. */
  readonly journalPath: string | undefined;
  readonly clock: Clock;
  readonly log: ActivityLog;
}

/** Runs commands. One per agent, shared by all its sessions. */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #memory = new CommandMemory();
  readonly #journal: CommandJournal | undefined;
  readonly #running = new Map<string, Promise<CommandAnswer>>();
  /** The end of each process's queue. */
  readonly #queues = new Map<string, Promise<unknown>>();
  #waiting = 0;

  constructor(options: CommandsOptions) {
    this.#options = options;
    const { journalPath, clock, log } = options;
    if (journalPath === undefined) return;
    const journal = new CommandJournal(journalPath);
    try {
      const wallMs = clock.wallMs();
      journal.load((record) => {
        // A wall clock set back makes old lines look new, never new ones old.
        const ageMs = 'wallMs' in record ? Math.max(0, wallMs - record.wallMs) : 0;
        this.#memory.recall(record, clock.nowMs() - ageMs);
      });
      this.#journal = journal;
    } catch (error) {
      log.log(
        'error',
        `command memory ${journalPath}: cannot be read, starting empty: ${String(error)}`,
      );
    }
  }

  /** Acts, waits or refuses; never rejects. */
  run(command: FleetCommand): Promise<CommandAnswer> {
    const text = JSON.stringify([command.id, command.group, command.process]);
    const running = this.#running.get(text);
    if (running !== undefined) return running.then((answer) => ({ ...answer, repeated: true }));
    const known = this.#recall(command) ?? this.#refuse(command);
    if (known !== undefined) return Promise.resolve(known);
    const answer = this.#enqueue(command).finally(() => this.#running.delete(text));
    this.#running.set(text, answer);
    return answer;
  }

  #answer(
    command: FleetCommand,
    outcome: Outcome,
    message: string,
    extra: Partial<CommandAnswer> = {},
  ): CommandAnswer {
    const row = this.#options.core.row(command);
    return { outcome, fault: '', message, row, repeated: false, unsaved: false, ...extra };
  }

  #recall(command: FleetCommand): CommandAnswer | undefined {
    const known = this.#memory.lookup(command);
    if (known === undefined) return undefined;
    if (known.kind === 'result') {
      const { outcome, message, fault } = known.result;
      return this.#answer(command, outcome, message, { fault, repeated: true });
    }
    const message = 'the agent restarted while it was acting; it does not act again';
    return this.#answer(command, 'interrupted', message, { repeated: true });
  }

  /** What is refused without a trace: the id may come again. */
  #refuse(command: FleetCommand): CommandAnswer | undefined {
    const { rollout, ifEpoch } = command;
    const higher = rollout === undefined ? undefined : this.#memory.higherFence(rollout);
    if (higher !== undefined) {
      const message = `rollout ${higher.id} has moved on to fence ${higher.fence}, step ${higher.step}`;
      return this.#answer(command, 'conflict', message);
    }
    if (ifEpoch !== 0 && ifEpoch !== this.#options.epoch) {
      const message = `the agent is in epoch ${this.#options.epoch}, not ${ifEpoch}`;
      return this.#answer(command, 'conflict', message);
    }
    if (command.action === undefined) {
      const message = 'this agent does not know the action; is it older than the controller?';
      return this.#answer(command, 'failed', message, { fault: 'UNKNOWN_METHOD' });
    }
    return undefined;
  }

  #enqueue(command: FleetCommand): Promise<CommandAnswer> {
    const arrivedMs = this.#options.clock.nowMs();
    if (command.action === 'signal') return this.#act(command, arrivedMs);
    const key = nameKey(command);
    const before = this.#queues.get(key);
    if (before !== undefined && this.#waiting >= WAITING_MAX) {
      const message = `${WAITING_MAX} commands wait on this host already`;
      return Promise.resolve(this.#answer(command, 'busy', message));
    }
    let answer: Promise<CommandAnswer>;
    if (before === undefined || command.action === 'stop') answer = this.#act(command, arrivedMs);
    else {
      this.#waiting += 1;
      answer = before.then(() => {
        this.#waiting -= 1;
        return this.#act(command, arrivedMs);
      });
    }
    const end = Promise.all([before, answer]);
    this.#queues.set(key, end);
    return answer.finally(() => {
      if (this.#queues.get(key) === end) this.#queues.delete(key);
    });
  }

  async #act(command: FleetCommand, arrivedMs: number): Promise<CommandAnswer> {
    const { clock, core, log } = this.#options;
    const { action, rollout, id, group, process } = command;
    const waitedMs = clock.nowMs() - arrivedMs;
    const refused = this.#refuse(command);
    if (refused !== undefined || action === undefined) {
      return refused ?? this.#answer(command, 'failed', 'no action');
    }
    if (command.deadlineLeftMs - waitedMs <= 0) {
      return this.#answer(
        command,
        'timeout',
        'not begun: its deadline was over before its turn came',
      );
    }
    const key: CommandKey = { id, group, process };
    let saved = true;
    if (rollout !== undefined && this.#memory.raiseFence(rollout)) {
      saved = this.#save({ kind: 'fence', ...rollout });
    }
    this.#memory.intend(key, clock.nowMs());
    const wallMs = Math.round(clock.wallMs());
    saved = this.#save({ kind: 'intent', ...key, action, actor: command.actor, wallMs }) && saved;
    log.log('info', `${action} ${nameKey(command)} for ${command.actor} (command ${id})`);
    const result = await core.execute({
      action,
      name: { group, process },
      ...(action === 'signal' ? { signal: command.signal } : {}),
      until: 'settled',
      cause: command.cause === '' ? id : command.cause,
      ifSeq: command.ifSeq,
      ifSpawn: command.ifSpawn,
    });
    const kept = { outcome: result.outcome, fault: result.fault, message: result.text };
    if (result.outcome === 'conflict') {
      // Nothing was done; a rollout looks again and may come back under the same id.
      this.#memory.forget(key);
      this.#save({ kind: 'forget', ...key });
    } else {
      this.#memory.finish(key, kept);
      const doneWallMs = Math.round(clock.wallMs());
      saved = this.#save({ kind: 'result', ...key, ...kept, wallMs: doneWallMs }) && saved;
    }
    const offsetMs = clock.wallMs() - clock.nowMs();
    this.#journal?.compact(this.#memory, (atMs) => Math.round(atMs + offsetMs));
    return { ...kept, row: result.row, repeated: false, unsaved: !saved };
  }

  #save(record: MemoryRecord): boolean {
    return this.#journal?.append(record) ?? false;
  }

  close(): void {
    this.#journal?.close();
  }
}
