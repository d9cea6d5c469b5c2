// Accounts from files and from name services, with the machine replaced by texts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openUserDatabase, type AccountSource } from '../../../agent/users.js';

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/usr/sbin/nologin\n';
const GROUP = 'root:x:0:\nwww:x:34:\nlogs:x:4:op,www\nssl:x:110:www\n';

/** A machine with these files and these answers of commands; records what was run. */
function machine(
  nsswitch: string,
  answers: Readonly<Record<string, string>> = {},
): { source: AccountSource; ran: string[] } {
  const files: Record<string, string> = {
    '/etc/nsswitch.conf': nsswitch,
    '/etc/passwd': PASSWD,
    '/etc/group': GROUP,
  };
  const ran: string[] = [];
  return {
    ran,
    source: {
      file: (path) => files[path] ?? '',
      command(name, args) {
        const line = [name, ...args].join(' ');
        ran.push(line);
        return answers[line];
      },
    },
  };
}

test('where only files are configured nothing is run', () => {
  const { source, ran } = machine('passwd: files\ngroup: files\n');
  const users = openUserDatabase(source);
  const www = users.userByName('www');
  assert.deepEqual(www, { name: 'www', uid: 33, gid: 34, home: '/var/www' });
  assert.equal(users.userById(33)?.name, 'www');
  assert.equal(users.userByName('nobody-here'), undefined);
  assert.equal(users.groupByName('ssl'), 110);
  assert.equal(users.hasGroup(4), true);
  assert.deepEqual(ran, []);
});

test('a user is in the primary group first, then in every group that lists the name', () => {
  const { source } = machine('');
  const users = openUserDatabase(source);
  const www = users.userByName('www');
  assert.ok(www);
  assert.deepEqual(users.groupsOf(www), [34, 4, 110]);
});

test('what the files do not have is asked of the name services, once', () => {
  const { source, ran } = machine('passwd: files sss\ngroup: files sss\n', {
    'getent passwd ldapuser': 'ldapuser:*:5000:5001:L:/home/l:/bin/sh\n',
    'id -G -- ldapuser': '5001 5002 4\n',
  });
  const users = openUserDatabase(source);
  assert.equal(users.userByName('www')?.uid, 33);
  assert.deepEqual(ran, []);
  const user = users.userByName('ldapuser');
  assert.equal(users.userByName('ldapuser')?.uid, 5000);
  assert.ok(user);
  assert.deepEqual(users.groupsOf(user), [5001, 5002, 4]);
  assert.deepEqual(ran, ['getent passwd ldapuser', 'id -G -- ldapuser']);
});

test('a service that comes before the files is asked first, and the files when it has no answer', () => {
  const { source } = machine('passwd: sss files\n', {
    'getent passwd www': 'www:*:9033:9034::/srv:/bin/sh\n',
  });
  const users = openUserDatabase(source);
  assert.equal(users.userByName('www')?.uid, 9033);
  assert.equal(users.userByName('root')?.uid, 0);
});

test('what cannot be a name is not asked for', () => {
  const { source, ran } = machine('passwd: sss\n');
  const users = openUserDatabase(source);
  for (const name of ['', 'a:b', '-x', 'a b']) assert.equal(users.userByName(name), undefined);
  assert.deepEqual(ran, []);
});
