// What the parts of a controller ask of each other: the view as a feed, acting on targets, alerts and rollouts.
// Invariants: a feed's callbacks run one after another in the order of the view and must not throw or wait;
// an executor yields exactly one result per target.
import type { Identity } from '../common/identity.js';
import type {
  Action,
  FleetEvent,
  HostHeader,
  Outcome,
  ProcessRow,
  TargetName,
} from '../common/rows.js';
import type { HostState } from '../common/states.js';

/** What a subscriber of the view is told. Every member is optional: ask for the news you use. */
export interface FleetListener {
  /**
   * A row is new or changed. `event` is undefined when a snapshot told it, so what lay between is unknown;
   * `previous` is undefined when the process was not known before.
   */
  onRowChange?(
    host: string,
    row: ProcessRow,
    previous: ProcessRow | undefined,
    event: FleetEvent | undefined,
  ): void;
  /** The process is gone from the host's configuration. */
  onRowRemoved?(host: string, row: ProcessRow, event: FleetEvent | undefined): void;
  /** The host's state changed; `header.state` is `to`. */
  onHostChange?(header: HostHeader, from: HostState, to: HostState): void;
  /** Any event seen for the first time by this replica, on either path; after the changes it made at once. */
  onEvent?(event: FleetEvent): void;
}

/** Whether this replica trusts its own ears (spec fleet D13). */
export interface ObserverStatus {
  /** Suspects itself, not the hosts: HostDown alerts are withheld. */
  readonly isolated: boolean;
  /** Younger than 60 s: hosts not heard yet are `unknown`. */
  readonly warmingUp: boolean;
}

/** The view of this replica: what is there now, and what changes. */
export interface FleetFeed {
  /** All known hosts, sorted, also those that are down. */
  hosts(): readonly HostHeader[];
  host(host: string): HostHeader | undefined;
  /** The host's rows in display order; empty for an unknown host. */
  rows(host: string): readonly ProcessRow[];
  row(target: TargetName): ProcessRow | undefined;
  observer(): ObserverStatus;
  /** Tells changes from now on; join it with `hosts()` and `rows()` in the same tick and nothing is missed. */
  subscribe(listener: FleetListener): () => void;
}

/** One command to explicit targets. */
export interface ExecuteOrder {
  /** Command id; the same id never acts twice on one target. */
  readonly id: string;
  /** User name, or `controller` for what nobody asked for. */
  readonly actor: string;
  readonly action: Action;
  readonly targets: readonly TargetName[];
  /** `signal` only: a name or number. */
  readonly signal?: string;
  /** Undefined: the default of spec fleet D33, per target. */
  readonly deadlineMs?: number;
  readonly preconditions?: {
    /** 0 or absent: not asked for. */
    readonly ifEpoch?: number;
    readonly ifSeq?: number;
    readonly ifSpawn?: number;
  };
  readonly rollout?: { readonly id: string; readonly fence: number; readonly step: number };
  /** What the change is recorded as caused by; absent: the id. */
  readonly cause?: string;
}

/** What became of one target. */
export interface ExecuteResult {
  readonly target: TargetName;
  readonly outcome: Outcome;
  /** Supervisor's fault name for `failed`, else empty. */
  readonly fault: string;
  readonly message: string;
  /** The row as the agent answered it; undefined when it did not answer. */
  readonly row: ProcessRow | undefined;
  readonly epoch: number;
  readonly durationMs: number;
  /** The stored answer of an earlier delivery of the same command. */
  readonly repeated: boolean;
}

export interface Executor {
  /** Results as they complete. Aborting `signal` ends the iteration; what was sent still happens. */
  run(order: ExecuteOrder, signal: AbortSignal): AsyncIterable<ExecuteResult>;
}

/** An alert as it is shown. */
export interface AlertRecord {
  readonly fingerprint: string;
  readonly name: string;
  readonly severity: 'critical' | 'warning' | 'info';
  readonly state: 'pending' | 'firing' | 'resolved';
  readonly labels: ReadonlyMap<string, string>;
  readonly summary: string;
  readonly startedWallMs: number;
  /** 0: not resolved. */
  readonly resolvedWallMs: number;
  /** Fingerprint or rollout id that keeps it quiet; empty: nothing does. */
  readonly inhibitedBy: string;
}

export interface AlertSource {
  /** Sorted by severity, name, labels. */
  list(includeResolved: boolean): readonly AlertRecord[];
}

export type RolloutState =
  'planned' | 'running' | 'paused' | 'completed' | 'aborting' | 'aborted' | 'failed';

export interface RolloutTargetRecord {
  readonly target: TargetName;
  /** From 1. */
  readonly batch: number;
  readonly state: 'pending' | 'acting' | 'verifying' | 'soaking' | 'done' | 'failed' | 'skipped';
  readonly message: string;
}

/** A rollout as it is shown; `partial`: only the targets that changed since the last one. */
export interface RolloutRecord {
  readonly id: string;
  readonly action: Action;
  readonly actor: string;
  readonly state: RolloutState;
  readonly reason: string;
  readonly batches: number;
  /** The batch being worked on, from 1; 0: none yet. */
  readonly batch: number;
  readonly targets: readonly RolloutTargetRecord[];
  readonly startedWallMs: number;
  readonly partial: boolean;
}

/** A rollout as it was asked for, with its targets resolved once. */
export interface RolloutOrder {
  readonly id: string;
  readonly action: Action;
  readonly actor: string;
  readonly targets: readonly TargetName[];
  /** Targets at once; 0: the default of spec fleet 9. */
  readonly batch: number;
  /** Percent of all targets, 0: none; wins over `batch`. */
  readonly batchPercent: number;
  readonly soakMs: number;
  readonly maxFailures: number;
  readonly unreachable: 'fail' | 'skip';
}

/** Failures are FleetErrors: LOCKED, COORDINATION_LOST, NO_SUCH_ROLLOUT, LIMIT_EXCEEDED. */
export interface RolloutDriver {
  start(order: RolloutOrder): Promise<RolloutRecord>;
  /** The whole record first, then changes; ends when the rollout has, or on `signal`. */
  watch(id: string, signal: AbortSignal): AsyncIterable<RolloutRecord>;
  abort(id: string, actor: string, reason: string): Promise<RolloutRecord>;
  list(): Promise<readonly RolloutRecord[]>;
  /** The active rollout that holds a target, so that other commands answer `locked` (spec fleet D42). */
  holderOf(target: TargetName): string | undefined;
}

/** Called when a host with this certificate identity is admitted; settles when the bus would let it in. */
export type OnAdmitted = (host: Identity) => Promise<void>;
