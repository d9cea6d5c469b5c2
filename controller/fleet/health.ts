// Is a host up? Decided from arrival times on the observer's monotonic clock, over two paths (spec fleet 4). Pure.
// Invariants: sender timestamps are never used; a state follows from the marks and the time alone, so a late
// observer only has to move the marks.
import type { HostState } from '../../common/states.js';

export type Path = 'session' | 'bus';

/** All lengths in milliseconds. */
export interface HealthTimes {
  readonly heartbeatMs: number;
  /** Without heartbeat on any path for this long: suspect, down. At the base heartbeat; they grow with it. */
  readonly suspectMs: number;
  readonly downMs: number;
  /** A host not heard since this observer's own start is `unknown` for this long, then down. */
  readonly warmUpMs: number;
  /** Heard on one path only for this long: partitioned. */
  readonly partitionedMs: number;
}

export const HEALTH_TIMES: HealthTimes = {
  heartbeatMs: 2_000,
  suspectMs: 6_000,
  downMs: 15_000,
  warmUpMs: 60_000,
  partitionedMs: 60_000,
};

/** hb = max(2 s, hosts/500 s): so that 5,000 hosts do not send more than 500 beats a second. */
export function heartbeatMs(times: HealthTimes, hosts: number): number {
  return Math.max(times.heartbeatMs, Math.round((hosts / 500) * 1_000));
}

/** A broken session is forgiven for one heartbeat of the bus, its 10 % jitter and some travel. */
const SESSION_LOSS_HEARTBEATS = 1.25;
const FLAPPING_CHANGES = 4;
const FLAPPING_MS = 600_000;

/** One host, as this observer hears it. */
export class HostHealth {
  private heardAtMs: Record<Path, number | undefined> = { session: undefined, bus: undefined };
  private sessionOpen = false;
  private brokenAtMs: number | undefined;
  private registered = false;
  private complete = false;
  private leftEpoch: number | undefined;
  private beatMs: number;
  private current: HostState = 'unknown';
  private sinceMs: number;
  private onePathSinceMs: number | undefined;
  private wasUp = false;
  /** When it went from up to not-up or back, within the last 10 minutes. */
  private flips: number[] = [];

  constructor(
    private readonly times: HealthTimes,
    /** When this observer began, or first heard of the host. */
    private knownAtMs: number,
  ) {
    this.beatMs = times.heartbeatMs;
    this.sinceMs = knownAtMs;
  }

  get state(): HostState {
    return this.current;
  }

  /** When the present state began. */
  get stateSinceMs(): number {
    return this.sinceMs;
  }

  /** A session registered; `complete`: the view already has this life's rows. `beatMs`: what it was told to send. */
  register(complete: boolean, beatMs: number, nowMs: number): void {
    this.registered = true;
    this.complete = complete;
    this.beatMs = beatMs;
    this.sessionOpen = true;
    this.brokenAtMs = undefined;
    this.leftEpoch = undefined;
    this.heardAtMs.session = nowMs;
  }

  snapshotComplete(): void {
    this.complete = true;
  }

  beat(path: Path, epoch: number, nowMs: number): void {
    // What was still under way when the host said goodbye does not bring it back.
    if (this.leftEpoch !== undefined && epoch <= this.leftEpoch) return;
    this.leftEpoch = undefined;
    this.registered = true;
    this.heardAtMs[path] = nowMs;
  }

  sessionClosed(nowMs: number): void {
    this.sessionOpen = false;
    this.brokenAtMs = nowMs;
  }

  leave(epoch: number): void {
    this.leftEpoch = epoch;
  }

  /** The observer was late by `lateMs`: what seems missing may only be unread (spec fleet D13). */
  shift(lateMs: number, nowMs: number): void {
    const later = (at: number): number => Math.min(nowMs, at + lateMs);
    const { session, bus } = this.heardAtMs;
    this.heardAtMs = {
      session: session === undefined ? undefined : later(session),
      bus: bus === undefined ? undefined : later(bus),
    };
    if (this.brokenAtMs !== undefined) this.brokenAtMs = later(this.brokenAtMs);
    if (this.onePathSinceMs !== undefined) this.onePathSinceMs = later(this.onePathSinceMs);
    this.knownAtMs = later(this.knownAtMs);
  }

  /** Brings the state up to the time; returns what it was when it changed. */
  evaluate(nowMs: number): { readonly from: HostState; readonly to: HostState } | undefined {
    const path = this.path(nowMs);
    if (path === 'session-only' || path === 'bus-only') this.onePathSinceMs ??= nowMs;
    else this.onePathSinceMs = undefined;

    const to = this.decide(nowMs);
    const from = this.current;
    if (to === from) return undefined;
    if (from === 'up' || (to === 'up' && this.wasUp)) {
      this.flips = this.flips.filter((at) => nowMs - at < FLAPPING_MS);
      this.flips.push(nowMs);
      if (this.flips.length > 4 * FLAPPING_CHANGES) this.flips.shift();
    }
    this.wasUp ||= to === 'up';
    this.current = to;
    this.sinceMs = nowMs;
    return { from, to };
  }

  /** Milliseconds since the last heartbeat on any path; undefined: never heard. */
  silenceMs(nowMs: number): number | undefined {
    const { session, bus } = this.heardAtMs;
    if (session === undefined && bus === undefined) return undefined;
    return nowMs - Math.max(session ?? -Infinity, bus ?? -Infinity);
  }

  /** The paths on which it was heard within three heartbeats. */
  path(nowMs: number): 'both' | 'session-only' | 'bus-only' | 'none' {
    const within = (at: number | undefined): boolean =>
      at !== undefined && nowMs - at < this.scaled(this.times.suspectMs);
    const session = this.sessionOpen && within(this.heardAtMs.session);
    const bus = within(this.heardAtMs.bus);
    if (session) return bus ? 'both' : 'session-only';
    return bus ? 'bus-only' : 'none';
  }

  /** Heard, but on one path only, for long enough to say so. */
  isPartitioned(nowMs: number): boolean {
    return (
      this.onePathSinceMs !== undefined && nowMs - this.onePathSinceMs >= this.times.partitionedMs
    );
  }

  /** 4 or more changes between up and not-up in 10 minutes (spec fleet D14). */
  isFlapping(nowMs: number): boolean {
    return this.flips.filter((at) => nowMs - at < FLAPPING_MS).length >= FLAPPING_CHANGES;
  }

  private decide(nowMs: number): HostState {
    if (this.leftEpoch !== undefined) return 'left';
    const silence = this.silenceMs(nowMs);
    if (silence === undefined || !this.registered) {
      return nowMs - this.knownAtMs < this.times.warmUpMs ? 'unknown' : 'down';
    }
    if (silence >= this.scaled(this.times.downMs)) return 'down';
    if (silence >= this.scaled(this.times.suspectMs)) return 'suspect';
    if (this.lostItsSession(nowMs)) return 'suspect';
    return this.complete ? 'up' : 'joining';
  }

  /** The session broke, and the bus has not been heard in the heartbeat that followed. */
  private lostItsSession(nowMs: number): boolean {
    if (this.sessionOpen || this.brokenAtMs === undefined) return false;
    const graceMs = this.beatMs * SESSION_LOSS_HEARTBEATS;
    if (nowMs - this.brokenAtMs < graceMs) return false;
    const bus = this.heardAtMs.bus;
    return (
      bus === undefined || nowMs - bus >= this.scaled(this.times.suspectMs) || bus < this.brokenAtMs
    );
  }

  private scaled(lengthMs: number): number {
    return lengthMs * Math.max(1, this.beatMs / this.times.heartbeatMs);
  }
}
