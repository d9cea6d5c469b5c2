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
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (isDigit(a, i) && isDigit(b, j)) {
      const endA = endOfDigits(a, i);
      const endB = endOfDigits(b, j);
      const difference = compareDigits(a.slice(i, endA), b.slice(j, endB));
      if (difference !== 0) return difference;
      i = endA;
      j = endB;
    } else {
      const difference = a.charCodeAt(i) - b.charCodeAt(j);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
  }
  const rest = a.length - i - (b.length - j);
  if (rest !== 0) return rest;
  // Only leading zeros differ: a fixed order all the same.
  return a === b ? 0 : a < b ? -1 : 1;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0x30 && code <= 0x39;
}

function endOfDigits(text: string, from: number): number {
  let end = from + 1;
  while (end < text.length && isDigit(text, end)) end++;
  return end;
}

/** Compares runs of digits of any length as numbers. */
function compareDigits(a: string, b: string): number {
  const left = a.replace(/^0+/, '');
  const right = b.replace(/^0+/, '');
  if (left.length !== right.length) return left.length - right.length;
  return left === right ? 0 : left < right ? -1 : 1;
}

const LABEL_KEY = /^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/;

/** May a host's label have this key? What is configured and what selects go by the same rule (spec fleet D10). */
export function isLabelKey(text: string): boolean {
  return LABEL_KEY.test(text);
}
