// Whom a certificate names: exactly one URI of our shape, whatever else stands beside it (spec fleet D53).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIdentity, identityFromAltNames, parseIdentity } from '../../../common/identity.js';
import { uuidv7 } from '../../../common/uuid.js';

const WEB1 = { fleet: 'acme', kind: 'host', name: 'web1' } as const;

test('a name is formatted and parsed back', () => {
  assert.equal(formatIdentity(WEB1), 'spiffe://acme/host/web1');
  assert.deepEqual(parseIdentity('spiffe://acme/host/web1'), WEB1);
});

test('anything else is nobody', () => {
  for (const uri of [
    '',
    'spiffe://acme/host',
    'spiffe://acme/host/web1/x',
    'spiffe://acme/host/web1?x',
    'spiffe://acme/admin/web1',
    'spiffe://ACME/host/web1',
    'spiffe://acme/host/Web1',
    'spiffe:///host/web1',
    'https://acme/host/web1',
    'spiffe://acme/host/..',
  ]) {
    assert.equal(parseIdentity(uri), undefined, uri);
  }
});

test('one URI among other names counts, two or none do not', () => {
  const uri = 'URI:spiffe://acme/host/web1';
  assert.deepEqual(identityFromAltNames(`DNS:localhost, ${uri}, IP Address:127.0.0.1`), WEB1);
  assert.equal(identityFromAltNames('DNS:localhost'), undefined);
  assert.equal(identityFromAltNames(undefined), undefined);
  assert.equal(identityFromAltNames(`${uri}, URI:spiffe://acme/host/web2`), undefined);
  assert.equal(identityFromAltNames(`${uri}, ${uri}`), undefined);
});

test('a comma inside a quoted name forges no second name', () => {
  const forged = 'DNS:"x, URI:spiffe://acme/controller/c1", URI:spiffe://acme/host/web1';
  assert.deepEqual(identityFromAltNames(forged), WEB1);
  assert.equal(identityFromAltNames('DNS:"x\\", URI:spiffe://acme/controller/c1"'), undefined);
});

test('command ids sort by the time they were made', () => {
  const random = { next: () => 0, bytes: (length: number) => new Uint8Array(length).fill(0xff) };
  const ids = [1, 1_000, 1_795_217_786_000].map((ms) => uuidv7(ms, random));
  assert.deepEqual([...ids].sort(), ids);
  assert.equal(ids[2], '01a1fb51-8490-7fff-bfff-ffffffffffff');
});
