// The seam between supervision and those who ask of it: the local RPC server and the link to the fleet.
// Invariants: rows are whole and current at each call; one request gets exactly one result.
import type { Clock } from '../common/clock.js';
import type { NameSpec } from '../common/names.js';
import type { Random } from '../common/random.js';
import type { Action, Outcome, ProcessRow } from '../common/rows.js';
import type { FleetConfig } from './config/types.js';
import type { EventSink } from './events.js';
import type { ActivityLog } from './logs/activity.js';
import type { AgentState } from './state.js';

export type LogChannel = 'stdout' | 'stderr';

/** One act on one process. */
export interface CoreRequest {
  readonly action: Action;
  readonly name: NameSpec;
  /** `signal` only: a name with or without SIG, or a number (spec xmlrpc 8.3). */
  readonly signal?: string;
  /** `accepted`: answer once it has begun. `settled`: once it has come to its end (RUNNING, STOPPED, failed). */
  readonly until: 'accepted' | 'settled';
  /** Command or rollout id that the change is recorded under; empty: none. */
  readonly cause: string;
  /** Refused with `conflict` when the row has moved on; 0: not asked for (spec fleet D34). */
  readonly ifSeq?: number;
  readonly ifSpawn?: number;
}

/** What an act came to. `ok` and `already` are successes. */
export interface CoreResult {
  readonly outcome: Outcome;
  /** Supervisor's fault name, e.g. NO_FILE, SPAWN_ERROR, NOT_RUNNING, BAD_NAME, BAD_SIGNAL; empty: none. */
  readonly fault: string;
  /** Detail behind the fault's colon, or a sentence for an operator; may be empty. */
  readonly text: string;
  /** The row afterwards; undefined when there is no such process. */
  readonly row: ProcessRow | undefined;
}

/** Consecutive bytes of a log. */
export interface LogChunk {
  readonly data: Uint8Array;
  /** Bytes lost just before `data`: rotated or truncated away before they were read, or skipped on request. */
  readonly gapBytes: number;
  /** Position of the first byte of `data` in its file. */
  readonly offset: number;
  /** Grows whenever the log becomes another file (rotation, clearing, a new child's log). */
  readonly generation: number;
}

/** Reads a log from a place on, over rotations, without ever slowing the program that writes it. */
export interface LogFollower {
  /** The next bytes, at most `bytesMax`; undefined when there are none now. Never waits. */
  read(bytesMax: number): LogChunk | undefined;
  /** Bytes between the reader's place and the end of the live file. */
  behindBytes(): number;
  /** Moves to `bytesLeft` before the end; the next chunk's `gapBytes` counts what was passed over. */
  skip(bytesLeft: number): void;
  /** Resolves when `read` may have something new, or when `signal` aborts. */
  more(signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  close(): void;
}

/** Where a follower begins, before the present end; `bytes` wins when both are given. */
export interface LogStart {
  readonly bytes?: number;
  readonly lines?: number;
}

/** Why a log cannot be read: BAD_NAME, or NO_FILE where that channel is not logged (`text`: the path, if any). */
export interface LogFault {
  readonly fault: 'BAD_NAME' | 'NO_FILE';
  readonly text: string;
}

/** What supervision offers to the fleet's link and to the local interfaces. */
export interface AgentCore {
  /** `[supervisord] identifier`, as configured. */
  readonly identifier: string;
  /** The agent's own version. */
  readonly version: string;
  /** SHA-256, in hex, of the effective configuration without secret values. */
  readonly configHash: string;
  /** Monotonic milliseconds on the scale of the rows' `startedMonoMs`. */
  nowMs(): number;
  /** All processes, ordered by group, then process (code points). */
  rows(): readonly ProcessRow[];
  row(name: NameSpec): ProcessRow | undefined;
  /** Never rejects: failures are results. */
  execute(request: CoreRequest): Promise<CoreResult>;
  /** A reader of a process's log file. The caller closes it. */
  openLog(name: NameSpec, channel: LogChannel, start: LogStart): LogFollower | LogFault;
  /** True from the moment a shutdown has begun. */
  isStopping(): boolean;
}

/** What the fleet's link is given before the first event exists. */
export interface LinkContext {
  readonly fleet: FleetConfig;
  /** `[supervisord] identifier`; the link derives the host's name in the fleet from it (spec fleet 2). */
  readonly identifier: string;
  readonly state: AgentState;
  readonly log: ActivityLog;
  readonly clock: Clock;
  readonly random: Random;
}

/** The agent's side of the fleet: agent/link/link.ts exports `openLink` of type `OpenLink`. */
export interface FleetLink {
  /** Where the core records what happens; ready before `start`. */
  readonly sink: EventSink;
  /** Begins to dial. Called once, when the core can answer. */
  start(core: AgentCore): void;
  /** `leaving`: tell the controllers that this host stops on purpose (spec fleet 4: `left`). Idempotent. */
  close(leaving: boolean): Promise<void>;
}

/** Loaded only with a `[fleet]` section. Rejects with one clear line when the host cannot join. */
export type OpenLink = (context: LinkContext) => Promise<FleetLink>;
