// The fixed order of everything the engine does, so that equal inputs give equal outputs (spec process 9).
import type { GroupSpec } from './types.js';

/** Groups by priority, then name (which is unique): the order of starting and of every listing. */
export function compareGroups(a: GroupSpec, b: GroupSpec): number {
  if (a.priority !== b.priority) return a.priority - b.priority;
  return a.name < b.name ? -1 : 1;
}

/** Order within a tier: descending process priority, the reverse of the start among equals. */
export function stopOrder<T>(startOrder: readonly T[], priority: (item: T) => number): T[] {
  return [...startOrder].reverse().sort((a, b) => priority(b) - priority(a));
}
