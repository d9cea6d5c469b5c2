// Types of marked.mjs, for the tests that start whole fleets.

export const MARK: string;
export function listMarked(mark: string): Promise<{ pid: number; command: string }[]>;
export function send(pid: number, signal: NodeJS.Signals): void;
export function waitUntil(
  check: () => boolean | Promise<boolean>,
  limitMs: number,
): Promise<boolean>;
export function endMarked(
  mark: string,
  graceMs?: number,
): Promise<{ pid: number; command: string }[]>;
