// The engine's words: policies, statuses, inputs (facts and requests) and effects (intentions).
// Pure data, no behaviour. All times are monotonic milliseconds of one clock (the loop's `Clock.nowMs()`).
// How to drive it: perform the effects of one `handle` in order before the next input; never call back from within.
import type { NameSpec } from '../../common/names.js';
import type { ProcessState } from '../../common/states.js';

/** A signal by number and the name Supervisor prints, e.g. 15 and `SIGTERM`. */
export interface EngineSignal {
  readonly number: number;
  /** undefined: the system has no name for it; messages show the number. */
  readonly name: string | undefined;
}

/** What the configuration says about supervising one process. Changing it never restarts anything. */
export interface ProcessPolicy {
  readonly program: string;
  readonly priority: number;
  readonly autostart: boolean;
  readonly autorestart: 'always' | 'never' | 'unexpected';
  /** RUNNING means: lived strictly longer than this; 0 or less: as soon as there is a pid. */
  readonly startMs: number;
  /** Retries after the first failure; FATAL follows the (startRetries + 1)th failed attempt. */
  readonly startRetries: number;
  /** Exit codes that count as expected. */
  readonly exitCodes: readonly number[];
  readonly stopSignal: EngineSignal;
  /** From the stop signal to SIGKILL, and between repeated SIGKILLs (then at least 1 s). */
  readonly stopWaitMs: number;
  readonly stopAsGroup: boolean;
  readonly killAsGroup: boolean;
}

export interface ProcessSpec {
  readonly name: string;
  readonly policy: ProcessPolicy;
}

/** One group as it should be; `processes` in configured order, names unique. */
export interface GroupSpec {
  readonly name: string;
  readonly priority: number;
  readonly kind: 'group' | 'program' | 'fcgi' | 'eventlistener';
  readonly processes: readonly ProcessSpec[];
}

/** How a child ended. `unobserved`: nobody saw it, so nothing is guessed. */
export type ExitStatus =
  | { readonly kind: 'code'; readonly code: number }
  | {
      readonly kind: 'signal';
      readonly signal: number;
      /** e.g. `SIGKILL`; undefined: unnamed, shown as its number. */
      readonly name: string | undefined;
      readonly coreDumped: boolean;
    }
  | { readonly kind: 'unobserved' };

/** A child that exists. `startedAtMs` is the kernel's start of it, as the spawner reported. */
export interface LiveChild {
  readonly kind: 'running';
  readonly spawn: number;
  readonly pid: number;
  readonly startedAtMs: number;
}

/** A child that was asked for; the spawner has not answered yet. */
export interface SpawningChild {
  readonly kind: 'spawning';
  readonly spawn: number;
  /** The state before STARTING. The change is emitted when the spawner answers, so that its row has the pid. */
  readonly from: ProcessState;
  /** A stop came meanwhile: it is carried out once the pid is known. */
  readonly stopWanted: boolean;
}

/** What a process is doing; each state carries exactly the data that exists in it. */
export type ProcessStatus =
  | { readonly state: 'STOPPED' }
  | { readonly state: 'STARTING'; readonly child: SpawningChild | LiveChild }
  | { readonly state: 'RUNNING'; readonly child: LiveChild }
  | { readonly state: 'BACKOFF'; readonly retryAtMs: number }
  | {
      readonly state: 'STOPPING';
      readonly child: LiveChild;
      /** SIGKILL is sent then, and again after every wait, until the child is reaped. */
      readonly killAtMs: number;
    }
  | {
      readonly state: 'EXITED';
      /** When the automatic restart happens; undefined: none is due. Set only while restarts are damped. */
      readonly restartAtMs: number | undefined;
    }
  | { readonly state: 'FATAL' }
  | {
      readonly state: 'UNKNOWN';
      /** What may still be alive; undefined: nothing is. */
      readonly child: SpawningChild | LiveChild | undefined;
      /** The state to go to when the child ends: STOPPED where a stop was under way. */
      readonly leaveTo: 'STOPPED' | 'EXITED';
    };

