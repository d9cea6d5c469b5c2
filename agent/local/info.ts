// What getProcessInfo tells of a process: Supervisor's fields from a row (spec xmlrpc 8.2).
import type { ProcessRow } from '../../common/rows.js';
import { STATE_CODES } from '../../common/states.js';
import type { XmlValue } from '../../common/xmlrpc.js';
import { describe, type LocalTime } from '../engine/describe.js';
import type { ProcessLogs } from '../logs/files.js';

/** Clocks of one answer: all its rows are seen at the same moment. */
export interface InfoTimes {
  readonly monoMs: number;
  readonly wallMs: number;
}

function toLocalTime(wallMs: number): LocalTime {
  const at = new Date(wallMs);
  return {
    month: at.getMonth() + 1,
    day: at.getDate(),
    hour: at.getHours(),
    minute: at.getMinutes(),
  };
}

/** The description column of `status` (spec process 5). */
export function describeRow(row: ProcessRow, times: InfoTimes): string {
  return describe({
    name: row.process,
    state: row.state,
    pid: row.pid,
    uptimeMs: times.monoMs - row.startedMonoMs,
    reason: row.reason,
    stoppedAt: row.stoppedWallMs === 0 ? undefined : toLocalTime(row.stoppedWallMs),
  });
}

/** Supervisor's exit status: the code, -1 for a signal or an end nobody saw, 0 for none. */
function exitStatus(row: ProcessRow): number {
  if (row.exit === undefined) return 0;
  return row.exit.kind === 'code' ? row.exit.code : -1;
}

const seconds = (wallMs: number): number => Math.floor(wallMs / 1000);

/** One struct of getProcessInfo and getAllProcessInfo, members in Supervisor's order. */
export function processInfo(
  row: ProcessRow,
  logs: ProcessLogs | undefined,
  times: InfoTimes,
): { readonly [field: string]: XmlValue } {
  return {
    name: row.process,
    group: row.group,
    start: seconds(row.startedWallMs),
    stop: seconds(row.stoppedWallMs),
    now: seconds(times.wallMs),
    state: STATE_CODES[row.state],
    statename: row.state,
    spawnerr: row.reason,
    exitstatus: exitStatus(row),
    logfile: logs?.stdout?.path ?? '',
    stdout_logfile: logs?.stdout?.path ?? '',
    stderr_logfile: logs?.stderr?.path ?? '',
    pid: row.pid,
    description: describeRow(row, times),
  };
}
