// A stand-in for `node:test` that only collects: enough for tests that are plain synchronous functions.

interface Collected {
  readonly name: string;
  readonly run: () => unknown;
}

const collected: Collected[] = [];
let prefix = '';

export function describe(name: string, body: () => void): void {
  const outer = prefix;
  prefix = `${prefix}${name}: `;
  body();
  prefix = outer;
}

export function test(name: string, run: () => unknown): void {
  collected.push({ name: `${prefix}${name}`, run });
}

/** The tests so far, in order. */
export function takeTests(): readonly Collected[] {
  return collected;
}
