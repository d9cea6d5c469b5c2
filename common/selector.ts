// Selectors name many processes of many hosts: parse, and resolve once to an explicit list (spec fleet 7, D26-D30).
// Invariants: pure; a host that is down is selected like any other; what matches nothing is named, never skipped.
import { FleetError } from './errors.js';
import { splitOutside } from './glob.js';
import { compareNatural, parseNameSpec, type NameSpec } from './names.js';
import type { TargetName } from './rows.js';
import { adviceOn } from './selector-advice.js';
import {
  compileHost,
  compileLabels,
  parseSelector,
  stripNegation,
  uninterpreted,
  type HostMatcher,
  type Selector,
} from './selector-parse.js';

export { isThreePart, compileHost, compileLabels } from './selector-parse.js';

/** Most targets of one command unless the caller allows more (spec fleet 7). */
export const TARGETS_MAX = 10_000;

/** What was asked for: selectors as typed and the host scope for one- and two-part forms. */
export interface TargetSpec {
  readonly selectors: readonly string[];
  /** -H: host patterns; commas outside braces separate. */
  readonly hosts: readonly string[];
  /** -l: label expressions, all of which must hold. */
  readonly labels: readonly string[];
  readonly allHosts: boolean;
  /** -x: selectors taken away. */
  readonly exclude: readonly string[];
  readonly hasExpect: boolean;
  readonly expect: number;
  /** 0: TARGETS_MAX. */
  readonly maxTargets: number;
}

/** Every process of every host: what a request that names nothing means, and a scope to narrow from. */
export const EVERYTHING: TargetSpec = {
  selectors: [],
  hosts: [],
  labels: [],
  allHosts: true,
  exclude: [],
  hasExpect: false,
  expect: 0,
  maxTargets: 0,
};

/** The part of a row that selecting and ordering need. */
export interface SelectableRow {
  readonly group: string;
  readonly process: string;
  readonly groupPriority: number;
  readonly priority: number;
}

/** A known host, reachable or not. `rows` undefined: never heard of its processes. */
export interface SelectableHost<Row extends SelectableRow> {
  readonly host: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly rows: readonly Row[] | undefined;
}

/** A selector, or what an option named, that could not be honoured; the rest still stands. */
export interface SelectorIssue {
  /** As typed. */
  readonly selector: string;
  /** e.g. `no such process`. */
  readonly message: string;
}

/** What was selected of one host. */
export interface SelectedHost<Row extends SelectableRow> {
  readonly host: string;
  /** In order of group priority, priority, group, process. */
  readonly rows: readonly Row[];
  /** Every row of the host is selected (also when it has none). */
  readonly whole: boolean;
  /** Targets named literally on a host whose rows are not known; `*` stands for all that a pattern might mean. */
  readonly unheard: readonly TargetName[];
}

export interface Selection<Row extends SelectableRow> {
  /** Hosts that at least one selector addresses, in natural order; some may have no rows selected. */
  readonly hosts: readonly SelectedHost<Row>[];
  readonly problems: readonly SelectorIssue[];
  /** Rows selected, plus unheard targets. */
  readonly count: number;
}

export interface Resolution {
  readonly targets: readonly TargetName[];
  readonly problems: readonly SelectorIssue[];
}

function rowMatches(selector: Selector, row: SelectableRow): boolean {
  if (selector.group !== undefined && !selector.group.matches(row.group)) return false;
  return selector.process === undefined || selector.process.matches(row.process);
}

interface Scope {
  /** -H or -l was given, so three-part forms are narrowed too. */
  readonly narrowed: boolean;
  /** One- and two-part forms mean something: a scope was given, or this only reads. */
  readonly given: boolean;
  has(host: string, labels: ReadonlyMap<string, string>): boolean;
}

function compileScope(spec: TargetSpec, changing: boolean): { scope: Scope; hosts: HostMatcher[] } {
  const hosts = spec.hosts.flatMap((text) => splitOutside(text, ',')).map(compileHost);
  const labels = spec.labels.map(compileLabels);
  const narrowed = hosts.length > 0 || labels.length > 0;
  const scope: Scope = {
    narrowed,
    given: narrowed || spec.allHosts || !changing,
    has: (host, hostLabels) =>
      (hosts.length === 0 || hosts.some((matcher) => matcher.matches(host, hostLabels))) &&
      labels.every((holds) => holds(hostLabels)),
  };
  return { scope, hosts };
}

/** A selector bound to the scope: which rows of which hosts it means. */
interface Bound {
  readonly text: string;
  readonly negated: boolean;
  readonly selector: Selector | undefined;
  /** What it may mean on a host whose processes were never heard of; `*` where that is a pattern. */
  readonly unheard: NameSpec;
  matchesHost(host: string, labels: ReadonlyMap<string, string>): boolean;
  matchesRow(row: SelectableRow): boolean;
  /** Something of it exists: hosts addressed, rows selected (or possible on hosts not heard). */
  hosts: number;
  rows: number;
}

