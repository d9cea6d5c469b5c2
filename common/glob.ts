// Patterns over names: `*`, `?`, `[set]`, `{a,b}`, `{01..12}` and `\` (spec fleet 7, "pat").
// Invariants: pure; matching is linear in pattern times name, never exponential; braces expand to a bounded list.
import { FleetError } from './errors.js';

/** Most alternatives that one pattern's braces may stand for. */
export const ALTERNATIVES_MAX = 10_000;

/** A compiled pattern. */
export interface Pattern {
  /** The text as typed. */
  readonly text: string;
  /** The one name it stands for when it has no pattern character; escapes are resolved. */
  readonly literal: string | undefined;
  /** Is it exactly `*`? */
  readonly any: boolean;
  matches(name: string): boolean;
}

type Token =
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'many' }
  | {
      readonly kind: 'set';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [number, number])[];
    };
type Tokens = readonly Token[];

/**
 * Compiles a pattern. Throws FleetError BAD_SELECTOR for an empty pattern, a blank, an unclosed bracket or brace,
 * or braces that stand for more than ALTERNATIVES_MAX names.
 */
export function compilePattern(text: string): Pattern {
  const reader = new Reader(text);
  const alternatives = readSequence(reader, false);
  if (text === '') throw bad(text, 'is empty');
  if (!reader.sawPattern) {
    const literal = charsOf(alternatives[0] as Tokens) as string;
    return { text, literal, any: false, matches: (name) => name === literal };
  }
  if (text === '*') return { text, literal: undefined, any: true, matches: () => true };
  const names = new Set<string>();
  const globs: Tokens[] = [];
  for (const tokens of alternatives) {
    const chars = charsOf(tokens);
    if (chars === undefined) globs.push(tokens);
    else names.add(chars);
  }
  return {
    text,
    literal: undefined,
    any: false,
    matches: (name) => names.has(name) || globs.some((tokens) => matchTokens(tokens, name)),
  };
}

/** Splits at `separator` where it is neither escaped nor inside braces. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === '\\') {
      part += char + (text[++i] ?? '');
      continue;
    }
    if (char === '{') depth++;
    if (char === '}' && depth > 0) depth--;
    if (char === separator && depth === 0) {
      parts.push(part);
      part = '';
    } else {
      part += char;
    }
  }
  parts.push(part);
  return parts;
}

class Reader {
  readonly text: string;
  readonly chars: readonly string[];
  at = 0;
  sawPattern = false;

  constructor(text: string) {
    this.text = text;
    this.chars = [...text];
  }

  peek(): string | undefined {
    return this.chars[this.at];
  }

  next(): string | undefined {
    return this.chars[this.at++];
  }
}

function bad(text: string, why: string): FleetError {
  return new FleetError('BAD_SELECTOR', `pattern '${text}' ${why}`, {
    hint: "put a backslash before a character that is meant literally, and quotes around the whole ('web*')",
  });
}

/** Reads up to the end, or inside braces up to `,` or `}`. Returns the product of all alternatives seen. */
function readSequence(reader: Reader, inBraces: boolean): Tokens[] {
  let alternatives: Token[][] = [[]];
  const append = (token: Token): void => {
    for (const tokens of alternatives) tokens.push(token);
  };
  for (;;) {
    const char = reader.peek();
    if (char === undefined || (inBraces && (char === ',' || char === '}'))) return alternatives;
    reader.at++;
    if (char === '*' || char === '?') {
      reader.sawPattern = true;
      append(char === '*' ? { kind: 'many' } : { kind: 'one' });
    } else if (char === '[') {
      reader.sawPattern = true;
      append(readSet(reader));
    } else if (char === '{') {
      reader.sawPattern = true;
      alternatives = product(reader.text, alternatives, readBraces(reader));
    } else if (char === '\\') {
      const escaped = reader.next();
      if (escaped === undefined) throw bad(reader.text, 'ends in a backslash');
      append({ kind: 'char', char: escaped });
    } else if (/\s/.test(char)) {
      throw bad(reader.text, 'contains a blank');
    } else {
      append({ kind: 'char', char });
    }
  }
}

