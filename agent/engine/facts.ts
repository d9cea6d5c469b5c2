// One process as data: its status, the record that outlives single states, and the facts made of both.
// Nothing here decides anything; process.ts does.
import type { NameSpec } from '../../common/names.js';
import type {
  ExitStatus,
  LiveChild,
  ProcessFacts,
  ProcessPolicy,
  ProcessStatus,
  SpawningChild,
} from './types.js';

/** One process with all that is known about it. */
export interface Process {
  readonly name: NameSpec;
  readonly groupPriority: number;
  readonly policy: ProcessPolicy;
  readonly status: ProcessStatus;
  readonly record: ProcessRecord;
}

/** What outlives a single state. Fields as in `ProcessFacts`. */
export interface ProcessRecord {
  readonly spawn: number;
  readonly attempts: number;
  /** Children in a row that reached RUNNING and ended fast. */
  readonly fastExits: number;
  readonly lastStartAtMs: number | undefined;
  readonly lastStopAtMs: number | undefined;
  readonly exit: ExitStatus | undefined;
  readonly reason: string;
  readonly cause: string;
}

/** The record of a process that never ran. */
export const NEW_RECORD: ProcessRecord = {
  spawn: 0,
  attempts: 0,
  fastExits: 0,
  lastStartAtMs: undefined,
  lastStopAtMs: undefined,
  exit: undefined,
  reason: '',
  cause: '',
};

/** The child of a process, asked for or alive; undefined: none. */
export function childOf(status: ProcessStatus): LiveChild | SpawningChild | undefined {
  return 'child' in status ? status.child : undefined;
}

/** The child that has a pid; undefined: none. */
export function liveChildOf(status: ProcessStatus): LiveChild | undefined {
  const child = childOf(status);
  return child?.kind === 'running' ? child : undefined;
}

/** Whether it is on its way to STOPPED, be it only that the stop waits for a pid. */
export function isStopping(status: ProcessStatus): boolean {
  if (status.state === 'STARTING')
    return status.child.kind === 'spawning' && status.child.stopWanted;
  return status.state === 'STOPPING';
}

/** All that others may know about a process. */
export function factsOf(process: Process): ProcessFacts {
  const { name, policy, status, record } = process;
  const child = liveChildOf(status);
  return {
    name,
    program: policy.program,
    groupPriority: process.groupPriority,
    priority: policy.priority,
    autostart: policy.autostart,
    startMs: policy.startMs,
    stopWaitMs: policy.stopWaitMs,
    state: status.state,
    pid: child?.pid ?? 0,
    spawn: record.spawn,
    childStartedAtMs: child?.startedAtMs ?? 0,
    lastStartAtMs: record.lastStartAtMs,
    lastStopAtMs: record.lastStopAtMs,
    exit: record.exit,
    reason: record.reason,
    attempts: record.attempts,
    cause: record.cause,
  };
}