function bind<Row extends SelectableRow>(
  typed: string,
  excluding: boolean,
  scope: Scope,
  hosts: readonly SelectableHost<Row>[],
): Bound {
  const inScope = (host: string, labels: ReadonlyMap<string, string>): boolean =>
    scope.given && scope.has(host, labels);
  // A bare `*` and `all` keep their meaning whatever processes are called (D27).
  if (typed !== '*' && typed !== 'all') {
    const asNamed = uninterpreted(typed);
    const exists = hosts.some(
      (host) => inScope(host.host, host.labels) && (host.rows ?? []).some((row) => asNamed(row)),
    );
    if (exists) {
      return {
        text: typed,
        negated: excluding,
        selector: undefined,
        unheard: wholeGroupAsStar(parseNameSpec(typed)),
        hosts: 0,
        rows: 0,
        matchesHost: inScope,
        matchesRow: asNamed,
      };
    }
  }
  const negated = excluding || typed.startsWith('!');
  const named = namedOnHosts(stripNegation(typed), scope, hosts);
  if (named !== undefined) {
    return { text: typed, negated, selector: undefined, hosts: 0, rows: 0, ...named };
  }
  const selector = parseSelector(stripNegation(typed), negated);
  if (selector.host === undefined && !scope.given) {
    throw new FleetError('SCOPE_MISSING', `'${typed}' does not say on which hosts`, {
      hint: "give -H HOST, -l LABELS or --all-hosts, or name the host: 'HOST:GROUP:PROCESS'",
    });
  }
  const { host: matcher } = selector;
  return {
    text: typed,
    negated,
    selector,
    unheard: {
      group: selector.group?.literal ?? selector.process?.literal ?? '*',
      process: selector.process?.literal ?? '*',
    },
    hosts: 0,
    rows: 0,
    matchesHost:
      matcher === undefined
        ? inScope
        : (host, labels) =>
            matcher.matches(host, labels) && (!scope.narrowed || scope.has(host, labels)),
    matchesRow: (row) => rowMatches(selector, row),
  };
}

/**
 * `HOST:GROUP:PROCESS` with names as every list prints them, if they exist on those hosts (D27): `a*b` is then that
 * process and no pattern.
 */
function namedOnHosts<Row extends SelectableRow>(
  text: string,
  scope: Scope,
  hosts: readonly SelectableHost<Row>[],
): Pick<Bound, 'unheard' | 'matchesHost' | 'matchesRow'> | undefined {
  const [hostText = '', group = '', process = '', ...more] = text.split(':');
  if (hostText === '' || group === '' || process === '' || more.length > 0) return undefined;
  if (process === '*' || group === '*') return undefined;
  const host = compileHost(hostText);
  const matchesHost = (name: string, labels: ReadonlyMap<string, string>): boolean =>
    host.matches(name, labels) && (!scope.narrowed || scope.has(name, labels));
  const matchesRow = (row: SelectableRow): boolean =>
    row.group === group && row.process === process;
  const exists = hosts.some(
    ({ host: name, labels, rows }) => matchesHost(name, labels) && (rows ?? []).some(matchesRow),
  );
  return exists ? { unheard: { group, process }, matchesHost, matchesRow } : undefined;
}

function wholeGroupAsStar({ group, process }: NameSpec): NameSpec {
  return { group, process: process === '' ? '*' : process };
}

function problemOf(bound: Bound): string | undefined {
  const { selector } = bound;
  if (bound.rows > 0 || selector === undefined) return undefined;
  if (bound.hosts === 0) {
    return selector.host === undefined ? 'no such host in the scope' : 'no such host';
  }
  if (selector.form === 'all') return undefined;
  if (!selector.literal) return 'nothing matches';
  return selector.process?.literal === undefined ? 'no such group' : 'no such process';
}

/** Display order within a host: priorities, then names with numbers in them compared as numbers. */
export function compareRows(a: SelectableRow, b: SelectableRow): number {
  return (
    a.groupPriority - b.groupPriority ||
    a.priority - b.priority ||
    compareNatural(a.group, b.group) ||
    compareNatural(a.process, b.process)
  );
}

/**
 * Resolves what was asked for against the known hosts. `changing`: the caller will act, so a scope is required.
 * Throws FleetError BAD_SELECTOR, SCOPE_MISSING, NO_MATCH (an exclusion names nothing), EXPECTATION_UNMET or
 * TOO_MANY_TARGETS, all before anything is acted upon.
 */
