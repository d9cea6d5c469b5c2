// Makes a folder with its parents, and fails where nothing can be made.
// Node's own recursive form spins for ever below folders such as /proc, which answer ENOENT to every mkdir.
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** `mode` is for every folder that is made; one that is there stays as it is. Throws the system's error. */
export function makeFolder(path: string, mode: number): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path), mode);
  mkdirSync(path, { mode });
}
