// Two ways of cutting text into words: a command line by POSIX quoting, and the older grammar of `environment=`.
// Both follow Python's shlex, in its two modes, character by character (spec config 8, 9). Pure.
import { FieldError } from './problems.js';

const SPACE = ' \t\r\n';
const NO_CLOSING = 'No closing quotation';

/**
 * A command line -> arguments: blanks separate, '…' is literal, in "…" a backslash escapes only " and \, elsewhere
 * the next character; no variables, globs or comments. Throws FieldError: no closing quotation, no escaped character.
 */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    let char = text[at] as string;
    if (quote === undefined && SPACE.includes(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) {
      quote = undefined;
    } else if (char === '\\' && quote !== "'") {
      char = text[++at] ?? '';
      if (char === '') throw new FieldError('No escaped character');
      const escapes = quote === undefined || char === '"' || char === '\\';
      word = (word ?? '') + (escapes ? char : `\\${char}`);
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== undefined) throw new FieldError(NO_CLOSING, 'close the quotation');
  if (word !== undefined) words.push(word);
  return words;
}

const WORD = /[A-Za-z0-9_/.+\-():]/;

/**
 * The tokens of `environment=`: words, quoted texts with their quotes, and single other characters. `#` outside
 * quotes skips the rest of its line. Throws FieldError for an unclosed quotation.
 */
export function splitWords(text: string): string[] {
  const tokens: string[] = [];
  const chars = [...text];
  let at = 0;
  const skipLine = (): void => {
    while (at < chars.length && chars[at] !== '\n') at++;
    at++;
  };
  while (at < chars.length) {
    const char = chars[at++] as string;
    if (SPACE.includes(char)) continue;
    if (char === '#') {
      skipLine();
    } else if (char === '"' || char === "'") {
      const end = chars.indexOf(char, at);
      if (end < 0) throw new FieldError(NO_CLOSING, 'close the quotation');
      tokens.push(chars.slice(at - 1, end + 1).join(''));
      at = end + 1;
    } else if (WORD.test(char)) {
      let word = char;
      for (let next = chars[at]; next !== undefined; next = chars[at]) {
        // A comment inside a word does not end it: the next line goes on with the same word.
        if (next === '#') skipLine();
        else if (WORD.test(next) || next === '"' || next === "'") word += chars[at++] as string;
        else break;
      }
      tokens.push(word);
    } else {
      tokens.push(char);
    }
  }
  return tokens;
}
