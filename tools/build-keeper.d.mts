// Types of build-keeper.mjs, for the tests that build variants of the keeper.

export function buildKeeper(outDir: string): Promise<string>;
export function compileKeeper(
  program: string,
  preferred: readonly string[],
  flags: readonly string[],
): Promise<void>;
