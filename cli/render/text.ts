// Small texts: ages, uptimes, times, and untrusted bytes made harmless for a terminal. Pure.

/** `42s`, `3m`, `2h5m`, `4d`: how long ago, at most two units. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
}

/** Supervisor's uptime: `0:02:23`, `1 day, 0:02:23`, `3 days, 4:05:06` (spec xmlrpc 8.2). */
export function formatUptime(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const clock = `${hours}:${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  if (days === 0) return clock;
  return days === 1 ? `1 day, ${clock}` : `${days} days, ${clock}`;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Supervisor's time of a stop: `Jun 05 03:16 PM`, local time. */
export function formatStopTime(wallMs: number): string {
  const time = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const hour = time.getHours() % 12 === 0 ? 12 : time.getHours() % 12;
  const half = time.getHours() < 12 ? 'AM' : 'PM';
  const day = `${MONTHS[time.getMonth()]} ${two(time.getDate())}`;
  return `${day} ${two(hour)}:${two(time.getMinutes())} ${half}`;
}

/** UTC with milliseconds, e.g. `2026-11-21T12:20:28.123Z`. */
export function formatInstant(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** ISO text, or null for "never". */
export function instantOrNull(wallMs: number): string | null {
  return wallMs > 0 ? formatInstant(wallMs) : null;
}

/** Control characters except line feed and tab as `\xHH`: logs are untrusted input (spec fleet D52). */
export function showControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => {
    if (char === '\n' || char === '\t') return char;
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** Cuts a line to the terminal's width with a mark; undefined: no limit. Counts code points. */
export function fitWidth(line: string, width: number | undefined): string {
  if (width === undefined || line.length <= width) return line;
  const points = [...line];
  return points.length <= width ? line : `${points.slice(0, Math.max(0, width - 1)).join('')}…`;
}

/** `1 process`, `2 processes`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
