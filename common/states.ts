// The process states, their legal transitions and Supervisor's numeric codes: the words everything else uses.
// Imports nothing, so that anything may import it. docs/engine.md draws TRANSITIONS; a test compares them.

/** A process's state, in Supervisor's words (spec process 2). The value is the name that operators see. */
export type ProcessState =
  'STOPPED' | 'STARTING' | 'RUNNING' | 'BACKOFF' | 'STOPPING' | 'EXITED' | 'FATAL' | 'UNKNOWN';

/** Supervisor's numeric codes, used only at the compatibility edge (XML-RPC). */
export const STATE_CODES: Readonly<Record<ProcessState, number>> = {
  STOPPED: 0,
  STARTING: 10,
  RUNNING: 20,
  BACKOFF: 30,
  STOPPING: 40,
  EXITED: 100,
  FATAL: 200,
  UNKNOWN: 1000,
};

/** All states in the order of their codes. */
export const PROCESS_STATES = Object.keys(STATE_CODES) as readonly ProcessState[];

/** Every legal change of state; the engine asserts each change against it (spec process 3). */
export const TRANSITIONS: Readonly<Record<ProcessState, readonly ProcessState[]>> = {
  STOPPED: ['STARTING', 'UNKNOWN'],
  STARTING: ['RUNNING', 'BACKOFF', 'STOPPING', 'UNKNOWN'],
  RUNNING: ['EXITED', 'STOPPING', 'UNKNOWN'],
  BACKOFF: ['STARTING', 'STOPPED', 'FATAL', 'UNKNOWN'],
  STOPPING: ['STOPPED', 'UNKNOWN'],
  EXITED: ['STARTING', 'UNKNOWN'],
  FATAL: ['STARTING', 'UNKNOWN'],
  UNKNOWN: ['STOPPED', 'EXITED'],
};

/** States in which a process counts as stopped (`status` exits 3 for them, together with UNKNOWN). */
export const STOPPED_STATES: ReadonlySet<ProcessState> = new Set([
  'STOPPED',
  'EXITED',
  'FATAL',
  'UNKNOWN',
]);

/** States in which a process counts as running for start and stop requests. */
export const RUNNING_STATES: ReadonlySet<ProcessState> = new Set([
  'STARTING',
  'RUNNING',
  'BACKOFF',
]);

/** States in which a child exists, so that a signal can be delivered. */
export const SIGNALLABLE_STATES: ReadonlySet<ProcessState> = new Set([
  'STARTING',
  'RUNNING',
  'STOPPING',
]);

/** A host's state as a controller replica sees it (spec fleet 4). */
export type HostState = 'joining' | 'up' | 'suspect' | 'down' | 'left' | 'unknown';

/** How far a host's rows may be trusted (spec fleet 6, D23). */
export type Freshness = 'fresh' | 'stale' | 'lost';