export function select<Row extends SelectableRow>(
  spec: TargetSpec,
  hosts: readonly SelectableHost<Row>[],
  changing: boolean,
): Selection<Row> {
  const { scope, hosts: scopeHosts } = compileScope(spec, changing);
  const typed = spec.selectors.length > 0 || spec.exclude.length > 0 ? spec.selectors : ['all'];
  if (changing && spec.selectors.length === 0 && spec.exclude.length === 0) {
    throw new FleetError('BAD_SELECTOR', 'no process is named', { hint: "write 'all' for all" });
  }
  const bounds = [
    ...typed.map((text) => bind(text, false, scope, hosts)),
    ...spec.exclude.map((text) => bind(text, true, scope, hosts)),
  ];
  const positive = bounds.filter((bound) => !bound.negated);
  const negative = bounds.filter((bound) => bound.negated);
  if (positive.length === 0) {
    throw new FleetError('BAD_SELECTOR', 'only exclusions are given', {
      hint: "name what they are taken away from, e.g. 'all'",
    });
  }
  const selected: SelectedHost<Row>[] = [];
  let count = 0;
  for (const host of [...hosts].sort((a, b) => compareNatural(a.host, b.host))) {
    const one = selectHost(host, positive, negative);
    if (one === undefined) continue;
    selected.push(one);
    count += one.rows.length + one.unheard.length;
  }
  const issues = positive.flatMap((bound) => issueOf(bound, hosts));
  const problems = [...hostProblems(scopeHosts, hosts), ...issues];
  checkExclusions(negative, changing, problems, hosts);
  checkCount(spec, count, changing);
  return { hosts: selected, problems, count };
}

function selectHost<Row extends SelectableRow>(
  { host, labels, rows }: SelectableHost<Row>,
  positive: readonly Bound[],
  negative: readonly Bound[],
): SelectedHost<Row> | undefined {
  const wanted = positive.filter((bound) => bound.matchesHost(host, labels));
  const unwanted = negative.filter((bound) => bound.matchesHost(host, labels));
  for (const bound of [...wanted, ...unwanted]) bound.hosts++;
  if (wanted.length === 0) return undefined;
  if (rows === undefined) {
    // Its processes are not known, so it stands in the result for what may be there, to fail visibly.
    const unheard = new Map<string, TargetName>();
    for (const bound of unwanted) bound.rows++;
    for (const bound of wanted) {
      bound.rows++;
      const target = { host, ...bound.unheard };
      if (
        !unwanted.some((other) => other.matchesRow({ ...target, groupPriority: 0, priority: 0 }))
      ) {
        unheard.set(`${target.group}:${target.process}`, target);
      }
    }
    return { host, rows: [], whole: false, unheard: [...unheard.values()] };
  }
  const chosen = rows.filter((row) => {
    let take = false;
    for (const bound of wanted) {
      if (!bound.matchesRow(row)) continue;
      bound.rows++;
      take = true;
    }
    for (const bound of unwanted) {
      if (!bound.matchesRow(row)) continue;
      bound.rows++;
      take = false;
    }
    return take;
  });
  return {
    host,
    rows: chosen.sort(compareRows),
    whole: chosen.length === rows.length,
    unheard: [],
  };
}

function issueOf(bound: Bound, hosts: readonly SelectableHost<SelectableRow>[]): SelectorIssue[] {
  const message = problemOf(bound);
  if (message === undefined) return [];
  const advice = bound.hosts === 0 ? '' : adviceOn(bound, hosts);
  return [{ selector: bound.text, message: message + advice }];
}

/** A host named by -H without pattern that nobody knows. */
function hostProblems(
  matchers: readonly HostMatcher[],
  hosts: readonly { readonly host: string }[],
): SelectorIssue[] {
  return matchers
    .filter(({ literal }) => literal !== undefined && !hosts.some(({ host }) => host === literal))
    .map(({ text }) => ({ selector: text, message: 'no such host' }));
}

/** A mistyped exclusion must not let through what it was meant to protect. */
function checkExclusions(
  negative: readonly Bound[],
  changing: boolean,
  problems: SelectorIssue[],
  hosts: readonly SelectableHost<SelectableRow>[],
): void {
  for (const bound of negative) {
    if (bound.selector?.literal !== true) continue;
    const [issue] = issueOf(bound, hosts);
    if (issue === undefined) continue;
    if (!changing) {
      problems.push(issue);
      continue;
    }
    throw new FleetError('NO_MATCH', `exclusion '${issue.selector}': ${issue.message}`, {
      hint: 'nothing was done; correct the exclusion or leave it out',
    });
  }
}

function checkCount(spec: TargetSpec, count: number, changing: boolean): void {
  if (spec.hasExpect && count !== spec.expect) {
    throw new FleetError(
      'EXPECTATION_UNMET',
      `${count} ${count === 1 ? 'process matches' : 'processes match'}, ${spec.expect} expected`,
      { hint: changing ? 'nothing was done' : '' },
    );
  }
  const max = spec.maxTargets > 0 ? spec.maxTargets : TARGETS_MAX;
  // Reading a large fleet is harmless; the limit guards against acting on more than was meant.
  if ((changing || spec.maxTargets > 0) && count > max) {
    throw new FleetError('TOO_MANY_TARGETS', `${count} processes match, more than ${max}`, {
      hint: `give --max-targets ${count} if that is meant`,
    });
  }
}

/** The explicit list: sorted by host, priority, name; targets on hosts never heard of included. */
export function resolveTargets<Row extends SelectableRow>(
  spec: TargetSpec,
  hosts: readonly SelectableHost<Row>[],
  changing: boolean,
): Resolution {
  const selection = select(spec, hosts, changing);
  const targets = selection.hosts.flatMap(({ host, rows, unheard }) => [
    ...rows.map(({ group, process }) => ({ host, group, process })),
    ...unheard,
  ]);
  return { targets, problems: selection.problems };
}
