// A late or cut-off observer doubts itself, not the fleet (spec fleet D13, D25). Pure.
import type { HostState } from '../../common/states.js';

const WINDOW_MS = 10_000;
const HOSTS_MIN = 4;
/** Doubt ends by itself after this long when something is still heard, milliseconds. */
const DOUBT_MS = 60_000;
/** A loop later than this was stalled, milliseconds. */
export const STALL_MS = 1_000;

/** Whether what this replica hears may be believed. */
export class Observer {
  private readonly suspectedAtMs = new Map<string, number>();
  private doubtSinceMs: number | undefined;
  /** The doubt was looked into: no new one while the same hosts stay away. */
  private settled = false;

  constructor(
    private readonly startedAtMs: number,
    private readonly warmUpMs: number,
  ) {}

  isWarmingUp(nowMs: number): boolean {
    return nowMs - this.startedAtMs < this.warmUpMs;
  }

  isIsolated(): boolean {
    return this.doubtSinceMs !== undefined;
  }

  /** A host of `hosts` changed its state. */
  hostChanged(host: string, to: HostState, hosts: number, nowMs: number): void {
    if (to === 'suspect') this.suspectedAtMs.set(host, nowMs);
    else if (to !== 'down') this.suspectedAtMs.delete(host);
    const recent = [...this.suspectedAtMs.values()].filter((at) => nowMs - at <= WINDOW_MS);
    const majority = recent.length * 2 > hosts;
    if (hosts >= HOSTS_MIN && majority && !this.settled) this.doubtSinceMs ??= nowMs;
    if (this.suspectedAtMs.size * 2 <= hosts) {
      this.doubtSinceMs = undefined;
      this.settled = false;
    }
  }

  /** `hears`: at least one host or the bus answers. Returns true when a doubt has just ended. */
  evaluate(hears: boolean, nowMs: number): boolean {
    if (this.doubtSinceMs === undefined || !hears || nowMs - this.doubtSinceMs < DOUBT_MS) {
      return false;
    }
    this.doubtSinceMs = undefined;
    this.settled = true;
    return true;
  }
}
