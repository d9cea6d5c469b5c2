// What Supervisor 4.2.5 on Python 3.11 answered to random texts, kept in answers.jsonl: [kind, text, answer] a line.
// The dialect, the two word grammars, expansions and typed values must answer the same.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { expand } from '../../../common/expand.js';
import * as fields from '../../../common/fields.js';
import { emptyIni, readIni, type IniField } from '../../../common/ini.js';
import { plainWorld } from '../../../common/inifile.js';
import { splitCommand } from '../../../common/lexer.js';
import { FieldError } from '../../../common/problems.js';

type Answer = Record<string, unknown>;
const world = plainWorld({ HOME: '/home/test' });
const names = new Map<string, string | number>([
  ['num', 42],
  ['neg', -7],
  ['txt', "h\u00e9'llo"],
  ['a(b)', 'nest'],
  ['zero', 0],
  ['big', 123456789],
  ['ENV_X', 'x"y'],
]);

const pairs = (found: ReadonlyMap<string, IniField>): string[][] =>
  [...found.values()].map(({ key, value }) => [key, value]);

const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  env: (text) => fields.readEnvironment(text, world),
  cmd: splitCommand,
  exp: (text) => expand(text, [names], 'opt'),
  int: (text) => fields.readInteger(text, world),
  bool: (text) => fields.readBoolean(text, world),
  oct: (text) => fields.readOctal(text, world),
  bytes: (text) => fields.readBytes(text, world),
  sig: (text) => fields.readSignal(text, world).number,
  codes: (text) => fields.readExitCodes(text, world),
  list: (text) => fields.readList(text, world),
  inet(text) {
    const { host, port } = fields.readInetAddress(text, world);
    return [host, port];
  },
};

function readSections(text: string): Answer {
  const document = emptyIni();
  readIni(document, text, 'f.conf');
  const sections = [...document.sections.values()].map(({ name, fields: own }) => [
    name,
    pairs(own),
  ]);
  return { sections, defaults: pairs(document.defaults) };
}

function answer(kind: string, text: string): Answer {
  try {
    if (kind === 'ini') return readSections(text);
    const reader = READERS[kind];
    assert.ok(reader, `no reader for ${kind}`);
    return { value: reader(text) };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { error: error.message };
  }
}

const cases = readFileSync(new URL('answers.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as [kind: string, text: string, answer: Answer]);

for (const kind of new Set(cases.map(([name]) => name))) {
  test(`random texts are read as Supervisor reads them: ${kind}`, () => {
    for (const [, text, wanted] of cases.filter(([name]) => name === kind)) {
      assert.deepEqual(answer(kind, text), wanted, JSON.stringify(text));
    }
  });
}
