// The private authority: what it writes, how it protects it, what it refuses. Handshakes are in rpc.test.ts.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { initAuthority, issueCertificate, LEAF_DAYS, showCertificate } from '../../../cli/certs.js';
import { readTls } from '../../../common/tls.js';
import { temporaryFolder } from '../../support/folders.js';

const DAY_MS = 86_400_000;
const cleaners: (() => Promise<void>)[] = [];
let dir = '';
const nowMs = Date.now();
const issue = (name: string, more: { days?: number; dir?: string; kind?: 'host' | 'user' } = {}) =>
  issueCertificate({
    dir,
    kind: 'host',
    name,
    altNames: [],
    days: LEAF_DAYS,
    wallMs: nowMs,
    ...more,
  });

before(async () => {
  dir = join(await temporaryFolder({ after: (clean) => void cleaners.push(clean) }), 'certs');
  await initAuthority(dir, 'acme', nowMs);
});
after(async () => {
  for (const clean of cleaners) await clean();
});

test('an authority for ten years and a certificate for one, keys for the owner alone', async () => {
  const files = await issueCertificate({
    dir,
    kind: 'host',
    name: 'web1',
    altNames: ['web1.example', '127.0.0.1', '::1'],
    days: LEAF_DAYS,
    wallMs: nowMs,
  });
  const leaf = new X509Certificate(readFileSync(files.cert));
  const authority = new X509Certificate(readFileSync(join(dir, 'ca.crt')));
  assert.ok(leaf.verify(authority.publicKey));
  assert.ok(authority.ca && !leaf.ca);
  assert.match(
    leaf.subjectAltName ?? '',
    /URI:spiffe:\/\/acme\/host\/web1, DNS:web1.example, IP Address:127/,
  );
  assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  const info = await showCertificate(files.cert);
  assert.deepEqual(info.identity, { fleet: 'acme', kind: 'host', name: 'web1' });
  assert.equal(Math.round((info.notAfterMs - nowMs) / DAY_MS), 365);
  assert.equal(Math.round((Date.parse(authority.validTo) - nowMs) / DAY_MS), 3650);
  for (const key of [files.key, join(dir, 'ca.key')])
    assert.equal(statSync(key).mode & 0o777, 0o600);
});

test('nothing is overwritten', async () => {
  await assert.rejects(initAuthority(dir, 'acme', nowMs), {
    code: 'USAGE',
    message: /ca.key exists already/,
  });
  const first = await issue('web2');
  const key = readFileSync(first.key);
  await assert.rejects(issue('web2'), { code: 'USAGE', message: /exists already/ });
  assert.deepEqual(readFileSync(first.key), key);
});

test('names that could not be a host, unreasonable lengths and a missing authority are refused', async () => {
  for (const name of ['Web3', '', '../x', 'a/b', 'x y', '-a']) {
    await assert.rejects(issue(name), { code: 'USAGE' }, name);
  }
  for (const days of [0, 1.5, 5000])
    await assert.rejects(issue('web3', { days }), { code: 'USAGE' });
  await assert.rejects(issue('web3', { dir: join(dir, 'nope') }), { hint: /certs init/ });
  await assert.rejects(initAuthority(join(dir, 'x'), 'Not A Fleet', nowMs), { code: 'USAGE' });
  assert.ok(!existsSync(join(dir, 'x')));
});

test('a program refuses a certificate that cannot work, naming the file', async () => {
  const ca = join(dir, 'ca.crt');
  const one = await issue('one', { days: 1 });
  const two = await issue('two');
  assert.equal(readTls({ ca, ...one }, nowMs).identity.name, 'one');
  const refused = (
    files: { ca: string; cert: string; key: string },
    at: number,
    message: RegExp,
  ): void => assert.throws(() => readTls(files, at), { code: 'CONFIG_INVALID', message });
  refused(
    { ca, cert: one.cert, key: two.key },
    nowMs,
    /host-one.crt and .*host-two.key cannot be used together/,
  );
  refused({ ca, ...one }, nowMs + 2 * DAY_MS, /host-one.crt expired at/);
  refused({ ca, ...one }, nowMs - DAY_MS, /host-one.crt is valid only from/);
  refused({ ca, cert: ca, key: join(dir, 'ca.key') }, nowMs, /exactly one name/);
  refused({ ca: join(dir, 'nope'), ...one }, nowMs, /cannot read the certificate authority .*nope/);
  refused({ ca: one.key, ...one }, nowMs, /host-one.key is not a certificate/);
});
