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
