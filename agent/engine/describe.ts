// The one-line description that status shows for a process (spec process 5). Pure: times come in split already.
import type { ProcessState } from '../../common/states.js';

/** A wall-clock moment in the agent's own time zone. */
export interface LocalTime {
  /** 1..12. */
  readonly month: number;
  /** 1..31. */
  readonly day: number;
  /** 0..23. */
  readonly hour: number;
  readonly minute: number;
}

export interface Described {
  /** Process name without its group. */
  readonly name: string;
  readonly state: ProcessState;
  readonly pid: number;
  /** Since the start of the child; negative counts as 0. */
  readonly uptimeMs: number;
  readonly reason: string;
  /** When it last stopped; undefined: never started. */
  readonly stoppedAt: LocalTime | undefined;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** e.g. `pid 812, uptime 0:01:40`, `Nov 20 11:41 PM`, `Not started`; empty where there is nothing to say. */
export function describe(process: Described): string {
  switch (process.state) {
    case 'RUNNING':
      return `pid ${process.pid}, uptime ${formatUptime(process.uptimeMs)}`;
    case 'BACKOFF':
    case 'FATAL':
      return process.reason || `unknown error (try "tail ${process.name}")`;
    case 'STOPPED':
    case 'EXITED':
      return process.stoppedAt === undefined ? 'Not started' : formatStopTime(process.stoppedAt);
    case 'STARTING':
    case 'STOPPING':
    case 'UNKNOWN':
      return '';
  }
}

/** `[<d> day[s], ]H:MM:SS`, hours not padded, whole seconds rounded down. */
export function formatUptime(uptimeMs: number): string {
  const seconds = Math.max(0, Math.floor(uptimeMs / 1000));
  const days = Math.floor(seconds / 86_400);
  const clock = [
    Math.floor(seconds / 3600) % 24,
    pad(Math.floor(seconds / 60) % 60),
    pad(seconds % 60),
  ].join(':');
  if (days === 0) return clock;
  return `${days} ${days === 1 ? 'day' : 'days'}, ${clock}`;
}

function formatStopTime(time: LocalTime): string {
  const hour = pad(time.hour % 12 || 12);
  const half = time.hour < 12 ? 'AM' : 'PM';
  return `${MONTHS[time.month - 1] ?? '???'} ${pad(time.day)} ${hour}:${pad(time.minute)} ${half}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
