// Who may join under a name: proof, versions, and two machines that claim one name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admit, type Claim, type Incumbent } from '../../../../controller/fleet/registration.js';

const CLAIM: Claim = {
  host: 'web1',
  provenHost: 'web1',
  hostUid: 'a',
  epoch: 5,
  protocolMin: 1,
  protocolMax: 1,
};
const HOLDER: Incumbent = { hostUid: 'a', epoch: 5, state: 'up', stateAgeMs: 1_000 };

const CASES: readonly [string, Partial<Claim>, Partial<Incumbent> | undefined, string][] = [
  ['nobody has the name', {}, undefined, 'new'],
  ['same uid, higher epoch', { epoch: 6 }, {}, 'restarted'],
  ['same uid, same epoch', {}, {}, 'again'],
  ['same uid, lower epoch', { epoch: 4 }, {}, 'STALE_EPOCH'],
  [
    'same uid, lower epoch, though down for long',
    { epoch: 4 },
    { state: 'down', stateAgeMs: 1e6 },
    'STALE_EPOCH',
  ],
  ['other uid, host up', { hostUid: 'b' }, {}, 'IDENTITY_CONFLICT'],
  ['other uid, host suspect', { hostUid: 'b' }, { state: 'suspect' }, 'IDENTITY_CONFLICT'],
  ['other uid, host not heard yet', { hostUid: 'b' }, { state: 'unknown' }, 'IDENTITY_CONFLICT'],
  [
    'other uid, down for less than 60 s',
    { hostUid: 'b' },
    { state: 'down', stateAgeMs: 59_999 },
    'IDENTITY_CONFLICT',
  ],
  ['other uid, down for 60 s', { hostUid: 'b' }, { state: 'down', stateAgeMs: 60_000 }, 'rebound'],
  [
    'other uid with a lower epoch, left for 60 s',
    { hostUid: 'b', epoch: 1 },
    { state: 'left', stateAgeMs: 60_000 },
    'rebound',
  ],
  ['certificate of another host', { provenHost: 'web2' }, undefined, 'IDENTITY_MISMATCH'],
  ['a newer agent that still speaks ours', { protocolMax: 9 }, undefined, 'new'],
  ['a newer agent that does not', { protocolMin: 2, protocolMax: 9 }, undefined, 'VERSION'],
  ['an older agent', { protocolMin: 0, protocolMax: 0 }, undefined, 'VERSION'],
];

for (const [name, claim, incumbent, expected] of CASES) {
  test(`${name}: ${expected}`, () => {
    const known = incumbent === undefined ? undefined : { ...HOLDER, ...incumbent };
    const answer = admit({ ...CLAIM, ...claim }, known);
    assert.equal(answer.kind === 'accepted' ? answer.how : answer.reason, expected);
    if (answer.kind === 'rejected') {
      assert.ok(answer.retryAfterMs > 0);
      assert.notEqual(answer.message, '');
    }
  });
}

test('a conflict is asked back in 30 s, or when the old host will have been away for long enough', () => {
  const asked = (incumbent: Partial<Incumbent>): number => {
    const answer = admit({ ...CLAIM, hostUid: 'b' }, { ...HOLDER, ...incumbent });
    return answer.kind === 'rejected' ? answer.retryAfterMs : 0;
  };
  assert.equal(asked({}), 30_000);
  assert.equal(asked({ state: 'down', stateAgeMs: 50_000 }), 10_000);
});
