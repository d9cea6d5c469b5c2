// A fingerprint of a host's rows, made alike by agent and controller, to find a view that differs from its host.
// Invariant: covers only what events carry, so equal cursors must give equal digests (spec fleet 6).
import { createHash } from 'node:crypto';
import type { ProcessRow } from './rows.js';

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * SHA-256 over `group:process state pid seq` lines in order of group, then process (code units).
 * The pid counts in RUNNING only: a child's pid becomes known after its STARTING event.
 */
export function digestRows(rows: Iterable<ProcessRow>): Uint8Array {
  const hash = createHash('sha256');
  const sorted = [...rows].sort((a, b) => order(a.group, b.group) || order(a.process, b.process));
  for (const row of sorted) {
    const pid = row.state === 'RUNNING' ? row.pid : 0;
    hash.update(`${row.group}:${row.process} ${row.state} ${pid} ${row.seq}\n`);
  }
  return hash.digest();
}
