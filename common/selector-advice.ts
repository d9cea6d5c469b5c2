// What a selector that matches nothing probably meant: people write hosts and groups where processes are expected.
// Invariants: pure; every suggestion, typed as it stands, matches something.
import { splitOutside } from './glob.js';
import { compileHost, parseSelector, stripNegation } from './selector-parse.js';

interface KnownHost {
  readonly host: string;
  readonly labels: ReadonlyMap<string, string>;
  /** undefined: never heard of. */
  readonly rows: readonly { readonly group: string; readonly process: string }[] | undefined;
}

/** Suggestions shown at most: more would be a search, not a hint. */
const SHOWN_MAX = 3;

/** A selector as typed, and the hosts that it was looked for on. */
interface Sought {
  readonly text: string;
  matchesHost(host: string, labels: ReadonlyMap<string, string>): boolean;
}

/**
 * `; did you mean 'web:*'?` with selectors that match where this one does not: the host or group of that name, or the
 * process in the group it is really in. Empty when nothing is near. Throws FleetError BAD_SELECTOR where the selector
 * itself would.
 */
export function adviceOn(sought: Sought, hosts: readonly KnownHost[]): string {
  const scoped = hosts.filter(({ host, labels }) => sought.matchesHost(host, labels));
  const near = nearSelectors(stripNegation(sought.text), hosts, scoped);
  return near.length === 0 ? '' : `; did you mean ${near.map((one) => `'${one}'`).join(' or ')}?`;
}

function nearSelectors(
  text: string,
  hosts: readonly KnownHost[],
  scoped: readonly KnownHost[],
): readonly string[] {
  const parts = splitOutside(text, ':');
  const [first = '', second = '', third = ''] = parts;
  const rows = scoped.flatMap((host) => host.rows ?? []);
  const found: string[] = [];
  const isHost = (part: string): boolean => {
    if (part === '' || part === '*') return false;
    const matcher = compileHost(part);
    return hosts.some(({ host, labels }) => matcher.matches(host, labels));
  };
  if (parts.length === 1) {
    const { literal, process } = parseSelector(text, false);
    const matches = (name: string): boolean => process?.matches(name) === true;
    if (rows.some(({ group }) => matches(group))) found.push(`${text}:*`);
    // A pattern was looked for in every group already.
    const named = literal ? rows.filter((row) => matches(row.process)) : [];
    const groups = named.map(({ group }) => group);
    found.push(...[...new Set(groups)].map((group) => `${group}:${text}`));
    if (isHost(first)) found.push(`${first}:*:*`);
  } else if (parts.length === 2 && isHost(first)) {
    const process = second === '' ? '*' : second;
    const on = `${first}:*:${process}`;
    if (process === '*' || matchesSome(on, hosts)) found.push(on);
    // `web1:web` may also mean a group of that host.
    if (process !== '*' && matchesSome(`${first}:${process}:*`, hosts)) {
      found.push(`${first}:${process}:*`);
    }
  } else if (parts.length === 3 && second !== '*') {
    if (matchesSome(`${first}:*:${third}`, hosts)) found.push(`${first}:*:${third}`);
  }
  return [...new Set(found)].filter((one) => one !== text).slice(0, SHOWN_MAX);
}

function matchesSome(text: string, hosts: readonly KnownHost[]): boolean {
  const { host: matcher, group, process } = parseSelector(text, false);
  return hosts.some(
    ({ host, labels, rows }) =>
      matcher?.matches(host, labels) === true &&
      (rows ?? []).some(
        (row) => group?.matches(row.group) !== false && process?.matches(row.process) !== false,
      ),
  );
}
