// Names of hosts and processes: parse, format, order. Selectors (which name many) are in selector.ts.

/** One process of one host: group and process name, as in `group:process`. */
export interface NameSpec {
  readonly group: string;
  readonly process: string;
}

/** `group:process`, or `process` alone where both are equal, as Supervisor prints it. */
export function formatNameSpec(name: NameSpec): string {
  return name.group === name.process ? name.process : `${name.group}:${name.process}`;
}

/** `group:process` always with both parts: the key of maps. */
export function nameKey(name: NameSpec): string {
  return `${name.group}:${name.process}`;
}

/** Splits at the first colon; one part means process `x` of group `x` (spec xmlrpc 5). */
export function parseNameSpec(text: string): NameSpec {
  const colon = text.indexOf(':');
  if (colon < 0) return { group: text, process: text };
  return { group: text.slice(0, colon), process: text.slice(colon + 1) };
}

const HOST_ID = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
const RESERVED_HOSTS: ReadonlySet<string> = new Set(['all', 'none', 'local', 'self']);

/**
 * The fleet's form of a host name: lower case, checked (spec fleet 2).
 * Returns undefined when the text cannot be a host identifier.
 */
export function parseHostId(text: string): string | undefined {
  const lower = text.toLowerCase();
  return HOST_ID.test(lower) && !RESERVED_HOSTS.has(lower) ? lower : undefined;
}

/** Orders names so that numbers inside them compare as numbers: web2 before web10 (spec fleet 7). */
export function compareNatural(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const x = left[i] as string;
    const y = right[i] as string;
    if (x === y) continue;
    const bothNumbers = /^\d/.test(x) && /^\d/.test(y);
    if (bothNumbers && Number(x) !== Number(y)) return Number(x) - Number(y);
    return x < y ? -1 : 1;
  }
  return left.length - right.length;
}
