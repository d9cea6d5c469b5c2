// Unix paths as text, without touching a file system: what configuration readers need where Node modules are out of
// bounds. Invariant: results follow Python's os.path, e.g. exactly two leading slashes are kept.

/** Does the path begin at the root? */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith('/');
}

/** `path` below `base`, or `path` itself when it is absolute. */
export function joinPath(base: string, path: string): string {
  if (isAbsolutePath(path) || base === '') return path;
  return base.endsWith('/') ? base + path : `${base}/${path}`;
}

/** Folder and last part; the folder's trailing slashes are dropped unless it is all slashes. */
export function splitPath(path: string): readonly [folder: string, name: string] {
  const slash = path.lastIndexOf('/') + 1;
  const head = path.slice(0, slash);
  const trimmed = head.replace(/\/+$/, '');
  return [trimmed === '' ? head : trimmed, path.slice(slash)];
}

/** The folder part; empty for a bare name. */
export function folderOf(path: string): string {
  return splitPath(path)[0];
}

/** Absolute and without `.`, `..` and doubled slashes; symlinks are not followed. `cwd` must be absolute. */
export function normalizePath(cwd: string, path: string): string {
  const absolute = joinPath(cwd, path);
  const lead = absolute.startsWith('//') && !absolute.startsWith('///') ? '//' : '/';
  const parts: string[] = [];
  for (const part of absolute.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return lead + parts.join('/');
}
