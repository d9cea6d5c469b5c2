// Who gets in: Basic credentials, strangers on the network, other people's web pages.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { authorize, isForeignPage, isOpenToStrangers } from '../../../../agent/local/auth.js';
import type { InetServerConfig } from '../../../../agent/config/types.js';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const plain = { username: 'ann', password: 'se:cret' };
const hashed = {
  username: 'ann',
  password: `{SHA}${createHash('sha1').update('se:cret').digest('hex')}`,
};

test('the right name and password get in, everything else does not', () => {
  for (const credentials of [plain, hashed]) {
    assert.equal(authorize(basic('ann:se:cret'), credentials), 'ok');
    assert.equal(authorize(basic('ann:se:cret').replace('Basic', 'BASIC'), credentials), 'ok');
    assert.equal(authorize(basic('ann:wrong'), credentials), 'unauthorized');
    assert.equal(authorize(basic('bob:se:cret'), credentials), 'unauthorized');
    assert.equal(authorize(basic('ann'), credentials), 'unauthorized');
    assert.equal(authorize(undefined, credentials), 'unauthorized');
    assert.equal(authorize('Digest x', credentials), 'unauthorized');
    assert.equal(authorize('Basic !!', credentials), 'bad-request');
  }
  assert.equal(authorize(basic(`ann:${hashed.password}`), hashed), 'unauthorized');
});

test('without a user name everyone gets in', () => {
  assert.equal(authorize(undefined, undefined), 'ok');
  assert.equal(authorize('Digest x', { username: '', password: '' }), 'ok');
});

const inet = (host: string, more: Partial<InetServerConfig> = {}): InetServerConfig => ({
  family: 'inet',
  section: 'inet_http_server',
  name: undefined,
  credentials: undefined,
  host,
  port: 9001,
  insecureRemote: false,
  ...more,
});

test('TCP beyond loopback without a password is open to strangers', () => {
  assert.equal(isOpenToStrangers(inet('')), true);
  assert.equal(isOpenToStrangers(inet('10.0.0.1')), true);
  assert.equal(isOpenToStrangers(inet('127.0.0.1')), false);
  assert.equal(isOpenToStrangers(inet('localhost')), false);
  assert.equal(isOpenToStrangers(inet('', { insecureRemote: true })), false);
  assert.equal(isOpenToStrangers(inet('', { credentials: plain })), false);
});

test('pages of other sites are refused, programs are not', () => {
  const headers = { origin: undefined, fetchSite: undefined, host: 'h:1', contentType: undefined };
  assert.equal(isForeignPage(headers), false);
  const xml = { ...headers, contentType: 'text/xml; charset=utf-8' };
  assert.equal(isForeignPage({ ...xml, origin: 'http://h:1' }), false);
  assert.equal(isForeignPage({ ...xml, origin: 'http://evil' }), true);
  assert.equal(isForeignPage({ ...xml, fetchSite: 'cross-site' }), true);
  assert.equal(
    isForeignPage({ ...headers, origin: 'http://h:1', contentType: 'text/plain' }),
    true,
  );
});
