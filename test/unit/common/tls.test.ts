// Certificates as a program finds them at its start: what can be wrong, and that the error names the file.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FleetError } from '../../../common/errors.js';
import { readTls, type TlsFiles } from '../../../common/tls.js';
import { makeTestFleet, type TestFleet } from '../../support/certificates.js';

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();

let fleet: TestFleet;
let other: TestFleet;
let files: TlsFiles;

before(async () => {
  fleet = await makeTestFleet();
  other = await makeTestFleet('other');
  files = await fleet.files('host', 'web1');
});

after(() => {
  fleet.remove();
  other.remove();
});

function refused(change: Partial<TlsFiles>, pattern: RegExp, wallMs = NOW_MS): void {
  assert.throws(
    () => readTls({ ...files, ...change }, wallMs),
    (error) => {
      assert.ok(error instanceof FleetError);
      assert.equal(error.code, 'CONFIG_INVALID');
      assert.match(error.message, pattern);
      assert.match(error.hint, /ctl certs issue/);
      return true;
    },
  );
}

test('a certificate tells whom it names', () => {
  assert.deepEqual(readTls(files, NOW_MS).identity, { fleet: 'test', kind: 'host', name: 'web1' });
});

test('a missing file is named with what it should be', () => {
  refused({ key: '/nonexistent/k' }, /cannot read the private key \/nonexistent\/k: ENOENT/);
});

test('a file that is no certificate is named', () => {
  refused({ cert: files.key }, /web1\.key is not a certificate in PEM form/);
  refused({ ca: files.key }, /web1\.key is not a certificate in PEM form/);
});

test('a key of another certificate is refused with both names', async () => {
  const { key } = await fleet.files('host', 'web2');
  refused({ key }, /host-web1\.crt and .*host-web2\.key cannot be used together/);
});

test('a certificate of another authority is refused with both names', async () => {
  const { ca } = await other.files('host', 'web1');
  refused({ ca }, /host-web1\.crt was not issued by the certificate authority .*ca\.crt/);
});

test('one authority of a bundle is enough, whatever its place', async () => {
  const { ca } = await other.files('host', 'web1');
  const bundle = join(fleet.dir, 'bundle.crt');
  writeFileSync(bundle, readFileSync(ca, 'utf8') + readFileSync(files.ca, 'utf8'));
  assert.equal(readTls({ ...files, ca: bundle }, NOW_MS).identity.name, 'web1');
});

test('an expired certificate is refused with its end, one from the future with its beginning', () => {
  refused({}, /host-web1\.crt expired at \d{4}-/, NOW_MS + 5 * 366 * DAY_MS);
  refused({}, /host-web1\.crt is valid only from \d{4}-.* on/, NOW_MS - 5 * 366 * DAY_MS);
});
