// Past events in the order of time, and of each host's own numbering.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sortHistory } from '../../../cli/history.js';
import type { FleetEvent } from '../../../common/rows.js';

const event = (host: string, seq: number, wallMs: number): FleetEvent => ({
  host,
  hostUid: `uid of ${host}`,
  epoch: 1,
  seq,
  prev: 0,
  class: 'P1',
  wallMs,
  monoMs: 0,
  type: 'agent.running',
  group: '',
  process: '',
  cause: '',
  body: { kind: 'agent-changed', state: 'running', detail: '' },
});

const shown = (events: readonly FleetEvent[]): string =>
  sortHistory(events)
    .map(({ host, seq }) => `${host}/${seq}`)
    .join(' ');

test('events of several hosts are merged by time, ties by host', () => {
  const events = [event('web2', 1, 20), event('web2', 2, 40), event('db1', 1, 10)];
  assert.equal(shown([...events, event('db1', 2, 20)]), 'db1/1 db1/2 web2/1 web2/2');
});

test('a clock that jumped back does not reorder the events of its host', () => {
  const events = [event('web1', 1, 100), event('web1', 2, 50), event('db1', 1, 80)];
  assert.equal(shown(events), 'db1/1 web1/1 web1/2');
});
