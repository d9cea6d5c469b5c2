// What one selector says: its parts, host and label expressions (spec fleet 7). selector.ts resolves them.
// Invariants: pure; a three-part form never has an empty part, so an unset variable cannot widen it (D26a).
import { FleetError } from './errors.js';
import { compilePattern, splitOutside, type Pattern } from './glob.js';
import { isLabelKey } from './names.js';

/** A parsed selector. Host undefined: the host scope decides. */
export interface Selector {
  readonly text: string;
  readonly negated: boolean;
  readonly host: HostMatcher | undefined;
  readonly form: 'all' | 'one' | 'two';
  readonly group: Pattern | undefined;
  readonly process: Pattern | undefined;
  /** Names exactly one process or group, so matching nothing is a typing error. */
  readonly literal: boolean;
}

/** Hosts that an expression means. */
export interface HostMatcher {
  readonly text: string;
  readonly literal: string | undefined;
  matches(host: string, labels: ReadonlyMap<string, string>): boolean;
}

/** Does this text have the three-part form `host:group:process`, so that it needs no host scope? */
export function isThreePart(selector: string): boolean {
  return splitOutside(stripNegation(selector), ':').length === 3;
}

/**
 * What -H means: the hosts that a pattern or `@labels` names, and whether it is one name without pattern.
 * Throws FleetError BAD_SELECTOR.
 */
export function compileHost(text: string): HostMatcher {
  if (text.startsWith('@')) {
    const holds = compileLabels(text.slice(1));
    return { text, literal: undefined, matches: (_host, labels) => holds(labels) };
  }
  const pattern = compilePattern(text.toLowerCase());
  return { text, literal: pattern.literal, matches: (host) => pattern.matches(host.toLowerCase()) };
}

/** `role=web&env!=prod&!canary`; a host without the key satisfies `!=`. Throws FleetError BAD_SELECTOR. */
export function compileLabels(text: string): (labels: ReadonlyMap<string, string>) => boolean {
  const tests = splitOutside(text, '&').map((term) => compileLabel(term, text));
  return (labels) => tests.every((test) => test(labels));
}

function compileLabel(
  term: string,
  whole: string,
): (labels: ReadonlyMap<string, string>) => boolean {
  const match = /^(!?)([^=!]*)(?:(!?=)(.*))?$/s.exec(term);
  const [, not = '', key = '', operator, value = ''] = match ?? [];
  if (!isLabelKey(key) || (not !== '' && operator !== undefined)) {
    throw new FleetError('BAD_SELECTOR', `label expression '${whole}' is not understood`, {
      hint: 'write key, !key, key=pattern or key!=pattern, joined by &',
    });
  }
  if (operator === undefined) return (labels) => labels.has(key) === (not === '');
  const pattern = compilePattern(value);
  const matches = (labels: ReadonlyMap<string, string>): boolean => {
    const present = labels.get(key);
    return present !== undefined && pattern.matches(present);
  };
  return operator === '=' ? matches : (labels) => !matches(labels);
}

/** The selector without a leading `!`. */
export function stripNegation(text: string): string {
  return text.startsWith('!') ? text.slice(1) : text;
}

/** Parses one selector. Throws FleetError BAD_SELECTOR with the reason. */
export function parseSelector(text: string, negated: boolean): Selector {
  const parts = splitOutside(text, ':');
  const fail = (why: string, hint = ''): FleetError =>
    new FleetError('BAD_SELECTOR', `selector '${text}' ${why}`, { hint });
  if (parts.length > 3) {
    throw fail(
      'has more than three parts',
      'a selector is process, group:process or host:group:process',
    );
  }
  if (parts.length === 3 && parts.includes('')) {
    // An unset shell variable must not widen a selector to everything (D26a).
    throw fail('has an empty part', "write '*' where everything is meant");
  }
  if (parts.length === 2 && parts[0] === '') throw fail('has an empty group');
  if (parts.length === 1 && text === 'all') {
    return {
      text,
      negated,
      host: undefined,
      form: 'all',
      group: undefined,
      process: undefined,
      literal: false,
    };
  }
  if (parts.length === 1) {
    if (text === '') throw fail('is empty');
    const process = compilePattern(text);
    const group = process.literal === undefined ? undefined : process;
    const literal = process.literal !== undefined;
    return { text, negated, host: undefined, form: 'one', group, process, literal };
  }
  const [processText = '', groupText = '', hostText] = [...parts].reverse();
  const group = compilePattern(groupText);
  const process = compilePattern(processText === '' ? '*' : processText);
  const host = hostText === undefined ? undefined : compileHost(hostText);
  const hostLiteral = host === undefined || host.literal !== undefined;
  const literal =
    hostLiteral && group.literal !== undefined && (process.literal !== undefined || process.any);
  return { text, negated, host, form: 'two', group, process, literal };
}

/** The text read as Supervisor always read it: first colon splits, an empty process or `*` is the whole group. */
export function uninterpreted(
  text: string,
): (row: { readonly group: string; readonly process: string }) => boolean {
  const colon = text.indexOf(':');
  if (colon < 0) return (row) => row.process === text && row.group === text;
  const group = text.slice(0, colon);
  const process = text.slice(colon + 1);
  if (process === '' || process === '*') return (row) => row.group === group;
  return (row) => row.group === group && row.process === process;
}
