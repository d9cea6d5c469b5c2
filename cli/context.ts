// What every fleet command is given: where to write, whom to ask, which hosts are meant, and when to stop.
import { FleetError } from '../common/errors.js';
import type { Clock } from '../common/clock.js';
import { splitOutside } from '../common/glob.js';
import type { Random } from '../common/random.js';
import type { HostHeader } from '../common/rows.js';
import { isThreePart, type SelectorIssue, type TargetSpec } from '../common/selector.js';
import type { FleetClient } from './client.js';
import type { Output } from './output.js';
import { showControls } from './render/text.js';

/** Options that every command takes, before or after the action. */
export interface ScopeOptions {
  readonly hosts: readonly string[];
  readonly labels: readonly string[];
  readonly allHosts: boolean;
  readonly exclude: readonly string[];
  readonly expect: number | undefined;
  readonly maxTargets: number;
}

export interface Context {
  readonly out: Output;
  readonly json: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly scope: ScopeOptions;
  /** `default_hosts` of ctl.conf. */
  readonly defaultHosts: readonly string[];
  /** Milliseconds; 0: the default of each command. */
  readonly timeoutMs: number;
  /** Ctrl-C: the command ends its own part; the fleet goes on. */
  readonly signal: AbortSignal;
  client(): FleetClient;
}

/**
 * The selectors with the host scope. Throws FleetError SCOPE_MISSING, before anything is asked, when a change does
 * not say on which hosts (spec fleet D28).
 */
export function targetOf(
  context: Context,
  selectors: readonly string[],
  changing: boolean,
): TargetSpec {
  const { scope } = context;
  const given = scope.hosts.length > 0 || scope.labels.length > 0 || scope.allHosts;
  const needsScope = [...selectors, ...scope.exclude].filter((text) => !isThreePart(text));
  // Default hosts stand in for a missing scope; a selector that names its host does not need them.
  const useDefaults = !given && context.defaultHosts.length > 0 && needsScope.length > 0;
  const [unscoped] = needsScope;
  if (changing && !given && !useDefaults && unscoped !== undefined) {
    throw new FleetError('SCOPE_MISSING', `'${unscoped}' does not say on which hosts`, {
      hint: `give -H HOST, -l LABELS or --all-hosts, or name the host: 'HOST:${asPair(unscoped)}'`,
    });
  }
  return {
    selectors,
    hosts: useDefaults ? context.defaultHosts : scope.hosts,
    labels: scope.labels,
    allHosts: scope.allHosts,
    exclude: scope.exclude,
    hasExpect: scope.expect !== undefined,
    expect: scope.expect ?? 0,
    maxTargets: scope.maxTargets,
  };
}

type ScopeOption = keyof ScopeOptions;
const FLAGS: Readonly<Record<ScopeOption, string>> = {
  hosts: '-H',
  labels: '-l',
  allHosts: '--all-hosts',
  exclude: '-x',
  expect: '--expect',
  maxTargets: '--max-targets',
};

/**
 * For commands that do not select processes: throws FleetError USAGE when a scope option is given that `command` does
 * not honour. An option that is ignored in silence makes the answer a lie.
 */
export function refuseScope(
  { scope }: Context,
  command: string,
  honoured: readonly ScopeOption[],
): void {
  const given: Readonly<Record<ScopeOption, boolean>> = {
    hosts: scope.hosts.length > 0,
    labels: scope.labels.length > 0,
    allHosts: scope.allHosts,
    exclude: scope.exclude.length > 0,
    expect: scope.expect !== undefined,
    maxTargets: scope.maxTargets > 0,
  };
  const names = Object.keys(FLAGS) as ScopeOption[];
  const stray = names.find((name) => given[name] && !honoured.includes(name));
  if (stray === undefined) return;
  const flags = honoured.map((name) => FLAGS[name]).join(', ');
  throw new FleetError('USAGE', `${FLAGS[stray]} has no meaning for 'ctl ${command}'`, {
    hint: flags === '' ? 'leave it out' : `it takes ${flags}`,
  });
}

/** -H and -l as host patterns of the wire, where the patterns are alternatives. Throws FleetError USAGE for both. */
export function hostPatterns({ scope }: Context, command: string): string[] {
  if (scope.labels.length === 0) return scope.hosts.flatMap((text) => splitOutside(text, ','));
  if (scope.hosts.length === 0) return [`@${scope.labels.join('&')}`];
  throw new FleetError('USAGE', `'ctl ${command}' takes either -H or -l`, {
    hint: "write one of them, e.g. -l 'role=web&env=prod'",
  });
}

/** The group:process part to put after a host: `app` -> `app:app`, `all` -> `*:*`. */
function asPair(selector: string): string {
  if (selector === 'all') return '*:*';
  if (selector.endsWith(':')) return `${selector}*`;
  return selector.includes(':') ? selector : `${selector}:${selector}`;
}

/** `x: ERROR (no such process)` for each selector that could not be honoured. */
export function complainAbout(context: Context, problems: readonly SelectorIssue[]): void {
  for (const { selector, message } of problems) {
    context.out.complain(`${showControls(selector)}: ERROR (${message})`);
  }
}

/** The problems as the summary carries them. */
export function problemsJson(
  problems: readonly SelectorIssue[],
): readonly Readonly<Record<string, string>>[] {
  return problems.map(({ selector, message }) => ({ selector, message }));
}

/** A controller that has just started knows its hosts from its records; until each was heard, it says so. */
export function complainOfWarmUp(
  out: Output,
  answer: { readonly replica: string; readonly warmingUp: boolean },
  hosts: readonly HostHeader[],
): void {
  const unheard = hosts.filter(({ state }) => state === 'unknown' || state === 'joining');
  if (!answer.warmingUp || (hosts.length > 0 && unheard.length === 0)) return;
  const names = unheard.map(({ host }) => host).join(' ');
  const which = names === '' ? 'hosts may still be missing' : `not heard yet: ${names}`;
  out.complain(`controller ${answer.replica} has just started: ${which}`);
}