function product(text: string, left: readonly Tokens[], right: readonly Tokens[]): Token[][] {
  if (left.length * right.length > ALTERNATIVES_MAX) {
    throw bad(text, `stands for more than ${ALTERNATIVES_MAX} names`);
  }
  return left.flatMap((head) => right.map((tail) => [...head, ...tail]));
}

function readBraces(reader: Reader): Tokens[] {
  const all: Tokens[] = [];
  for (;;) {
    const start = reader.at;
    const alternatives = readSequence(reader, true);
    const end = reader.peek();
    if (end === undefined) throw bad(reader.text, "has a '{' without a '}'");
    const source = reader.chars.slice(start, reader.at).join('');
    if (source === '') throw bad(reader.text, 'has an empty alternative between braces');
    all.push(...(readRange(reader.text, source) ?? alternatives));
    if (all.length > ALTERNATIVES_MAX) {
      throw bad(reader.text, `stands for more than ${ALTERNATIVES_MAX} names`);
    }
    reader.at++;
    if (end === '}') return all;
  }
}

/** `01..12`: the numbers in between, with leading zeros kept to the width of the wider end. */
function readRange(text: string, source: string): Tokens[] | undefined {
  const match = /^(\d{1,9})\.\.(\d{1,9})$/.exec(source);
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  const from = Number(first);
  const to = Number(last);
  if (Math.abs(to - from) >= ALTERNATIVES_MAX) {
    throw bad(text, `stands for more than ${ALTERNATIVES_MAX} names`);
  }
  const padded = /^0\d/.test(first) || /^0\d/.test(last);
  const width = padded ? Math.max(first.length, last.length) : 1;
  const step = from <= to ? 1 : -1;
  const numbers: Tokens[] = [];
  for (let n = from; n !== to + step; n += step) {
    const digits = String(n).padStart(width, '0');
    numbers.push([...digits].map((char) => ({ kind: 'char', char }) as const));
  }
  return numbers;
}

function readSet(reader: Reader): Token {
  const negated = reader.peek() === '!' || reader.peek() === '^';
  if (negated) reader.at++;
  const ranges: (readonly [number, number])[] = [];
  for (let first = true; ; first = false) {
    const char = reader.next();
    if (char === undefined) throw bad(reader.text, "has a '[' without a ']'");
    if (char === ']' && !first) return { kind: 'set', negated, ranges };
    const low = setChar(reader, char);
    const dash = reader.peek() === '-';
    const after = reader.chars[reader.at + 1];
    if (dash && after !== undefined && after !== ']') {
      reader.at++;
      const high = setChar(reader, reader.next() as string);
      if (high < low) throw bad(reader.text, 'has a range that runs backwards');
      ranges.push([low, high]);
    } else {
      ranges.push([low, low]);
    }
  }
}

function setChar(reader: Reader, char: string): number {
  if (char !== '\\') return char.codePointAt(0) as number;
  const escaped = reader.next();
  if (escaped === undefined) throw bad(reader.text, 'ends in a backslash');
  return escaped.codePointAt(0) as number;
}

function charsOf(tokens: Tokens): string | undefined {
  let chars = '';
  for (const token of tokens) {
    if (token.kind !== 'char') return undefined;
    chars += token.char;
  }
  return chars;
}

/** Greedy with one point to go back to: the last `*`. That suffices for globs and is never exponential. */
function matchTokens(tokens: Tokens, name: string): boolean {
  const chars = [...name];
  let t = 0;
  let c = 0;
  let starToken = -1;
  let starChar = 0;
  while (c < chars.length) {
    const token = tokens[t];
    if (token?.kind === 'many') {
      starToken = t++;
      starChar = c;
    } else if (token !== undefined && matchOne(token, chars[c] as string)) {
      t++;
      c++;
    } else if (starToken >= 0) {
      t = starToken + 1;
      c = ++starChar;
    } else {
      return false;
    }
  }
  while (tokens[t]?.kind === 'many') t++;
  return t === tokens.length;
}

function matchOne(token: Token, char: string): boolean {
  switch (token.kind) {
    case 'char':
      return token.char === char;
    case 'one':
      return true;
    case 'set': {
      const code = char.codePointAt(0) as number;
      return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
    }
    case 'many':
      return false;
  }
}
