// Path patterns as `[include] files=` understands them: `*`, `?`, `[set]`; no braces, no `~`, no `**` (spec config 3).
// Pure: the file system is asked through a Listing. Results keep the pattern's own spelling of folders.
import { joinPath, splitPath } from '../../common/paths.js';

/** What matching needs to see of a file system. Nothing throws: what cannot be read does not exist. */
export interface Listing {
  /** Names in a folder; empty when it cannot be read. */
  names(folder: string): readonly string[];
  /** Is there anything at this path, a dangling link included? */
  exists(path: string): boolean;
  isDirectory(path: string): boolean;
}

const MAGIC = /[*?[]/;

/** Paths that match, in no particular order; a pattern without wildcards matches what exists. */
export function matchPaths(pattern: string, listing: Listing): string[] {
  const [folder, name] = splitPath(pattern);
  if (!MAGIC.test(pattern)) {
    const found = name === '' ? listing.isDirectory(folder) : listing.exists(pattern);
    return found ? [pattern] : [];
  }
  const folders = folder !== pattern && MAGIC.test(folder) ? matchPaths(folder, listing) : [folder];
  return folders.flatMap((parent) =>
    namesIn(parent, name, listing).map((found) => joinPath(parent, found)),
  );
}

function namesIn(folder: string, name: string, listing: Listing): readonly string[] {
  if (!MAGIC.test(name)) {
    const found =
      name === '' ? listing.isDirectory(folder) : listing.exists(joinPath(folder, name));
    return found ? [name] : [];
  }
  const test = namePattern(name);
  const hidden = name.startsWith('.');
  return listing
    .names(folder === '' ? '.' : folder)
    .filter((candidate) => (hidden || !candidate.startsWith('.')) && test.test(candidate));
}

/** One name's pattern as a regular expression; an unclosed `[` is an ordinary character. */
function namePattern(pattern: string): RegExp {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = String.fromCodePoint(pattern.codePointAt(at) as number);
    at += char.length - 1;
    if (char === '*') {
      // Neighbouring stars are one: each further one would only cost time.
      if (!source.endsWith('.*')) source += '.*';
    } else if (char === '?') {
      source += '.';
    } else if (char === '[') {
      const negated = pattern[at + 1] === '!';
      const start = at + (negated ? 2 : 1);
      const end = pattern.indexOf(']', start + 1);
      if (end < 0) {
        source += '\\[';
      } else {
        source += charSet(pattern.slice(start, end), negated);
        at = end;
      }
    } else {
      source += /[A-Za-z0-9_]/.test(char) ? char : codePoint(char);
    }
  }
  return new RegExp(`^(?:${source})$`, 'su');
}

/** `a-z_` as a set; a range that runs backwards is empty. */
function charSet(set: string, negated: boolean): string {
  const chars = [...set];
  let inside = '';
  for (let at = 0; at < chars.length; at++) {
    const from = chars[at] as string;
    const to = chars[at + 1] === '-' ? chars[at + 2] : undefined;
    if (to === undefined) {
      inside += codePoint(from);
    } else {
      at += 2;
      if (from <= to) inside += `${codePoint(from)}-${codePoint(to)}`;
    }
  }
  if (inside === '') return negated ? '.' : '(?!)';
  return `[${negated ? '^' : ''}${inside}]`;
}

function codePoint(char: string): string {
  return `\\u{${(char.codePointAt(0) as number).toString(16)}}`;
}
