// How far a host's rows may be trusted, and how old they are (spec fleet D23). Never shows old as fresh. Pure.
import type { Freshness, HostState } from '../../common/states.js';

/** The cursor may trail the state the host named for this long, milliseconds. */
export const BEHIND_MS = 2_000;

interface Revision {
  readonly epoch: number;
  readonly seq: number;
}

function isBehind(cursor: Revision | undefined, named: Revision): boolean {
  if (cursor === undefined) return true;
  if (cursor.epoch !== named.epoch) return cursor.epoch < named.epoch;
  return cursor.seq < named.seq;
}

/** What one host said it has, against what the view has of it. */
export class HostFreshness {
  private named: Revision = { epoch: 0, seq: 0 };
  private behindSinceMs: number | undefined;
  /** Monotonic time at which the rows were last known to be the host's; undefined: never. */
  private trueAtMs: number | undefined;

  /** A heartbeat named the last state event; call it after the view took what came before. */
  heard(named: Revision, cursor: Revision | undefined, nowMs: number): void {
    const older =
      named.epoch < this.named.epoch ||
      (named.epoch === this.named.epoch && named.seq < this.named.seq);
    if (!older) this.named = named;
    this.compare(cursor, nowMs, true);
  }

  /** The view moved. */
  moved(cursor: Revision | undefined, nowMs: number): void {
    this.compare(cursor, nowMs, false);
  }

  /** A snapshot arrived: the rows are the host's as of now. */
  snapshot(revision: Revision, nowMs: number): void {
    this.named = { epoch: revision.epoch, seq: revision.seq };
    this.behindSinceMs = undefined;
    this.trueAtMs = nowMs;
  }

  freshness(state: HostState, nowMs: number): Freshness {
    switch (state) {
      case 'up':
        return this.behindSinceMs !== undefined && nowMs - this.behindSinceMs > BEHIND_MS
          ? 'stale'
          : 'fresh';
      case 'suspect':
      case 'joining':
        return 'stale';
      case 'down':
      case 'left':
      case 'unknown':
        return 'lost';
    }
  }

  /** How old the rows are, milliseconds; 0 when they were never known. */
  ageMs(nowMs: number): number {
    return this.trueAtMs === undefined ? 0 : Math.max(0, Math.round(nowMs - this.trueAtMs));
  }

  private compare(cursor: Revision | undefined, nowMs: number, heard: boolean): void {
    if (isBehind(cursor, this.named)) {
      this.behindSinceMs ??= nowMs;
      return;
    }
    // News that brings the cursor up to date is as good as a heartbeat; old news on its own is not.
    if (heard || this.behindSinceMs !== undefined) this.trueAtMs = nowMs;
    this.behindSinceMs = undefined;
  }
}