/** Everything a `ProcessRow` needs except wall times, host, epoch and seq, which the shell stamps. */
export interface ProcessFacts {
  readonly name: NameSpec;
  readonly program: string;
  readonly groupPriority: number;
  readonly priority: number;
  readonly autostart: boolean;
  readonly startMs: number;
  readonly stopWaitMs: number;
  readonly state: ProcessState;
  /** 0: no child. */
  readonly pid: number;
  /** Number of the last spawn of this process; 0: never. */
  readonly spawn: number;
  /** Start of the present child; 0: none. Becomes `startedMonoMs`. */
  readonly childStartedAtMs: number;
  /** The last start attempt, failed ones included; undefined: never. Stamp it when it changes. */
  readonly lastStartAtMs: number | undefined;
  /** The last exit (or stop out of BACKOFF); undefined: never. Stamp it when it changes. */
  readonly lastStopAtMs: number | undefined;
  /** How the last child ended; undefined while one lives and when there was none. */
  readonly exit: ExitStatus | undefined;
  /** Supervisor's spawn error, kept until the next start; or why the state is UNKNOWN; empty: nothing. */
  readonly reason: string;
  /** Failed starts in a row. */
  readonly attempts: number;
  /** Request behind the last change; empty: supervision itself. */
  readonly cause: string;
}

/** A fact that the outside world learns, in order. */
export type Change =
  | {
      readonly kind: 'process';
      readonly from: ProcessState;
      readonly to: ProcessState;
      /** As they are after this change. */
      readonly facts: ProcessFacts;
      /** For EXITED: the exit was among `exitCodes`. True for every other state. */
      readonly expected: boolean;
      /** The pid Supervisor names in the event, that of the ended child too; 0: none. */
      readonly pid: number;
    }
  | { readonly kind: 'group-added'; readonly group: string; readonly rows: readonly ProcessFacts[] }
  /** Priorities, policies or the set of processes changed; `rows` is the whole group. */
  | {
      readonly kind: 'group-changed';
      readonly group: string;
      readonly rows: readonly ProcessFacts[];
    }
  | { readonly kind: 'group-removed'; readonly group: string };

/** What an agent finds about one process when it starts again. */
export interface Adoption {
  readonly name: NameSpec;
  readonly child:
    | {
        readonly kind: 'alive';
        readonly spawn: number;
        readonly pid: number;
        readonly startedAtMs: number;
      }
    | {
        readonly kind: 'ended';
        readonly spawn: number;
        readonly pid: number;
        readonly startedAtMs: number;
        readonly exit: ExitStatus;
        readonly atMs: number;
      }
    /** Something with this pid may be the child, nobody can tell: neither killed nor duplicated. */
    | {
        readonly kind: 'doubtful';
        readonly spawn: number;
        readonly pid: number;
        readonly why: string;
      }
    | { readonly kind: 'none' };
  /** What the last agent knew, its times on the present clock; undefined: lost, the child alone decides. */
  readonly previous:
    | {
        readonly state: ProcessState;
        readonly spawn: number;
        readonly attempts: number;
        readonly reason: string;
        readonly exit: ExitStatus | undefined;
        readonly lastStartAtMs: number | undefined;
        readonly lastStopAtMs: number | undefined;
      }
    | undefined;
}

/** Identifies one request until its one reply; the caller allocates it, never reusing one that is open. */
export type RequestId = number;

interface RequestHead {
  readonly request: RequestId;
  readonly name: NameSpec;
  /** Command or rollout id, carried by the changes that follow; empty: nobody said. */
  readonly cause: string;
  /** Refused with `conflict` unless the last spawn has this number when its turn comes. */
  readonly ifSpawn: number | undefined;
}

/** `accepted`: reply once it is under way (for a start: once the spawn succeeded or failed). `settled`: once the result stands. */
export type Until = 'accepted' | 'settled';

export type EngineRequest =
  | (RequestHead & { readonly kind: 'start' | 'stop' | 'restart'; readonly until: Until })
  | (RequestHead & { readonly kind: 'signal'; readonly signal: EngineSignal });

