// Mutants that change nothing anyone could see, each with the reason. They do not count.
// A line that no longer names a surviving mutant is reported, so the list cannot rot.

export interface Equivalent {
  readonly file: string;
  /** As `npm run mutate` prints it. */
  readonly what: string;
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [];
