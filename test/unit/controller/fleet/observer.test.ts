// A replica that loses many hosts at once doubts itself before it blames them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Observer } from '../../../../controller/fleet/observer.js';

function observerWith(suspects: number, hosts: number): Observer {
  const observer = new Observer(0, 60_000);
  for (let i = 0; i < suspects; i++) observer.hostChanged(`h${i}`, 'suspect', hosts, i * 1_000);
  return observer;
}

test('who loses more than half of at least 4 hosts within 10 s doubts itself', () => {
  assert.equal(observerWith(2, 4).isIsolated(), false);
  assert.equal(observerWith(3, 4).isIsolated(), true);
  assert.equal(observerWith(3, 3).isIsolated(), false);
});

test('losses that are spread out are the hosts, not the observer', () => {
  const observer = new Observer(0, 60_000);
  for (let i = 0; i < 4; i++) observer.hostChanged(`h${i}`, 'suspect', 4, i * 6_000);
  assert.equal(observer.isIsolated(), false);
});

test('the doubt ends after 60 s when something is still heard, and stays otherwise', () => {
  const observer = observerWith(3, 4);
  assert.equal(observer.evaluate(true, 61_000), false);
  assert.equal(observer.evaluate(false, 100_000), false);
  assert.equal(observer.isIsolated(), true);
  assert.equal(observer.evaluate(true, 100_000), true);
  assert.equal(observer.isIsolated(), false);
});

test('the doubt ends when the hosts are heard again', () => {
  const observer = observerWith(3, 4);
  observer.hostChanged('h0', 'up', 4, 5_000);
  assert.equal(observer.isIsolated(), false);
});

test('a young replica says so', () => {
  const observer = new Observer(0, 60_000);
  assert.equal(observer.isWarmingUp(59_999), true);
  assert.equal(observer.isWarmingUp(60_000), false);
});
