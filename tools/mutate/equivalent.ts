// Mutants that change nothing anyone could see, each with the reason. They do not count.
// A line that no longer names a surviving mutant is reported, so the list cannot rot.

export interface Equivalent {
  readonly file: string;
  /** As `npm run mutate` prints it. */
  readonly what: string;
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: 'agent/engine/engine.ts',
    what: '1 -> (1 + 1)',
    reason: 'the first token may be any number',
  },
  {
    file: 'agent/engine/deadlines.ts',
    what: 'return; -> {}',
    reason: 'the same moment twice in the heap is taken once',
  },
  {
    file: 'agent/engine/deadlines.ts',
    what: 'above.dueMs <= entry.dueMs -> (above.dueMs < entry.dueMs)',
    reason: 'equal moments may stand in any order',
  },
  {
    file: 'agent/engine/deadlines.ts',
    what: 'right.dueMs < (heap[child] as Entry).dueMs -> (right.dueMs <= (heap[child] as Entry).dueMs)',
    reason: 'equal moments may stand in any order',
  },
  {
    file: 'agent/engine/deadlines.ts',
    what: 'below.dueMs >= last.dueMs -> (below.dueMs > last.dueMs)',
    reason: 'equal moments may stand in any order',
  },
  {
    file: 'agent/engine/groups.ts',
    what: 'return; -> {}',
    reason: 'a group that has not moved would only be put where it is',
  },
  {
    file: 'agent/engine/groups.ts',
    what: 'compareGroups(other.spec, group.spec) < 0 -> (compareGroups(other.spec, group.spec) <= 0)',
    reason: 'no two groups compare as equal',
  },
  {
    file: 'agent/engine/groups.ts',
    what: '0 -> (0 + 1)',
    reason: 'a comparison is never between 0 and 1',
  },
  {
    file: 'agent/engine/order.ts',
    what: 'a.name < b.name -> (a.name <= b.name)',
    reason: 'names of groups are unique',
  },
  {
    file: 'agent/engine/order.ts',
    what: '1 -> (1 + 1)',
    reason: 'only the sign of a comparison counts',
  },
];
