// Label matchers, as routes use them: `severity=critical,host!=db1`. Pure; all of a list must hold.

/** One condition on one label; an absent label is the empty text. */
export interface Matcher {
  readonly label: string;
  readonly op: '=' | '!=';
  readonly value: string;
}

const MATCHER = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(?:"([^"]*)"|([^\s",]*))\s*$/;

/** Most matchers in one list. */
export const MATCHERS_MAX = 32;

/** Reads a comma separated list; the answer is a text saying what is wrong when it cannot be read. */
export function parseMatchers(text: string): readonly Matcher[] | string {
  const items = text.trim() === '' ? [] : splitItems(text);
  if (items.length > MATCHERS_MAX) return `more than ${MATCHERS_MAX} matchers`;
  const matchers: Matcher[] = [];
  for (const item of items) {
    const [, label, op, quoted, plain] = MATCHER.exec(item) ?? [];
    if (label === undefined) return `not a matcher: ${item.trim() || '(empty)'}`;
    if (op !== '=' && op !== '!=') return `${op} is not supported in routes; use = or !=`;
    matchers.push({ label, op, value: quoted ?? plain ?? '' });
  }
  return matchers;
}

/** Do all matchers hold for these labels? An empty list matches everything. */
export function matchLabels(
  matchers: readonly Matcher[],
  labels: ReadonlyMap<string, string>,
): boolean {
  return matchers.every(
    ({ label, op, value }) => ((labels.get(label) ?? '') === value) === (op === '='),
  );
}

/** Splits at commas outside double quotes. */
function splitItems(text: string): string[] {
  const items: string[] = [''];
  let isQuoted = false;
  for (const char of text) {
    if (char === '"') isQuoted = !isQuoted;
    if (char === ',' && !isQuoted) items.push('');
    else items[items.length - 1] += char;
  }
  return items;
}
