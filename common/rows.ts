// The words that agent, controller and ctl share about one process: its row, a change, a target, a result.
// Domain types: the generated ones stay behind common/wire.ts.
import type { Freshness, HostState, ProcessState } from './states.js';

/** How a child ended. `unobserved`: nobody saw it, so nothing is guessed. */
export type Exit =
  | { readonly kind: 'code'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: number }
  | { readonly kind: 'unobserved' };

/** One process of one host as it stands. A change always carries the whole row. */
export interface ProcessRow {
  readonly group: string;
  readonly process: string;
  readonly program: string;
  readonly state: ProcessState;
  /** 0: no child. */
  readonly pid: number;
  /** Number of the last child started for this process; grows over the whole host. 0: never. */
  readonly spawn: number;
  /** The host's monotonic milliseconds at the start of the present child; 0: none. */
  readonly startedMonoMs: number;
  /** Wall clock for display; 0: never. */
  readonly startedWallMs: number;
  readonly stoppedWallMs: number;
  readonly exit: Exit | undefined;
  /** Supervisor's spawn error, or what made it stop; empty: nothing to say. */
  readonly reason: string;
  /** Failed starts in a row. */
  readonly attempts: number;
  /** Sequence, within the host's epoch, of the event that last changed this row. */
  readonly seq: number;
  readonly groupPriority: number;
  readonly priority: number;
  readonly autostart: boolean;
  readonly startMs: number;
  readonly stopWaitMs: number;
  /** Command or rollout id behind the last change; empty: supervision itself. */
  readonly cause: string;
}

/** One process anywhere in the fleet. */
export interface TargetName {
  readonly host: string;
  readonly group: string;
  readonly process: string;
}

/** What a command came to for one target (spec fleet 8). */
export type Outcome =
  | 'ok'
  | 'already'
  | 'failed'
  | 'denied'
  | 'locked'
  | 'conflict'
  | 'busy'
  | 'unreachable'
  | 'timeout'
  | 'interrupted'
  | 'skipped';

export type Action = 'start' | 'stop' | 'restart' | 'signal';

/** How a replica sees one host: the head of its rows. Ages are milliseconds before the answer was made. */
export interface HostHeader {
  readonly host: string;
  readonly state: HostState;
  readonly freshness: Freshness;
  readonly ageMs: number;
  readonly heartbeatAgeMs: number;
  readonly stateAgeMs: number;
  readonly epoch: number;
  readonly seq: number;
  /** The agent's monotonic now, estimated; uptime = this - startedMonoMs. */
  readonly monoNowMs: number;
  readonly labels: ReadonlyMap<string, string>;
  readonly agentVersion: string;
  readonly path: 'both' | 'session-only' | 'bus-only' | 'none';
  readonly clockOffsetMs: number;
  readonly processCount: number;
  readonly hostUid: string;
  readonly spool: string;
  readonly address: string;
}

export type EventClass = 'P0' | 'P1';

/** What an event tells beyond its head. */
export type EventBody =
  | {
      readonly kind: 'process-changed';
      readonly from: ProcessState;
      readonly to: ProcessState;
      readonly row: ProcessRow;
      readonly expected: boolean;
    }
  | { readonly kind: 'group-added'; readonly group: string; readonly rows: readonly ProcessRow[] }
  | { readonly kind: 'group-removed'; readonly group: string }
  | { readonly kind: 'agent-changed'; readonly state: string; readonly detail: string }
  | {
      readonly kind: 'spool-gap';
      readonly firstSeq: number;
      readonly lastSeq: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'host-changed';
      readonly from: string;
      readonly to: string;
      readonly detail: string;
    }
  | { readonly kind: 'payload'; readonly data: Uint8Array };

/** A fact about one host. Identity: host/epoch/seq. */
export interface FleetEvent {
  readonly host: string;
  readonly hostUid: string;
  readonly epoch: number;
  readonly seq: number;
  /** seq of the state event before this one in the epoch; 0: none. */
  readonly prev: number;
  readonly class: EventClass;
  readonly wallMs: number;
  readonly monoMs: number;
  /** e.g. `process.state`, `group.added`, `agent.running`, `host.down`. */
  readonly type: string;
  readonly group: string;
  readonly process: string;
  readonly cause: string;
  readonly body: EventBody;
}
