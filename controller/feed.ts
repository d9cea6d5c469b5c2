// The fleet as this replica knows it: view, health and freshness of every host, driven by sessions and the bus.
// Invariants: one turn at a time, so subscribers see changes in the order of the view; a known host stays listed.
import type { Clock } from '../common/clock.js';
import { compareNatural } from '../common/names.js';
import type { FleetEvent, HostHeader, ProcessRow, TargetName } from '../common/rows.js';
import type { HostState } from '../common/states.js';
import { encodeRow } from '../common/wire.js';
import { HostFreshness } from './fleet/freshness.js';
import { heartbeatMs, HostHealth, type HealthTimes, type Path } from './fleet/health.js';
import { Observer, STALL_MS } from './fleet/observer.js';
import type { Incumbent } from './fleet/registration.js';
import { RowsCache } from './fleet/rows-cache.js';
import { SeenEvents } from './fleet/seen.js';
import { FleetView, type HostSnapshot, type ViewChange, type ViewVerdict } from './fleet/view.js';
import type { FleetFeed, FleetListener, ObserverStatus } from './ports.js';

const TICK_MS = 200;

/** What a host says of itself when it registers; kept in the records so that it stays listed. */
export interface HostFacts {
  readonly host: string;
  readonly hostUid: string;
  readonly epoch: number;
  readonly agentVersion: string;
  readonly labels: ReadonlyMap<string, string>;
}

/** A heartbeat as it arrived. */
export interface Beat {
  readonly host: string;
  readonly epoch: number;
  readonly lastStateSeq: number;
  readonly monoMs: number;
  readonly wallMs: number;
  readonly spool: string;
}

interface KnownHost {
  facts: HostFacts;
  address: string;
  spool: string;
  /** Agent's monotonic clock minus ours. */
  monoOffsetMs: number | undefined;
  clockOffsetMs: number;
  readonly health: HostHealth;
  freshness: HostFreshness;
}

/** Counters for metrics. */
export type FeedCounts = Record<ViewVerdict | 'divergence', number>;

export class Feed implements FleetFeed {
  private readonly known = new Map<string, KnownHost>();
  private readonly view = new FleetView();
  private readonly cache = new RowsCache(encodeRow);
  private readonly seen = new SeenEvents();
  private readonly listeners = new Set<FleetListener>();
  private readonly doubts: Observer;
  private order: readonly string[] | undefined;
  private tickDueMs: number;
  readonly counts: FeedCounts = {
    applied: 0,
    duplicate: 0,
    stale: 0,
    held: 0,
    resync: 0,
    divergence: 0,
  };
  /** Asked when only a snapshot can go on; set by the pool of sessions. */
  onResyncWanted: (host: string) => void = () => undefined;
  /** Whether anything but hosts is still heard (the bus). */
  hearsBus: () => boolean = () => false;

  constructor(
    private readonly clock: Clock,
    private readonly times: HealthTimes,
  ) {
    this.doubts = new Observer(clock.nowMs(), times.warmUpMs);
    this.tickDueMs = clock.nowMs() + TICK_MS;
  }

  /** Begins to look at the clock; ends with the signal. */
  start(signal: AbortSignal): void {
    let cancel = (): void => undefined;
    const tick = (): void => {
      if (signal.aborted) return;
      this.tick();
      cancel = this.clock.after(TICK_MS, tick);
    };
    this.tickDueMs = this.clock.nowMs() + TICK_MS;
    cancel = this.clock.after(TICK_MS, tick);
    signal.addEventListener('abort', () => cancel(), { once: true });
  }

  // ------------------------------------------------------------ what others ask

  hosts(): readonly HostHeader[] {
    const nowMs = this.clock.nowMs();
    return this.names().map((host) => this.header(host, this.get(host), nowMs));
  }

  host(host: string): HostHeader | undefined {
    const known = this.known.get(host);
    return known === undefined ? undefined : this.header(host, known, this.clock.nowMs());
  }

  /** All known hosts in natural order. */
  names(): readonly string[] {
    this.order ??= [...this.known.keys()].sort(compareNatural);
    return this.order;
  }

  labels(host: string): ReadonlyMap<string, string> {
    return this.known.get(host)?.facts.labels ?? new Map();
  }

  rows(host: string): readonly ProcessRow[] {
    return this.cache.rows(host);
  }

