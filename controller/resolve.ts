// What a request's selectors mean in the view of this replica (spec fleet 7).
import type { TargetName, ProcessRow } from '../common/rows.js';
import {
  EVERYTHING,
  resolveTargets,
  select,
  type SelectableHost,
  type SelectedHost,
  type SelectorIssue,
  type TargetSpec,
} from '../common/selector.js';
import type { Target } from '../proto/gen/fleetvisor/v1/control.js';
import type { Feed } from './feed.js';

/** Every known host; `rows` undefined where its processes were never told. */
export function selectableHosts(feed: Feed): SelectableHost<ProcessRow>[] {
  return feed.names().map((host) => ({
    host,
    labels: feed.labels(host),
    rows: feed.hasRows(host) ? feed.rows(host) : undefined,
  }));
}

/** The explicit list to act upon. Throws FleetErrors of `resolveTargets`. */
export function resolve(
  feed: Feed,
  target: TargetSpec | undefined,
): { readonly targets: readonly TargetName[]; readonly problems: readonly SelectorIssue[] } {
  return resolveTargets(target ?? EVERYTHING, selectableHosts(feed), true);
}

/** What to show: hosts with the names of their rows, undefined: all of them. */
export interface Shown {
  readonly hosts: readonly {
    readonly host: string;
    readonly names: readonly { group: string; process: string }[] | undefined;
    readonly rows: number;
  }[];
  readonly problems: readonly SelectorIssue[];
}

const WHOLE: ReadonlySet<string> = new Set(['all', '*', '*:*:*']);

/** Selects for reading. Asking for everything costs nothing but the list of hosts. */
export function show(feed: Feed, target: Target | undefined): Shown {
  const spec = target ?? EVERYTHING;
  const isPlain =
    !spec.hasExpect &&
    spec.maxTargets === 0 &&
    spec.hosts.length === 0 &&
    spec.labels.length === 0 &&
    spec.exclude.length === 0;
  if (isPlain && spec.selectors.every((selector) => WHOLE.has(selector))) {
    const hosts = feed
      .names()
      .map((host) => ({ host, names: undefined, rows: feed.rows(host).length }));
    return { hosts, problems: [] };
  }
  const selection = select(spec, selectableHosts(feed), false);
  const hosts = selection.hosts.filter(isWorthShowing).map(({ host, rows, whole }) => ({
    host,
    names: whole ? undefined : rows,
    rows: rows.length,
  }));
  return { hosts, problems: selection.problems };
}

/** A host without a selected row is shown only where it may hide one, or was asked for whole. */
function isWorthShowing(host: SelectedHost<ProcessRow>): boolean {
  return host.rows.length > 0 || host.unheard.length > 0 || host.whole;
}
