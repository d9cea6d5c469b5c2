// XML-RPC in all four directions: the exact text, the round trip, what is refused (spec xmlrpc 3, 9).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPlainCall, readPlainResponse } from '../../../common/xmlrpc-plain.js';
import {
  decodeCall,
  decodeResponse,
  encodeCall,
  encodeFault,
  encodeResponse,
  XmlFormatError,
  type XmlValue,
} from '../../../common/xmlrpc.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const call = (params: string): string =>
  `<?xml version="1.0"?><methodCall><methodName>a.b</methodName><params>${params}</params></methodCall>`;
const param = (value: string): XmlValue | undefined =>
  decodeCall(bytes(call(`<param><value>${value}</value></param>`))).params[0];

test('the text has the length that was captured from the original', () => {
  assert.equal(bytes(encodeCall('supervisor.getState', [])).length, 113);
  assert.equal(bytes(encodeResponse({ statecode: 1, statename: 'RUNNING' })).length, 279);
  assert.equal(
    bytes(encodeFault(20, "NO_FILE: can't find command '/nonexistent/program'")).length,
    306,
  );
  assert.equal(bytes(encodeResponse(true)).length, 129);
});

const VALUES: readonly XmlValue[] = [
  '',
  ' a <b> & "c" \' \n\t',
  'grüße 😀',
  0,
  -1,
  2147483647,
  1.5,
  true,
  false,
  null,
  [],
  [1, ['x', [true]]],
  {},
  { name: 'web', 'a b': [{ c: '' }], '': 1 },
];
test('what is encoded is decoded to the same, as a response and as an argument', () => {
  for (const value of VALUES) {
    assert.deepEqual(decodeResponse(bytes(encodeResponse(value))), value);
    assert.deepEqual(decodeCall(bytes(encodeCall('a.b', [value, 1]))).params, [value, 1]);
  }
  const odd = JSON.parse('{"__proto__": 1, "x": 2}') as XmlValue;
  assert.deepEqual(decodeResponse(bytes(encodeResponse(odd))), odd);
});

test('the fast reader and the full parser agree, and the fast one gives way where it is unsure', () => {
  for (const value of VALUES) {
    const text = encodeResponse(value);
    const spaced = text.replaceAll('</value>', '</value> ').replaceAll('<member>', ' <member>');
    assert.equal(readPlainResponse(spaced), undefined);
    assert.deepEqual(decodeResponse(bytes(spaced)), value);
    const plain = readPlainResponse(text);
    if (plain !== undefined) assert.deepEqual(plain, value);
  }
  assert.deepEqual(readPlainCall(encodeCall('a.b', ['x'])), { method: 'a.b', params: ['x'] });
  assert.equal(readPlainResponse(`${encodeResponse(1)}x`), undefined);
  assert.equal(readPlainResponse(encodeFault(1, 'x')), undefined);
});

test('integers outside 32 bits saturate and characters that XML cannot hold are replaced', () => {
  assert.match(encodeResponse(2 ** 40), /<int>2147483647</);
  assert.match(encodeResponse(-(2 ** 40)), /<int>-2147483648</);
  assert.match(encodeResponse('a\0b\x1b[1m\ud800\r\n'), /<string>a\ufffdb\ufffd\[1m\ufffd\r\n</);
});

test('argument types are read as the original reads them', () => {
  assert.equal(param('bare text'), 'bare text');
  assert.equal(param(''), '');
  assert.equal(param('<i4> 7 </i4>'), 7);
  assert.equal(param('<boolean>1</boolean>'), true);
  assert.equal(param('<boolean>true</boolean>'), false);
  assert.equal(param('<i8>5</i8>'), '5');
  assert.equal(param('<double>1.5</double>'), 1.5);
  assert.equal(
    param('<dateTime.iso8601>20260101T00:00:00</dateTime.iso8601>'),
    '20260101T00:00:00',
  );
  assert.equal(param('<base64>Z3LDvMOfZQ==</base64>'), 'grüße');
  assert.equal(param('<nil/>'), null);
  assert.equal(param('<string>a&#65;&#x42;<![CDATA[ <&amp; ]]></string>'), 'aAB <&amp; ');
  assert.equal(param('\n <string>x</string>\n '), 'x');
});

test('parameters may be missing, and blanks inside a method name stay', () => {
  const bare = '<methodCall><methodName> a.b</methodName></methodCall>';
  assert.deepEqual(decodeCall(bytes(bare)), { method: ' a.b', params: [] });
});

const BAD: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['no XML', 'hello'],
  ['not well-formed', '<methodCall><methodName>a.b</methodCall>'],
  ['another root', '<methodResponse/>'],
  ['no method name', '<methodCall></methodCall>'],
  ['an empty method name', '<methodCall><methodName></methodName></methodCall>'],
  ['an unknown entity', call('<param><value>&nope;</value></param>')],
  ['a bare ampersand', call('<param><value>a & b</value></param>')],
  ['a character reference outside Unicode', call('<param><value>&#x110000;</value></param>')],
  ['no integer', call('<param><value><int>seven</int></value></param>')],
  ['a DTD', `<!DOCTYPE a [<!ENTITY e "x">]>${call('<param><value>&e;</value></param>')}`],
  ['a hidden DTD', `<!-- c --><!doctype a>${call('')}`],
  ['too many elements', call('<param><value/></param>'.repeat(5_001))],
  [
    'nesting',
    call(
      `<param>${'<value><array><data>'.repeat(20)}${'</data></array></value>'.repeat(20)}</param>`,
    ),
  ],
];
for (const [what, text] of BAD) {
  test(`refused: ${what}`, () => {
    assert.throws(() => decodeCall(bytes(text)), XmlFormatError);
  });
}

test('refused: bytes that are not UTF-8', () => {
  assert.throws(() => decodeCall(Buffer.from([0x3c, 0xff, 0x3e])), /not UTF-8/);
});

test('a fault is thrown with its code and text', () => {
  assert.throws(() => decodeResponse(bytes(encodeFault(10, 'BAD_NAME: <x>'))), {
    name: 'XmlFault',
    faultCode: 10,
    faultString: 'BAD_NAME: <x>',
  });
});
