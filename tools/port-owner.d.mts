// Types of port-owner.mjs, for its test.

export function portOwner(port: number): Promise<string | undefined>;
