// The processes as everybody sees them: the engine's facts with wall times, the numbers of their last events, order.
// Invariants: a row's seq is that of the event that last changed it; wall times are display only.
import type { Clock } from '../common/clock.js';
import { nameKey, type NameSpec } from '../common/names.js';
import type { Exit, ProcessRow } from '../common/rows.js';
import { compareText } from '../common/text.js';
import type { ExitStatus, ProcessFacts } from './engine/types.js';

interface Entry {
  row: ProcessRow;
  lastStartAtMs: number | undefined;
  lastStopAtMs: number | undefined;
  startedWallMs: number;
  stoppedWallMs: number;
}

/** The exit as it travels: names of signals are for the log only. */
export function toExit(status: ExitStatus | undefined): Exit | undefined {
  switch (status?.kind) {
    case undefined:
      return undefined;
    case 'code':
      return { kind: 'code', code: status.code };
    case 'signal':
      return { kind: 'signal', signal: status.signal };
    case 'unobserved':
      return { kind: 'unobserved' };
  }
}

/** Rows by name. */
export class RowBook {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #sorted: readonly ProcessRow[] | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The row that these facts make, with seq 0 until an event carries it. Changes nothing. */
  build(facts: ProcessFacts): ProcessRow {
    const entry = this.#entries.get(nameKey(facts.name));
    return {
      group: facts.name.group,
      process: facts.name.process,
      program: facts.program,
      state: facts.state,
      pid: facts.pid,
      spawn: facts.spawn,
      startedMonoMs: Math.floor(facts.childStartedAtMs),
      startedWallMs: this.#wall(facts.lastStartAtMs, entry?.lastStartAtMs, entry?.startedWallMs),
      stoppedWallMs: this.#wall(facts.lastStopAtMs, entry?.lastStopAtMs, entry?.stoppedWallMs),
      exit: toExit(facts.exit),
      reason: facts.reason,
      attempts: facts.attempts,
      seq: entry?.row.seq ?? 0,
      groupPriority: facts.groupPriority,
      priority: facts.priority,
      autostart: facts.autostart,
      startMs: Math.max(0, facts.startMs),
      stopWaitMs: Math.max(0, facts.stopWaitMs),
      cause: facts.cause,
    };
  }

  /** Takes over a row made by `build`; `seq` is the event's that announced it. */
  set(facts: ProcessFacts, row: ProcessRow, seq: number): void {
    this.#entries.set(nameKey(facts.name), {
      row: { ...row, seq },
      lastStartAtMs: facts.lastStartAtMs,
      lastStopAtMs: facts.lastStopAtMs,
      startedWallMs: row.startedWallMs,
      stoppedWallMs: row.stoppedWallMs,
    });
    this.#sorted = undefined;
  }

  get(name: NameSpec): ProcessRow | undefined {
    return this.#entries.get(nameKey(name))?.row;
  }

  removeGroup(group: string): void {
    for (const [key, entry] of this.#entries)
      if (entry.row.group === group) this.#entries.delete(key);
    this.#sorted = undefined;
  }

  /** All rows by group, then process, in code point order. */
  all(): readonly ProcessRow[] {
    this.#sorted ??= [...this.#entries.values()]
      .map((entry) => entry.row)
      .sort((a, b) => compareText(a.group, b.group) || compareText(a.process, b.process));
    return this.#sorted;
  }

  /** The wall time of a monotonic instant, computed once when the instant is new. */
  #wall(
    atMs: number | undefined,
    knownAtMs: number | undefined,
    knownWallMs: number | undefined,
  ): number {
    if (atMs === undefined) return 0;
    if (atMs === knownAtMs && knownWallMs !== undefined) return knownWallMs;
    return Math.max(0, Math.round(this.#clock.wallMs() - (this.#clock.nowMs() - atMs)));
  }
}
