// A fleet's certificates for tests: made once per call in a folder of its own, removed by `remove`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initAuthority, issueCertificate, LEAF_DAYS } from '../../cli/certs.js';
import type { IdentityKind } from '../../common/identity.js';
import { readTls, type TlsFiles, type TlsMaterial } from '../../common/tls.js';

export interface TestFleet {
  readonly dir: string;
  /** Issues on first use. */
  files(kind: IdentityKind, name: string): Promise<TlsFiles>;
  tls(kind: IdentityKind, name: string): Promise<TlsMaterial>;
  remove(): void;
}

/** A new authority for the fleet `name`. */
export async function makeTestFleet(name = 'test'): Promise<TestFleet> {
  const dir = mkdtempSync(join(tmpdir(), 'fleetvisor-certs-'));
  await initAuthority(dir, name, Date.now());
  const issued = new Map<string, TlsFiles>();
  const files = async (kind: IdentityKind, id: string): Promise<TlsFiles> => {
    const key = `${kind}-${id}`;
    let pair = issued.get(key);
    if (pair === undefined) {
      const options = { dir, kind, name: id, altNames: [], days: LEAF_DAYS, wallMs: Date.now() };
      pair = { ca: join(dir, 'ca.crt'), ...(await issueCertificate(options)) };
      issued.set(key, pair);
    }
    return pair;
  };
  return {
    dir,
    files,
    tls: async (kind, id) => readTls(await files(kind, id), Date.now()),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