/** Facts and requests. The loop delivers all readable notices before a `deadline`, so that an exit outruns it. */
export type EngineInput =
  /**
   * The whole wanted configuration. New groups and processes start if `autostart`; missing ones are stopped, then
   * removed; changed policies apply at once, without a restart. `adopt` (first call only) precedes autostart;
   * adopted children that the configuration does not name are stopped.
   */
  | {
      readonly kind: 'apply-config';
      readonly groups: readonly GroupSpec[];
      readonly adopt: readonly Adoption[];
    }
  /** One group more (RPC addProcessGroup); faults ALREADY_ADDED. */
  | { readonly kind: 'add-group'; readonly request: RequestId; readonly group: GroupSpec }
  /** One group less (RPC removeProcessGroup); faults BAD_NAME, STILL_RUNNING. */
  | { readonly kind: 'remove-group'; readonly request: RequestId; readonly group: string }
  | {
      readonly kind: 'spawned';
      readonly spawn: number;
      readonly pid: number;
      readonly startedAtMs: number;
    }
  /** `text` is Supervisor's, e.g. `can't find command '/x'`. No exit follows. */
  | { readonly kind: 'spawn-failed'; readonly spawn: number; readonly text: string }
  /** `atMs` is the true time of death, however late it is read. */
  | {
      readonly kind: 'exited';
      readonly spawn: number;
      readonly pid: number;
      readonly exit: ExitStatus;
      readonly atMs: number;
    }
  /** Answers exactly one `signal` effect by its `token`; `gone` counts as success. */
  | {
      readonly kind: 'signal-outcome';
      readonly token: number;
      readonly outcome: 'delivered' | 'gone' | { readonly error: string };
    }
  | EngineRequest
  /** The time said by `deadlineMs()` has come. */
  | { readonly kind: 'deadline' }
  /** Stops everything, highest priority value first; a repeat changes nothing. */
  | { readonly kind: 'shutdown' }
  /** The shell can no longer vouch for a process: it becomes UNKNOWN until its child ends. */
  | { readonly kind: 'force-unknown'; readonly name: NameSpec; readonly reason: string };

/** Supervisor's fault names; numbers belong to the XML-RPC edge. */
export type Fault =
  | 'BAD_NAME'
  | 'FAILED'
  | 'SHUTDOWN_STATE'
  | 'ABNORMAL_TERMINATION'
  | 'SPAWN_ERROR'
  | 'ALREADY_STARTED'
  | 'NOT_RUNNING'
  | 'ALREADY_ADDED'
  | 'STILL_RUNNING';

/** `interrupted`: the process was removed while the request waited. */
export type ReplyOutcome = 'ok' | 'already' | 'failed' | 'conflict' | 'busy' | 'interrupted';

export interface Reply {
  readonly kind: 'reply';
  readonly request: RequestId;
  readonly outcome: ReplyOutcome;
  /** undefined exactly when the outcome is ok. */
  readonly fault: Fault | undefined;
  /** Why, for people; empty when ok. */
  readonly text: string;
  /** The process as it stands now; undefined for groups and unknown names. */
  readonly facts: ProcessFacts | undefined;
}

export type EngineLogLevel = 'critical' | 'error' | 'warn' | 'info' | 'debug';

/** Intentions, performed in order. */
export type Effect =
  /** Start the child; answer with `spawned` or `spawn-failed`. */
  | { readonly kind: 'spawn'; readonly name: NameSpec; readonly spawn: number }
  /** Answer with `signal-outcome` and the same token. */
  | {
      readonly kind: 'signal';
      readonly token: number;
      readonly name: NameSpec;
      readonly spawn: number;
      readonly pid: number;
      readonly signal: EngineSignal;
      readonly target: 'process' | 'group';
    }
  | { readonly kind: 'emit'; readonly change: Change }
  /** A line of the activity log in Supervisor's words. */
  | { readonly kind: 'log'; readonly level: EngineLogLevel; readonly text: string }
  | Reply
  /** The exit's consequences are decided (and emitted before this): the spawner may forget it. */
  | { readonly kind: 'acknowledge-exit'; readonly spawn: number }
  /** Everything has stopped after a `shutdown`; comes once. */
  | { readonly kind: 'shutdown-complete' };

/** What the loop, the outbox and the local interfaces may ask of the engine. */
export interface EngineView {
  /** Performs nothing itself; `nowMs` never goes back between calls. */
  handle(input: EngineInput, nowMs: number): Effect[];
  /** When `deadline` is due; undefined: nothing is. May lie in the past: then at once. */
  deadlineMs(): number | undefined;
  /** undefined: no such process. */
  status(name: NameSpec): ProcessStatus | undefined;
  /** The facts of one process; undefined: no such process. */
  facts(name: NameSpec): ProcessFacts | undefined;
  /** All processes by group priority, group name, configured order. */
  snapshot(): ProcessFacts[];
  /** The groups in the same order. */
  groups(): GroupSpec[];
  /** The number the next spawn will get; persist it above every number used. */
  nextSpawn(): number;
}
