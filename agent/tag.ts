// The note that a child carries in the keeper, so that the agent's next life knows whose it is. Pure.
// Invariant: at most 1 KiB; what does not fit is left out, the names never are.

/** Whose child it is and which AUTO logs it writes. */
export interface ChildTag {
  readonly group: string;
  readonly process: string;
  /** Paths of its log files; undefined: none, or too long to note. */
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
}

const TAG_BYTES_MAX = 1024;
const VERSION = 1;

/** Throws when not even the names fit, which the limits on names rule out. */
export function encodeTag(tag: ChildTag): string {
  const names = { v: VERSION, g: tag.group, p: tag.process };
  const full = JSON.stringify({ ...names, o: tag.stdout, e: tag.stderr });
  if (Buffer.byteLength(full) <= TAG_BYTES_MAX) return full;
  const short = JSON.stringify(names);
  if (Buffer.byteLength(short) > TAG_BYTES_MAX)
    throw new Error(`the name ${tag.group}:${tag.process} is too long to start a child under it`);
  return short;
}

/** undefined: not written by this program, or by one of another kind. */
export function decodeTag(text: string): ChildTag | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { v, g, p, o, e } = value as Record<string, unknown>;
  if (v !== VERSION || typeof g !== 'string' || typeof p !== 'string') return undefined;
  const path = (each: unknown): string | undefined => (typeof each === 'string' ? each : undefined);
  return { group: g, process: p, stdout: path(o), stderr: path(e) };
}