  /** False while no snapshot of any life has been seen: its processes are not known. */
  hasRows(host: string): boolean {
    return this.view.cursor(host) !== undefined || this.view.processCount(host) > 0;
  }

  row(target: TargetName): ProcessRow | undefined {
    return this.view.row(target.host, target.group, target.process);
  }

  /** Encoded rows: all, or those named. */
  rowBytes(host: string, names?: readonly { group: string; process: string }[]): Uint8Array {
    return names === undefined ? this.cache.all(host) : this.cache.some(host, names);
  }

  observer(): ObserverStatus {
    return {
      isolated: this.doubts.isIsolated(),
      warmingUp: this.doubts.isWarmingUp(this.clock.nowMs()),
    };
  }

  isFlapping(host: string): boolean {
    return this.known.get(host)?.health.isFlapping(this.clock.nowMs()) ?? false;
  }

  isPartitioned(host: string): boolean {
    return this.known.get(host)?.health.isPartitioned(this.clock.nowMs()) ?? false;
  }

  subscribe(listener: FleetListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What is known of a name, for a registration. */
  incumbent(host: string): Incumbent | undefined {
    const known = this.known.get(host);
    if (known === undefined) return undefined;
    return {
      hostUid: known.facts.hostUid,
      epoch: known.facts.epoch,
      state: known.health.state,
      stateAgeMs: this.clock.nowMs() - known.health.stateSinceMs,
    };
  }

  /** The interval that agents are told. */
  heartbeatMs(): number {
    return heartbeatMs(this.times, this.known.size);
  }

  /** Silence after which a host is down, in a fleet of this size. */
  downMs(): number {
    return this.times.downMs * (this.heartbeatMs() / this.times.heartbeatMs);
  }

  cursor(host: string): { readonly epoch: number; readonly seq: number } | undefined {
    return this.view.cursor(host);
  }

  // ------------------------------------------------------------ what arrives

  /** A host from the records: listed although not heard. Ignored when it is known already. */
  know(facts: HostFacts): void {
    if (this.known.has(facts.host)) return;
    this.add(facts);
  }

  /** A session was admitted. `rebound`: another machine took the name. */
  register(facts: HostFacts, address: string, rebound: boolean, beatMs: number): void {
    const nowMs = this.clock.nowMs();
    const known = this.known.get(facts.host) ?? this.add(facts);
    if (rebound) {
      this.view.rebind(facts.host);
      known.freshness = new HostFreshness();
    }
    known.facts = facts;
    known.address = address;
    const cursor = this.view.cursor(facts.host);
    known.health.register(cursor?.epoch === facts.epoch, beatMs, nowMs);
    this.evaluate(facts.host, known, nowMs);
  }

  beat(beat: Beat, path: Path): void {
    const known = this.known.get(beat.host);
    if (known === undefined || beat.epoch < known.facts.epoch) return;
    const nowMs = this.clock.nowMs();
    known.monoOffsetMs = beat.monoMs - nowMs;
    known.clockOffsetMs = Math.round(beat.wallMs - this.clock.wallMs());
    known.spool = beat.spool;
    known.health.beat(path, beat.epoch, nowMs);
    const named = { epoch: beat.epoch, seq: beat.lastStateSeq };
    known.freshness.heard(named, this.view.cursor(beat.host), nowMs);
    this.evaluate(beat.host, known, nowMs);
  }

  /** A whole snapshot, asked for or not. */
  snapshot(host: string, snapshot: HostSnapshot, monoMs: number): void {
    const known = this.known.get(host);
    if (known === undefined) return;
    const nowMs = this.clock.nowMs();
    known.monoOffsetMs = monoMs - nowMs;
    const result = this.view.applySnapshot(host, snapshot, nowMs);
    this.counts[result.verdict] += 1;
    if (result.verdict === 'applied') known.freshness.snapshot(snapshot, nowMs);
    this.tell(host, result.changes);
    known.freshness.moved(this.view.cursor(host), nowMs);
    known.health.snapshotComplete();
    this.evaluate(host, known, nowMs);
  }

  /** An event from either path; those of hosts that never registered are only told. */
  event(event: FleetEvent): void {
    const known = this.known.get(event.host);
    const ofReplica = event.body.kind === 'host-changed';
    if (known !== undefined && !ofReplica && event.hostUid === known.facts.hostUid) {
      const nowMs = this.clock.nowMs();
      const result = this.view.applyEvent(event, nowMs);
      this.counts[result.verdict] += 1;
      this.tell(event.host, result.changes);
      if (result.changes.length > 0 || result.verdict === 'applied') {
        known.freshness.moved(this.view.cursor(event.host), nowMs);
      }
      if (result.verdict === 'resync') this.onResyncWanted(event.host);
    }
    if (!this.seen.add(`${event.host} ${event.hostUid}`, event.epoch, event.seq)) return;
    for (const listener of this.listeners) listener.onEvent?.(event);
  }

  /** The agent's digest differs from ours at an equal cursor: a bug somewhere, mended by a snapshot. */
  diverged(host: string): void {
    this.counts.divergence += 1;
    this.view.distrust(host);
    this.onResyncWanted(host);
  }

  sessionClosed(host: string): void {
    const known = this.known.get(host);
    if (known === undefined) return;
    known.health.sessionClosed(this.clock.nowMs());
    this.evaluate(host, known, this.clock.nowMs());
  }

  leaving(host: string): void {
    const known = this.known.get(host);
    if (known === undefined) return;
    known.health.leave(known.facts.epoch);
    this.evaluate(host, known, this.clock.nowMs());
  }

  /** Looks at the clock: silent hosts, doubts, snapshots that are due. */
  tick(): void {
    const nowMs = this.clock.nowMs();
    const lateMs = nowMs - this.tickDueMs;
    this.tickDueMs = nowMs + TICK_MS;
    if (lateMs > STALL_MS) {
      for (const known of this.known.values()) known.health.shift(lateMs, nowMs);
    }
    let hears = this.hearsBus();
    for (const [host, known] of this.known) {
      this.evaluate(host, known, nowMs);
      hears ||= known.health.state === 'up';
    }
    this.doubts.evaluate(hears, nowMs);
    for (const host of this.view.resyncsWanted(nowMs)) this.onResyncWanted(host);
  }

  // ------------------------------------------------------------ inside

  private add(facts: HostFacts): KnownHost {
    const known: KnownHost = {
      facts,
      address: '',
      spool: '',
      monoOffsetMs: undefined,
      clockOffsetMs: 0,
      health: new HostHealth(this.times, this.clock.nowMs()),
      freshness: new HostFreshness(),
    };
    this.known.set(facts.host, known);
    this.order = undefined;
    return known;
  }

  private get(host: string): KnownHost {
    const known = this.known.get(host);
    if (known === undefined) throw new Error(`host ${host} is listed but not known`);
    return known;
  }

  private evaluate(host: string, known: KnownHost, nowMs: number): void {
    const change = known.health.evaluate(nowMs);
    if (change === undefined) return;
    this.doubts.hostChanged(host, change.to, this.known.size, nowMs);
    const header = this.header(host, known, nowMs);
    for (const listener of this.listeners) listener.onHostChange?.(header, change.from, change.to);
  }

  private tell(host: string, changes: readonly ViewChange[]): void {
    for (const change of changes) {
      if (change.kind === 'row') {
        this.cache.set(host, change.row);
        for (const listener of this.listeners) {
          listener.onRowChange?.(host, change.row, change.previous, change.event);
        }
      } else {
        this.cache.remove(host, change.row);
        for (const listener of this.listeners) {
          listener.onRowRemoved?.(host, change.row, change.event);
        }
      }
    }
  }

  private header(host: string, known: KnownHost, nowMs: number): HostHeader {
    const state: HostState = known.health.state;
    const cursor = this.view.cursor(host);
    return {
      host,
      state,
      freshness: known.freshness.freshness(state, nowMs),
      ageMs: known.freshness.ageMs(nowMs),
      heartbeatAgeMs: Math.max(0, Math.round(known.health.silenceMs(nowMs) ?? 0)),
      stateAgeMs: Math.max(0, Math.round(nowMs - known.health.stateSinceMs)),
      epoch: cursor?.epoch ?? known.facts.epoch,
      seq: cursor?.seq ?? 0,
      monoNowMs:
        known.monoOffsetMs === undefined ? 0 : Math.max(0, Math.round(nowMs + known.monoOffsetMs)),
      labels: known.facts.labels,
      agentVersion: known.facts.agentVersion,
      path: known.health.path(nowMs),
      clockOffsetMs: known.clockOffsetMs,
      processCount: this.view.processCount(host),
      hostUid: known.facts.hostUid,
      spool: known.spool,
      address: known.address,
    };
  }
}
