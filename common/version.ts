// The product's version, from package.json: the build puts it in; run from source it is not a release.

declare const FLEETVISOR_VERSION: string | undefined;

/** The version that `--version` prints and the wire carries, e.g. `0.1.0`. */
export const VERSION: string =
  typeof FLEETVISOR_VERSION === 'string' ? FLEETVISOR_VERSION : '0.0.0-source';
