// Label matchers of routes: reading and matching.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchLabels, parseMatchers } from '../../../../controller/alerts/matchers.js';

const labels = new Map([
  ['severity', 'critical'],
  ['host', 'web 1'],
]);

const CASES: readonly (readonly [text: string, matches: boolean])[] = [
  ['', true],
  ['severity=critical', true],
  ['severity = warning', false],
  ['severity!=warning,host="web 1"', true],
  ['host!="web 1"', false],
  ['team=', true],
  ['team!=', false],
  ['host="a,b"', false],
];

for (const [text, wanted] of CASES) {
  test(`${text || 'an empty list'} ${wanted ? 'matches' : 'does not match'}`, () => {
    const matchers = parseMatchers(text);
    assert.ok(typeof matchers !== 'string', String(matchers));
    assert.equal(matchLabels(matchers, labels), wanted);
  });
}

test('what is no matcher is named', () => {
  assert.equal(parseMatchers('severity=critical,nonsense'), 'not a matcher: nonsense');
  assert.equal(parseMatchers('a=b,'), 'not a matcher: (empty)');
  assert.equal(parseMatchers('host=~web.*'), '=~ is not supported in routes; use = or !=');
});
