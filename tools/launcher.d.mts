// Types of launcher.mjs, for its test.

export function launcher(program: {
  readonly name: string;
  readonly nodeFlags: readonly string[];
  readonly extraCaCerts: boolean;
}): string;
