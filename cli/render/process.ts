// One process as text: its state as far as it may be believed, and what there is to say about it. Pure.
// Invariant: the state of a host that is not fresh is never shown as a plain word (spec fleet D23, law 1).
import type { Exit, HostHeader, ProcessRow } from '../../common/rows.js';
import { formatNameSpec } from '../../common/names.js';
import type { ProcessState } from '../../common/states.js';
import type { Cell, Paint } from './table.js';
import { formatAge, formatStopTime, formatUptime } from './text.js';

const PAINTS: Readonly<Record<ProcessState, Paint | undefined>> = {
  RUNNING: 'green',
  STARTING: 'yellow',
  STOPPING: 'yellow',
  BACKOFF: 'red',
  FATAL: 'red',
  UNKNOWN: 'red',
  EXITED: undefined,
  STOPPED: undefined,
};

/** `RUNNING`, or `RUNNING? 42s ago` when the host is not fresh. */
export function formatState(state: ProcessState, header: HostHeader): string {
  return header.freshness === 'fresh' ? state : `${state}? ${formatAge(header.ageMs)} ago`;
}

/** `exit code 1`, `signal 9`, `end not observed`. */
export function formatExit(exit: Exit): string {
  switch (exit.kind) {
    case 'code':
      return `exit code ${exit.code}`;
    case 'signal':
      return `signal ${exit.signal}`;
    case 'unobserved':
      return 'end not observed';
  }
}

/** How long the present child runs, by the host's monotonic clock; undefined: there is no child. */
export function uptimeMs(row: ProcessRow, header: HostHeader): number | undefined {
  if (row.pid === 0 || row.startedMonoMs === 0) return undefined;
  // What is not fresh may have ended: it ran at least until it was last heard of.
  const unseenMs = header.freshness === 'fresh' ? 0 : header.ageMs;
  return Math.max(0, header.monoNowMs - unseenMs - row.startedMonoMs);
}

/** Why a start failed: Supervisor's text, and how the child ended where it was the child's end that failed. */
export function describeFailure(row: ProcessRow): string {
  // After a failed spawn `exit` is that of an earlier child.
  if (row.exit === undefined || !row.reason.startsWith('Exited too quickly')) return row.reason;
  return `${row.reason}, ${formatExit(row.exit)}`;
}

/** Supervisor's description, and for ended processes how they ended. */
export function describeProcess(row: ProcessRow, header: HostHeader): string {
  switch (row.state) {
    case 'RUNNING':
      return `pid ${row.pid}, uptime ${formatUptime(uptimeMs(row, header) ?? 0)}`;
    case 'BACKOFF':
    case 'FATAL':
      return (
        describeFailure(row) ||
        `unknown error (try "ctl tail ${header.host}:${row.group}:${row.process} stderr")`
      );
    case 'STOPPED':
    case 'EXITED': {
      if (row.stoppedWallMs === 0) return 'Not started';
      const how = row.state === 'EXITED' && row.exit !== undefined ? formatExit(row.exit) : '';
      return [formatStopTime(row.stoppedWallMs), how].filter((part) => part !== '').join(', ');
    }
    case 'STARTING':
    case 'STOPPING':
      return row.pid === 0 ? '' : `pid ${row.pid}`;
    case 'UNKNOWN':
      return row.reason;
  }
}

/** The cells of one line of `status`: host, name, state, description. */
export function statusCells(row: ProcessRow, header: HostHeader): Cell[] {
  const fresh = header.freshness === 'fresh';
  const paint = fresh ? PAINTS[row.state] : 'yellow';
  return [
    { text: header.host },
    { text: formatNameSpec(row) },
    { text: formatState(row.state, header), ...(paint === undefined ? {} : { paint }) },
    { text: describeProcess(row, header) },
  ];
}
