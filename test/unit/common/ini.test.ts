// The dialect, one rule a case; random texts are in answers.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyIni, findField, IniError, readIni, type IniDocument } from '../../../common/ini.js';

function read(...texts: string[]): IniDocument {
  const document = emptyIni();
  texts.forEach((text, index) => readIni(document, text, `${index}.conf`));
  return document;
}

function value(document: IniDocument, section: string, key: string): string | undefined {
  const found = document.sections.get(section);
  return found === undefined ? undefined : findField(document, found, key)?.value;
}

const VALUES: readonly (readonly [what: string, text: string, wanted: string])[] = [
  ['a colon delimits too', 'k: /bin/cat', '/bin/cat'],
  ['the first delimiter counts', 'k = a=b:c', 'a=b:c'],
  ['keys are lower-cased', 'K=v', 'v'],
  ['quotes stay', 'k="v"', '"v"'],
  ['true stays text', 'k=true', 'true'],
  ['a comment needs white space before it', 'k=a;b#c ; d', 'a;b#c'],
  ['a value may begin with a semicolon', 'k=;x', ';x'],
  ['a value may be only a comment', 'k= ;x', ''],
  ['quotes do not protect a semicolon', 'k=sh -c "a ; b"', 'sh -c "a'],
  ['an indented line continues', 'k=a\n  b=c', 'a\nb=c'],
  ['an indented header continues', 'k=a\n [x]', 'a\n[x]'],
  ['a blank line stays inside a value', 'k=a\n\n b', 'a\n\nb'],
  ['blank lines at the end are dropped', 'k=a\n\n\n', 'a'],
  ['a comment line inside a value is dropped', 'k=a\n ; no\n b', 'a\nb'],
  ['the last key wins', 'k=a\nk=b', 'b'],
  ['CRLF ends a line', 'k=a\r\n', 'a'],
  ['a lone CR ends a line', 'k=a\rk2=b', 'a'],
  ['backslashes stay', 'k=a\\;b \\# \\\\', 'a\\;b \\# \\\\'],
  ['line separators of other kinds stay', 'k=a\u2028b', 'a\u2028b'],
];

for (const [what, text, wanted] of VALUES) {
  test(what, () => {
    assert.equal(value(read(`[s]\n${text}`), 's', 'k'), wanted);
  });
}

test('a section name reaches to the last bracket', () => {
  assert.deepEqual(
    [...read('[program:a]b] ; c\n[x] y]\n').sections.keys()],
    ['program:a]b', 'x] y'],
  );
});

test('sections of one name merge across files and remember their first place', () => {
  const document = read('[a]\nx=1\n', '[b]\n\n[a]\nx=2\ny=3\n');
  const section = document.sections.get('a');
  assert.deepEqual([section?.file, section?.line], ['0.conf', 1]);
  assert.deepEqual(
    [...(section?.fields.values() ?? [])].map(({ key, value: text, file, line }) => [
      key,
      text,
      file,
      line,
    ]),
    [
      ['x', '2', '1.conf', 4],
      ['y', '3', '1.conf', 5],
    ],
  );
});

test('keys of [DEFAULT] are what other sections fall back to', () => {
  const document = read('[DEFAULT]\nk=d\n[a]\n[b]\nk=own\n');
  assert.equal(value(document, 'a', 'k'), 'd');
  assert.equal(value(document, 'b', 'k'), 'own');
  assert.equal(document.sections.has('DEFAULT'), false);
});

test('each part of a continued value knows its line', () => {
  const field = read('[s]\nk=a\n; c\n b\n\n c\n').sections.get('s')?.fields.get('k');
  assert.deepEqual(field?.partLines, [2, 4, 5, 6]);
});

test('every line without a key is named, and the document stays as it was', () => {
  const document = read('[a]\nx=1\n');
  assert.throws(
    () => readIni(document, '[a]\nx=2\nnonsense\n=v\n', 'bad.conf'),
    (error) => {
      assert.ok(error instanceof IniError);
      assert.deepEqual(error.badLines, [3, 4]);
      assert.equal(
        error.message,
        "Source contains parsing errors: 'bad.conf'\n\t[line  3]: 'nonsense\\n'\n\t[line  4]: '=v\\n'",
      );
      return true;
    },
  );
  assert.equal(value(document, 'a', 'x'), '1');
});

test('a line before any header is an error', () => {
  assert.throws(() => read('; c\nk=v\n'), {
    message: "File contains no section headers.\nfile: '0.conf', line: 2\n'k=v\\n'",
  });
});

test('a byte order mark is part of the first line', () => {
  assert.throws(() => read('\ufeff[a]\n'), /no section headers.*'\\ufeff\[a\]\\n'/s);
});

test('keys that mean something to JavaScript are only keys', () => {
  const document = read('[s]\n__proto__=a\nconstructor=b\nfoo[]=c\n');
  assert.deepEqual(
    [...(document.sections.get('s')?.fields.keys() ?? [])],
    ['__proto__', 'constructor', 'foo[]'],
  );
});
