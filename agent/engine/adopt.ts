// How a process stands when an agent starts again and finds what the last one left (spec fleet 2).
// Invariants: what lives is never started twice; an exit nobody saw is never guessed; a doubtful child is left alone.
import { NEW_RECORD, type Process, type ProcessRecord } from './facts.js';
import { BACKOFF_STEP_MS, type ProcessInput } from './process.js';
import { isRestartDue } from './restart.js';
import type { Adoption, LiveChild, ProcessPolicy } from './types.js';

export interface Adopted {
  /** The process as it stood, set without any event: the new epoch begins with it. */
  readonly process: Process;
  /** What has to happen to it next; undefined: nothing. */
  readonly next: ProcessInput | undefined;
}

/** Supervision of a child whose program is no longer configured: only ever used to stop it. */
export const STRAY_POLICY: ProcessPolicy = {
  program: '',
  priority: 999,
  autostart: false,
  autorestart: 'never',
  startMs: 1000,
  startRetries: 0,
  exitCodes: [0],
  stopSignal: { number: 15, name: 'SIGTERM' },
  stopWaitMs: 10_000,
  stopAsGroup: false,
  killAsGroup: true,
};

/** Combines what is found now with what was known. `fresh` is the process as configured, never run. */
export function adopt(fresh: Process, adoption: Adoption, nowMs: number): Adopted {
  const { child: found, previous } = adoption;
  const base: Process = { ...fresh, record: rememberedRecord(previous) };
  switch (found.kind) {
    case 'alive':
      return adoptAlive(base, adoption, { ...found, kind: 'running' }, nowMs);
    case 'ended': {
      const { spawn, pid, startedAtMs, exit, atMs } = found;
      const child: LiveChild = { kind: 'running', spawn, pid, startedAtMs };
      const process = withChild(base, adoption, child, nowMs);
      return { process, next: { kind: 'exited', pid, exit, atMs } };
    }
    case 'doubtful': {
      const { spawn, pid, why } = found;
      const child: LiveChild = { kind: 'running', spawn, pid, startedAtMs: nowMs };
      const process = withChild(base, adoption, child, nowMs);
      return { process, next: { kind: 'force-unknown', reason: why } };
    }
    case 'none':
      return adoptNothing(base, adoption, nowMs);
  }
}

function rememberedRecord(previous: Adoption['previous']): ProcessRecord {
  if (previous === undefined) return NEW_RECORD;
  const { spawn, attempts, reason, exit, lastStartAtMs, lastStopAtMs } = previous;
  return { ...NEW_RECORD, spawn, attempts, reason, exit, lastStartAtMs, lastStopAtMs };
}

function adoptAlive(
  base: Process,
  { previous }: Adoption,
  child: LiveChild,
  nowMs: number,
): Adopted {
  const record = { ...base.record, spawn: child.spawn, lastStartAtMs: child.startedAtMs };
  const running: Process = { ...base, record, status: { state: 'RUNNING', child } };
  // The signal may never have left the last agent, so the stop begins again.
  if (previous?.state === 'STOPPING')
    return { process: running, next: { kind: 'stop', cause: '' } };
  const isUp = nowMs - child.startedAtMs > base.policy.startMs;
  if (previous?.state === 'RUNNING' || (previous === undefined && isUp)) {
    return { process: running, next: undefined };
  }
  // What others know as STARTING is told when it is more.
  const starting: Process = { ...running, status: { state: 'STARTING', child } };
  return { process: starting, next: isUp ? { kind: 'deadline' } : undefined };
}

/** A process whose child has ended or is in doubt, in the state that led there. */
function withChild(base: Process, adoption: Adoption, child: LiveChild, nowMs: number): Process {
  const state = adoption.previous?.state;
  const record = { ...base.record, spawn: child.spawn };
  if (state === 'STOPPING') {
    return { ...base, record, status: { state, child, killAtMs: nowMs } };
  }
  return {
    ...base,
    record,
    status: { state: state === 'RUNNING' ? 'RUNNING' : 'STARTING', child },
  };
}

function adoptNothing(base: Process, adoption: Adoption, nowMs: number): Adopted {
  const { previous } = adoption;
  // A child was there and is gone; nobody saw how it ended.
  const lost: LiveChild = {
    kind: 'running',
    spawn: base.record.spawn,
    pid: 0,
    startedAtMs: previous?.lastStartAtMs ?? nowMs,
  };
  const unseen: ProcessInput = {
    kind: 'exited',
    pid: 0,
    exit: { kind: 'unobserved' },
    atMs: nowMs,
  };
  switch (previous?.state) {
    case undefined:
    case 'STOPPED':
      return { process: { ...base, status: { state: 'STOPPED' } }, next: undefined };
    case 'FATAL':
      return { process: { ...base, status: { state: 'FATAL' } }, next: undefined };
    case 'EXITED': {
      const due = isRestartDue(base.policy, previous?.exit);
      const restartAtMs = due ? nowMs : undefined;
      return { process: { ...base, status: { state: 'EXITED', restartAtMs } }, next: undefined };
    }
    case 'BACKOFF': {
      // The wait goes on from the failure: an end, or a spawn that failed.
      const { lastStartAtMs = 0, lastStopAtMs = 0, attempts } = base.record;
      const failedAtMs = Math.min(Math.max(lastStartAtMs, lastStopAtMs), nowMs);
      const retryAtMs = failedAtMs + attempts * BACKOFF_STEP_MS;
      return { process: { ...base, status: { state: 'BACKOFF', retryAtMs } }, next: undefined };
    }
    case 'STARTING':
      // It was asked for and never came to be.
      return {
        process: { ...base, status: { state: 'STOPPED' } },
        next: { kind: 'start', cause: '' },
      };
    case 'RUNNING':
    case 'UNKNOWN':
      return { process: { ...base, status: { state: 'RUNNING', child: lost } }, next: unseen };
    case 'STOPPING':
      return {
        process: { ...base, status: { state: 'STOPPING', child: lost, killAtMs: nowMs } },
        next: unseen,
      };
  }
}
