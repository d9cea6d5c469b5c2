// Rows and host headers for tests: everything has a plausible default, a test names only what it is about.
import type { HostHeader, ProcessRow } from '../../common/rows.js';

export function makeRow(part: Partial<ProcessRow> = {}): ProcessRow {
  return {
    group: 'app',
    process: 'app',
    program: 'app',
    state: 'RUNNING',
    pid: 100,
    spawn: 1,
    startedMonoMs: 1_000,
    startedWallMs: 1_700_000_000_000,
    stoppedWallMs: 0,
    exit: undefined,
    reason: '',
    attempts: 0,
    seq: 1,
    groupPriority: 999,
    priority: 999,
    autostart: true,
    startMs: 1_000,
    stopWaitMs: 10_000,
    cause: '',
    ...part,
  };
}

export function makeHeader(part: Partial<HostHeader> = {}): HostHeader {
  return {
    host: 'web1',
    state: 'up',
    freshness: 'fresh',
    ageMs: 0,
    heartbeatAgeMs: 0,
    stateAgeMs: 0,
    epoch: 1,
    seq: 1,
    monoNowMs: 10_000,
    labels: new Map(),
    agentVersion: '0.1.0',
    path: 'both',
    clockOffsetMs: 0,
    processCount: 1,
    hostUid: 'uid',
    spool: 'disk',
    address: '',
    ...part,
  };
}
