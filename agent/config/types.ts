// What a configuration file means once it is read: the resolved types that the rest of the agent works with.
// Invariants: nothing is undefined that has a default; lengths of time are milliseconds, sizes are bytes;
// all numbers are as Supervisor accepts them (negative ones included) unless a field says otherwise.

import type { FieldWorld } from '../../common/fields.js';
import type { ConfigHint, ConfigProblem } from '../../common/problems.js';

export type { ConfigHint, ConfigProblem } from '../../common/problems.js';

/** A whole configuration, ready to run. */
export interface AgentConfig {
  /** The path as it was given, e.g. `-c supervisord.conf`; what messages name. */
  readonly file: string;
  /** Absolute folder of the file, symlinks not resolved: the meaning of `%(here)s`. */
  readonly here: string;
  readonly daemon: DaemonConfig;
  /** TCP servers, then unix servers, each in file order (spec config 7.1, 7.2). */
  readonly servers: readonly ServerConfig[];
  readonly rpcInterfaces: readonly RpcInterfaceConfig[];
  /**
   * The groups that run, in start order (priority, then name): of equal names the first, and in each group every
   * process name once (the last definition wins), as Supervisor's start-up does it (spec config 6).
   */
  readonly groups: readonly GroupConfig[];
  /** The groups as declared, duplicates included; only for comparison with Supervisor. */
  readonly declaredGroups: readonly GroupConfig[];
  /** The `[fleet]` section; undefined when this agent belongs to no fleet. */
  readonly fleet: FleetConfig | undefined;
  /** Lines for the activity log at level WARN, in order, once the log is open. */
  readonly warnings: readonly string[];
  /** The same at level INFO. */
  readonly infos: readonly string[];
  /** Ours: likely mistakes that Supervisor accepts in silence. Never a reason to refuse. */
  readonly hints: readonly ConfigHint[];
}

/** The `[supervisord]` section after defaults and command line (spec config 7.3). */
export interface DaemonConfig {
  readonly logfile: ActivityLogConfig;
  /** Size of the activity log's file at which it is rotated; 0: never. */
  readonly logBytesMax: number;
  /** Rotated activity logs to keep; 0: truncate instead of renaming. */
  readonly logBackups: number;
  readonly loglevel: LogLevel;
  /** Absolute. */
  readonly pidfile: string;
  readonly identifier: string;
  /** File mode mask, applied only when daemonising. */
  readonly umask: number;
  /** chdir when daemonising only; undefined: stay. */
  readonly directory: string | undefined;
  /** Whom to become before anything is opened; undefined: stay. */
  readonly user: UserRef | undefined;
  /** Added to the environment of every child; not to the daemon's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Soft RLIMIT_NOFILE to reach. */
  readonly minfds: number;
  /** Soft RLIMIT_NPROC to reach. */
  readonly minprocs: number;
  /** Home of AUTO logs. */
  readonly childlogdir: string;
  readonly nodaemon: boolean;
  readonly silent: boolean;
  readonly nocleanup: boolean;
  readonly stripAnsi: boolean;
  /** What children get as SUPERVISOR_SERVER_URL when theirs is automatic; undefined: variable not set. */
  readonly serverUrl: string | undefined;
}

export type LogLevel = 'critical' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'blather';

/** Where the daemon's own log goes; `path` is absolute. */
export type ActivityLogConfig =
  { readonly kind: 'syslog' } | { readonly kind: 'file'; readonly path: string };

/** A user as the file names it and as the user database knows it. */
export interface UserRef {
  /** As written: a name or a decimal number. */
  readonly text: string;
  readonly uid: number;
  /** Primary group. */
  readonly gid: number;
}

/** `user[:group]` of a socket; undefined parts are left as they are. */
export interface OwnerRef {
  readonly user: IdRef;
  readonly group: IdRef | undefined;
}

/** User name and password of a server. An empty username disables authentication (spec config 7.1). */
export interface Credentials {
  readonly username: string;
  /** Clear text, or `{SHA}` and a lower-case hexadecimal SHA-1. */
  readonly password: string;
}

/** An HTTP server of the agent. */
export type ServerConfig = UnixServerConfig | InetServerConfig;

interface ServerCommon {
  /** Section as written, e.g. `inet_http_server:second`. */
  readonly section: string;
  /** Text after the colon. */
  readonly name: string | undefined;
  readonly credentials: Credentials | undefined;
}

export interface UnixServerConfig extends ServerCommon {
  readonly family: 'unix';
  /** Absolute. */
  readonly file: string;
  /** Mode of the socket. */
  readonly mode: number;
  readonly owner: OwnerRef | undefined;
}

export interface InetServerConfig extends ServerCommon {
  readonly family: 'inet';
  /** Lower case; empty: all interfaces. */
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
  /** Ours: serve everything without credentials on an address that others can reach (off by default). */
  readonly insecureRemote: boolean;
}

export interface RpcInterfaceConfig {
  /** The namespace of its methods. */
  readonly name: string;
  readonly factory: string;
  readonly options: Readonly<Record<string, string>>;
}

/** A group of processes that are controlled together. */
export type GroupConfig = PlainGroupConfig | FcgiGroupConfig | ListenerGroupConfig;

interface GroupCommon {
  readonly name: string;
  readonly priority: number;
  /** In start order. */
  readonly processes: readonly ProcessConfig[];
}

