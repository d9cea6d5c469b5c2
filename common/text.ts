// Python's idea of blanks, order and quoting: Supervisor's files are trimmed, sorted and quoted in messages by it.
// Works on code points, not on UTF-16 units. Imports nothing.

const BLANK =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const BLANK_ONE = new RegExp(`^${BLANK}$`);
const BLANKS = new RegExp(`${BLANK}+`);
const UNPRINTABLE = /[\p{C}\p{Z}]/u;

/** Is this one character white space to Python? U+FEFF is not, U+0085 and U+001C..U+001F are. */
export function isBlank(char: string): boolean {
  // Most characters asked about are printable ASCII, for which the expression would only cost time.
  if (char > ' ' && char <= '~') return false;
  return char === ' ' || BLANK_ONE.test(char);
}

/** Removes white space from both ends. */
export function trimBlanks(text: string): string {
  let start = 0;
  while (start < text.length && isBlank(text[start] as string)) start++;
  return trimBlanksEnd(start === 0 ? text : text.slice(start));
}

/** Removes white space from the end; linear also for long runs of blanks inside. */
export function trimBlanksEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** Splits at runs of white space; no empty pieces. */
export function splitBlanks(text: string): string[] {
  return text.split(BLANKS).filter((piece) => piece !== '');
}

/** Orders by code points, as Python sorts text. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  let i = 0;
  while (i < a.length && i < b.length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  const x = a.codePointAt(i) ?? -1;
  const y = b.codePointAt(i) ?? -1;
  // A difference inside a surrogate pair leaves two low surrogates, whose order is that of their code points.
  return x - y;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** The text in quotes as Supervisor's messages show it (spec config, REPR). */
export function quoteText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let quoted = '';
  for (const char of text) {
    if (char === quote) quoted += `\\${char}`;
    else if (char in SHORT_ESCAPES) quoted += SHORT_ESCAPES[char];
    else if (char !== ' ' && UNPRINTABLE.test(char)) quoted += escapeCodePoint(char);
    else quoted += char;
  }
  return quote + quoted + quote;
}

/** `\x1b`, `\u2028` or `\U0001f600` for one character. */
export function escapeCodePoint(char: string): string {
  const code = char.codePointAt(0) as number;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
