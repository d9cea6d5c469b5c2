// The port behind which children live: start, signal, adopt. The keeper adapter is in keeper/client.ts.
// Answers arrive as notices, never as return values, so that the engine's loop sees one ordered stream of facts.
// Invariants: a spawn number is used once; every accepted spawn ends in exactly one `spawn-failed` or `exited`.

/** What a child's descriptor 0, 1 or 2 is. `stdout` (for stderr only) shares stdout's pipe. */
export type ChildStream =
  | { readonly kind: 'pipe' }
  | { readonly kind: 'null' }
  | { readonly kind: 'stdout' }
  | { readonly kind: 'socket'; readonly name: string };

/** Everything the keeper needs to start one child; all lookups (PATH, user, umask) are already done. */
export interface SpawnRequest {
  /** Grows for ever on a host, never reused; the keeper refuses a number it has seen. */
  readonly spawn: number;
  /** Opaque text, at most 1 KiB of UTF-8, that `list` gives back: enough to adopt without other state. */
  readonly tag: string;
  /** Absolute path of the program, or a path relative to `cwd`. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  readonly credentials:
    { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined;
  /** File mode mask, 0..0o777; undefined keeps the agent's. */
  readonly umask: number | undefined;
  readonly rlimits: readonly {
    readonly resource: number;
    /** `Infinity` means no limit. */
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly stdin: ChildStream;
  readonly stdout: ChildStream;
  readonly stderr: ChildStream;
  /** A session of its own instead of a process group in the keeper's session. */
  readonly newSession?: boolean;
  /** Scheduling priority, -20..19. */
  readonly nice?: number;
  /** -1000..1000; undefined gives what the agent had. */
  readonly oomScoreAdj?: number;
}

/** How a child ended: exactly one of code and signal. `coreDumped` goes with a signal. */
export type WaitStatus =
  | { readonly kind: 'code'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: number; readonly coreDumped: boolean };

/** A live or dead child as the keeper knows it; what `list` answers and adoption reads. */
export interface ChildRecord {
  readonly spawn: number;
  readonly tag: string;
  readonly pid: number;
  /** Kernel start time, clock ticks since boot (field 22 of /proc/PID/stat). */
  readonly startTicks: number;
  /** Monotonic milliseconds (CLOCK_MONOTONIC, the agent's clock too) when it was started. */
  readonly startedAtMs: number;
  /** Set once it ended; kept by the keeper until acknowledged. */
  readonly exit:
    | {
        readonly status: WaitStatus;
        readonly atMs: number;
        /** Its consequences are known already; only its output may still have to be drained. */
        readonly acknowledged?: true;
      }
    | undefined;
  /** Read ends (and stdin's write end) the keeper holds, as paths that `open` accepts; absent: no pipe. */
  readonly pipes: { readonly stdin?: string; readonly stdout?: string; readonly stderr?: string };
  /** Output that the keeper moved to files while no agent was connected; older than what the pipes hold. */
  readonly spill?: { readonly stdout?: Spill; readonly stderr?: Spill };
}

/** One stream's spill file; `droppedBytes` came after it and are lost. */
export interface Spill {
  /** Absent when nothing could be kept. */
  readonly path: string | undefined;
  readonly spilledBytes: number;
  readonly droppedBytes: number;
}

/** Which part of starting a child failed; `errno` is the kernel's number, e.g. 2 for ENOENT. */
export type SpawnStage =
  | 'limit'
  | 'pipe'
  | 'fork'
  | 'group'
  | 'rlimit'
  | 'priority'
  | 'user'
  | 'chdir'
  | 'descriptors'
  | 'exec'
  | 'keeper';

/** What the spawner tells the loop, in the order in which it happened. */
export type SpawnNotice =
  | { readonly kind: 'spawned'; readonly child: ChildRecord }
  | {
      readonly kind: 'spawn-failed';
      readonly spawn: number;
      readonly stage: SpawnStage;
      readonly errno: number;
      /** e.g. `ENOENT`; `EIO` when the keeper is gone. */
      readonly errorName: string;
    }
  | {
      readonly kind: 'exited';
      readonly spawn: number;
      readonly pid: number;
      readonly status: WaitStatus | 'unknown';
      /** Monotonic milliseconds at which the keeper reaped it. */
      readonly atMs: number;
      readonly usage?: {
        readonly userMs: number;
        readonly systemMs: number;
        readonly maxResidentBytes: number;
      };
    }
  /** A descendant that lost its parent was adopted and has ended. */
  | { readonly kind: 'orphan'; readonly pid: number; readonly status: WaitStatus }
  /** The keeper connection broke: output must not be read until a new connection has listed the children. */
  | {
      readonly kind: 'lost';
      readonly reason: string;
      /** A newer agent took over: connecting again would only displace that one. */
      readonly displaced?: true;
    };

export type SignalTarget = 'process' | 'group' | 'tree';

/** `gone`: no such process any more, which callers treat as success (spec process 6). */
export type SignalOutcome = 'delivered' | 'gone' | { readonly errorName: string };

export interface Spawner {
  /** Starts a child; the answer is a `spawned` or `spawn-failed` notice. After `lost` the next `list` tells instead. */
  spawn(request: SpawnRequest): void;
  /** Signals by spawn number, so a reused pid is never hit. `signal` is a number, 1..64. */
  signal(spawn: number, signal: number, target: SignalTarget): Promise<SignalOutcome>;
  /** Every child the keeper holds, dead but unacknowledged ones included. */
  list(): Promise<readonly ChildRecord[]>;
  /** Forgets an exit record once its consequences are on disk or in the engine. */
  acknowledgeExit(spawn: number): void;
  /** Tells the keeper to close its ends of a dead child's pipes after the agent drained them. */
  releaseOutput(spawn: number): void;
  /** Tells the keeper to delete a child's spill files after the agent drained them. */
  releaseSpill(spawn: number): void;
  /** Ends the keeper; refused (rejects) while children live. */
  shutdown(): Promise<void>;
  /** Drops the connection; children live on. */
  close(): Promise<void>;
}