/** `group`: a `[group:x]` section; `program`: a program that is its own group. */
export interface PlainGroupConfig extends GroupCommon {
  readonly kind: 'group' | 'program';
}

export interface FcgiGroupConfig extends GroupCommon {
  readonly kind: 'fcgi';
  readonly socket: FcgiSocketConfig;
}

export interface ListenerGroupConfig extends GroupCommon {
  readonly kind: 'eventlistener';
  /** Event type names in upper case, sorted, without duplicates. */
  readonly events: readonly string[];
  /** At least 1. */
  readonly bufferSize: number;
  readonly resultHandler: string;
}

/** The socket that all processes of an fcgi group share (spec config 7.6). */
export type FcgiSocketConfig =
  | {
      readonly family: 'unix';
      /** `unix://PATH`: the socket's identity. */
      readonly url: string;
      readonly path: string;
      /** undefined: not chowned. */
      readonly owner: { readonly user: IdRef; readonly group: IdRef | undefined } | undefined;
      readonly mode: number;
      /** 1..65535; undefined: the system's maximum. */
      readonly backlog: number | undefined;
    }
  | {
      readonly family: 'inet';
      /** `tcp://HOST:PORT`. */
      readonly url: string;
      readonly host: string;
      readonly port: number;
      readonly backlog: number | undefined;
    };

/** A uid or gid with the text it came from. */
export interface IdRef {
  readonly text: string;
  readonly id: number;
}

export type AutoRestart = 'always' | 'never' | 'unexpected';

/** A signal by number, 0..64, and the name Supervisor prints; 0 sends nothing. */
export interface SignalRef {
  readonly number: number;
  readonly name: string | undefined;
}

/** One process to supervise: every key of a program-like section, expanded for this process number. */
export interface ProcessConfig {
  readonly name: string;
  readonly group: string;
  /** The part of the section's header after the colon. */
  readonly program: string;
  /** The section that defines it, e.g. `program:web`, and where its header stands. */
  readonly source: Source;
  /** The command text after expansion. */
  readonly command: string;
  /** The command split into words; splitting may fail, which shows at start only (spec config 8). */
  readonly words: CommandWords;
  /** chdir in the child; undefined: the daemon's. */
  readonly directory: string | undefined;
  /** File mode mask; undefined: inherited. */
  readonly umask: number | undefined;
  readonly priority: number;
  readonly autostart: boolean;
  readonly autorestart: AutoRestart;
  /** `startsecs`: a process must live longer than this to be RUNNING; 0 or less: at once. */
  readonly startMs: number;
  /** Retries after the first failure. */
  readonly startRetries: number;
  /** Expected exit codes, each 0..255. */
  readonly exitCodes: readonly number[];
  readonly stopSignal: SignalRef;
  /** `stopwaitsecs`: how long after the stop signal SIGKILL follows. */
  readonly stopWaitMs: number;
  readonly stopAsGroup: boolean;
  readonly killAsGroup: boolean;
  /** undefined: the daemon's user. */
  readonly user: UserRef | undefined;
  readonly redirectStderr: boolean;
  readonly stdout: StreamConfig;
  readonly stderr: StreamConfig;
  /** The daemon's `environment=` overlaid with the program's; not the daemon's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Value of SUPERVISOR_SERVER_URL; undefined: automatic; empty: variable not set. */
  readonly serverUrl: string | undefined;
}

export type CommandWords =
  | { readonly kind: 'words'; readonly argv: readonly string[] }
  | { readonly kind: 'unparsable'; readonly reason: string };

/** What happens with one output stream of a process. */
export interface StreamConfig {
  readonly logfile: LogFileConfig;
  /** 0: no rotation. Negative: accepted, nothing is logged (as Supervisor does). */
  readonly logBytesMax: number;
  /** 0: truncate in place. */
  readonly logBackups: number;
  /** Capture mode buffer; 0: off. */
  readonly captureBytesMax: number;
  readonly eventsEnabled: boolean;
  readonly syslog: boolean;
}

/** `empty` is `stdout_logfile=`: kept apart from `none` for comparison, acts like it. */
export type LogFileConfig =
  { readonly kind: 'auto' | 'none' | 'empty' } | { readonly kind: 'path'; readonly path: string };

/** The `[fleet]` section. */
export interface FleetConfig {
  /** At least one. */
  readonly controllers: readonly Address[];
  /** Bus addresses; empty: the controller says which. */
  readonly nats: readonly string[];
  /** Paths of PEM files, absolute. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absolute; undefined: the default state directory. */
  readonly stateDir: string | undefined;
}

export interface Address {
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

/** A place in a configuration: `line` counts from 1; 0 where no single line is meant. */
export interface Source {
  readonly file: string;
  readonly line: number;
  readonly section: string;
}

/** Either a configuration or all its problems, in Supervisor's order of checking; never both, never none. */
export type ConfigResult =
  | { readonly ok: true; readonly config: AgentConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Everything about the machine that the meaning of a file depends on; handed in, so that parsing is pure. */
export interface ConfigWorld extends FieldWorld {
  /** The daemon's own environment at its start: the names `ENV_*`. */
  readonly env: Readonly<Record<string, string>>;
  /** The kernel's node name: `host_node_name`. */
  readonly hostName: string;
  /** The daemon's uid. */
  readonly uid: number;
  /** Where AUTO logs go by default. */
  readonly tempDir: string;
}
