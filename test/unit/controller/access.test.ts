// Who may do what: roles, scopes, and the fleet without any user section.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access, type Wish } from '../../../controller/access.js';
import { makeRow } from '../../support/rows.js';

const HOSTS = ['web1', 'db1'].map((host) => ({
  host,
  labels: new Map([['env', host === 'web1' ? 'staging' : 'prod']]),
  rows: [makeRow({ group: 'app', process: 'a' })],
}));
const on = (host: string) => ({ host, group: 'app', process: 'a' });

test('without any user section every user certificate may do everything', () => {
  const access = new Access(new Map());
  access.mayAtAll('anybody', 'operate');
  access.may('anybody', 'operate', [on('web1'), on('db1')], HOSTS);
});

test('with one, who is not named may do nothing, and is told the section that is missing', () => {
  const access = new Access(
    new Map([['anna', { grants: [{ role: 'admin', selector: '*:*:*' }] }]]),
  );
  access.mayAtAll('anna', 'operate');
  assert.throws(() => access.mayAtAll('eve', 'view'), {
    code: 'DENIED',
    message: /\[user:eve\]/,
  });
});

test('each role allows what it says', () => {
  const allowed = (role: 'viewer' | 'logs' | 'operator' | 'admin'): Wish[] => {
    const access = new Access(new Map([['u', { grants: [{ role, selector: '*:*:*' }] }]]));
    return (['view', 'logs', 'operate'] as const).filter((wish) => {
      try {
        access.mayAtAll('u', wish);
        return true;
      } catch {
        return false;
      }
    });
  };
  assert.deepEqual(allowed('viewer'), ['view']);
  assert.deepEqual(allowed('logs'), ['logs']);
  assert.deepEqual(allowed('operator'), ['view', 'logs', 'operate']);
  assert.deepEqual(allowed('admin'), ['view', 'logs', 'operate']);
});

test('one target outside the scope denies the whole command', () => {
  const grants = [{ role: 'operator', selector: '@env=staging:*:*' }] as const;
  const access = new Access(new Map([['u', { grants }]]));
  access.may('u', 'operate', [on('web1')], HOSTS);
  assert.throws(() => access.may('u', 'operate', [on('web1'), on('db1')], HOSTS), {
    code: 'DENIED',
    message: /db1:app:a/,
  });
});
