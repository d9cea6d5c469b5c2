// Reading sections by their tables: defaults, problems with places, near names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyIni, readIni } from '../../../common/ini.js';
import { plainWorld } from '../../../common/inifile.js';
import { readBoolean, readInteger } from '../../../common/fields.js';
import { formatProblems, Problems } from '../../../common/problems.js';
import {
  exactly,
  field,
  nearestName,
  refuseUnknown,
  SectionReader,
} from '../../../common/sections.js';

const TABLE = {
  autostart: field(readBoolean, true, 'true', 'start'),
  priority: field(readInteger, 999, '999', 'order'),
};

function open(text: string) {
  const document = emptyIni();
  readIni(document, text, 'x.conf');
  const problems = new Problems();
  const context = { document, problems, world: plainWorld({}) };
  const section = document.sections.get('s');
  assert.ok(section);
  const names = [new Map([['here', '/etc']])];
  return {
    problems,
    document,
    reader: new SectionReader(context, section, TABLE, names, ' SUFFIX'),
  };
}

test('an absent key has its default', () => {
  const { reader } = open('[s]\n');
  assert.equal(reader.get('priority'), 999);
  assert.equal(reader.failed, false);
});

test('a wrong value is collected with its place, and reading goes on', () => {
  const { reader, problems } = open('[s]\nautostart=maybe\n\npriority=%(nope)s\n');
  assert.equal(reader.get('autostart'), true);
  assert.equal(reader.get('priority'), 999);
  assert.equal(reader.failed, true);
  assert.deepEqual(
    problems.list.map(({ file, line, section, key, text }) => [file, line, section, key, text]),
    [
      ['x.conf', 2, 's', 'autostart', "not a valid boolean value: 'maybe' SUFFIX"],
      [
        'x.conf',
        4,
        's',
        'priority',
        "Format string '%(nope)s' for 's.priority' contains names ('nope') which cannot be expanded. " +
          'Available names: here SUFFIX',
      ],
    ],
  );
});

test('one place is blamed once', () => {
  const { reader, problems } = open('[s]\nautostart=maybe\n');
  reader.get('autostart');
  reader.fail('autostart', 'something else');
  assert.equal(problems.list.length, 1);
});

test("a refused file prints Supervisor's two lines, then every problem with its place", () => {
  const { reader, problems } = open('[s]\nautostart=maybe\npriority=high\n');
  reader.get('autostart');
  reader.get('priority');
  assert.deepEqual(formatProblems(problems.list, 'fleetvisor-agent').split('\n'), [
    "Error: not a valid boolean value: 'maybe' SUFFIX",
    'For help, use fleetvisor-agent -h',
    "x.conf:2: [s] autostart: not a valid boolean value: 'maybe' SUFFIX (write true or false)",
    "x.conf:3: [s] priority: invalid literal for int() with base 10: 'high' SUFFIX (give a whole number, e.g. 10)",
    '',
  ]);
});

test('a misspelt name is near the one that was meant', () => {
  const known = ['autostart', 'autorestart', 'startsecs', 'command', 'user'];
  assert.equal(nearestName('comand', known), 'command');
  assert.equal(nearestName('autosart', known), 'autostart');
  assert.equal(nearestName('stratsecs', known), 'startsecs');
  assert.equal(nearestName('colour', known), undefined);
});

test('our own files refuse unknown sections and keys', () => {
  const { document, problems } = open('[s]\nprioritty=1\n[t]\n');
  refuseUnknown(document, [exactly('s', TABLE)], problems);
  assert.deepEqual(
    problems.list.map(({ line, key, text, advice }) => [line, key, text, advice]),
    [
      [2, 'prioritty', 'unknown key', 'did you mean priority?'],
      [3, undefined, 'unknown section [t]', undefined],
    ],
  );
});
