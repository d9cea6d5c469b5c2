// Children that do not exist, and the spawner in front of them: slow, failing, deaf, dying at the worst moment.
// It knows the truth that the checkers compare with. Notices about one child keep their order.
import type { EngineInput, EngineSignal, ExitStatus } from '../../../agent/engine/types.js';
import { nameKey, type NameSpec } from '../../../common/names.js';
import type { Dice } from '../random.js';
import type { Timeline } from '../timeline.js';

export interface SimChild {
  readonly name: NameSpec;
  readonly spawn: number;
  readonly pid: number;
  readonly startedAtMs: number;
  /** Ignores everything but SIGKILL. */
  readonly deaf: boolean;
  end: { readonly exit: ExitStatus; readonly atMs: number } | undefined;
  acknowledged: boolean;
}

export type Notice = Extract<
  EngineInput,
  { readonly kind: 'spawned' | 'spawn-failed' | 'exited' | 'signal-outcome' }
>;

const SIGKILL: ExitStatus = { kind: 'signal', signal: 9, name: 'SIGKILL', coreDumped: false };

export class SimSpawner {
  /** Children that started and whose end is not acknowledged, by spawn number. */
  readonly children = new Map<number, SimChild>();
  /** Spawns asked for and not answered. */
  readonly asked = new Map<number, NameSpec>();
  /** From now on spawns succeed, children live for ever and obey. */
  calm = false;
  readonly #timeline: Timeline;
  readonly #dice: Dice;
  readonly #notify: (notice: Notice) => void;
  #nextPid = 1000;

  constructor(timeline: Timeline, dice: Dice, notify: (notice: Notice) => void) {
    this.#timeline = timeline;
    this.#dice = dice;
    this.#notify = notify;
  }

  /** Children of one process that are truly alive. */
  alive(name: NameSpec): SimChild[] {
    const key = nameKey(name);
    return [...this.children.values()].filter(
      (child) => child.end === undefined && nameKey(child.name) === key,
    );
  }

  /** `startMs` of the policy, so that children can die just around it. */
  spawn(name: NameSpec, spawn: number, startMs: number): void {
    this.asked.set(spawn, name);
    const delayMs = this.#dice.chance(5) ? this.#dice.int(100, 4000) : this.#dice.int(0, 3);
    this.#timeline.at(this.#timeline.nowMs + delayMs, () => {
      if (!this.asked.delete(spawn)) return;
      if (!this.calm && this.#dice.chance(10)) {
        this.#tell({ kind: 'spawn-failed', spawn, text: 'no such command' });
      } else {
        this.#fork(name, spawn, startMs);
      }
    });
  }

  signal(spawn: number, token: number, signal: EngineSignal): void {
    const child = this.children.get(spawn);
    const failed = !this.calm && this.#dice.chance(2);
    const gone = child === undefined || child.end !== undefined;
    const outcome = failed ? { error: 'EPERM' } : gone ? 'gone' : 'delivered';
    this.#tell({ kind: 'signal-outcome', token, outcome });
    if (failed || gone) return;
    const { nowMs } = this.#timeline;
    if (signal.number === 9) {
      // A child in an uninterruptible wait dies only much later.
      const stuckMs = this.#dice.chance(10) ? this.#dice.int(1000, 20_000) : this.#dice.int(0, 5);
      this.#timeline.at(nowMs + stuckMs, () => this.#die(child, SIGKILL));
      return;
    }
    if (child.deaf || this.#dice.chance(signal.number === 1 ? 90 : 0)) return;
    const exit: ExitStatus = this.#dice.chance(70)
      ? { kind: 'code', code: this.#dice.pick([0, 0, 1, 2]) }
      : { kind: 'signal', signal: signal.number, name: signal.name, coreDumped: false };
    const obeyMs = this.#dice.pick([0, 1, 5, 400, 1000, 5000]);
    this.#timeline.at(nowMs + obeyMs, () => this.#die(child, exit));
  }

  acknowledge(spawn: number): void {
    const child = this.children.get(spawn);
    if (child !== undefined) child.acknowledged = true;
    this.children.delete(spawn);
  }

  /** The agent died: what it had asked for either happened or did not. */
  settleAsked(startMsOf: (name: NameSpec) => number): void {
    for (const [spawn, name] of [...this.asked]) {
      this.asked.delete(spawn);
      if (this.#dice.chance(50)) this.#fork(name, spawn, startMsOf(name));
    }
  }

  #fork(name: NameSpec, spawn: number, startMs: number): void {
    const dice = this.#dice;
    const { nowMs } = this.#timeline;
    const child: SimChild = {
      name,
      spawn,
      pid: this.#nextPid++,
      startedAtMs: nowMs,
      deaf: !this.calm && dice.chance(15),
      end: undefined,
      acknowledged: false,
    };
    this.children.set(spawn, child);
    this.#tell({ kind: 'spawned', spawn, pid: child.pid, startedAtMs: nowMs });
    const lifeMs = this.#lifeMs(startMs);
    if (lifeMs === undefined) return;
    const exit: ExitStatus = dice.chance(75)
      ? { kind: 'code', code: dice.pick([0, 0, 1, 2, 127]) }
      : { kind: 'signal', signal: 11, name: 'SIGSEGV', coreDumped: dice.chance(50) };
    this.#timeline.at(nowMs + lifeMs, () => this.#die(child, exit));
  }

  #lifeMs(startMs: number): number | undefined {
    if (this.calm) return undefined;
    switch (this.#dice.int(0, 7)) {
      case 0:
        return 0;
      case 1:
        return Math.max(0, startMs);
      case 2:
        return Math.max(0, startMs + this.#dice.pick([-1, 1, 2]));
      case 3:
        return this.#dice.int(0, 2000);
      case 4:
      case 5:
        return this.#dice.int(1000, 60_000);
      default:
        return undefined;
    }
  }

  #die(child: SimChild, exit: ExitStatus): void {
    if (child.end !== undefined) return;
    const { nowMs } = this.#timeline;
    child.end = { exit, atMs: nowMs };
    const { spawn, pid } = child;
    this.#tell({ kind: 'exited', spawn, pid, exit, atMs: nowMs });
  }

  #tell(notice: Notice): void {
    this.#notify(notice);
  }
}
