// Alerting's shell: who sends and when, and that a restart does not page twice.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../common/log.js';
import { Alerting } from '../../../controller/alerting.js';
import type { OutgoingNotice, Receiver, SendResult } from '../../../controller/notify/receiver.js';
import type { Lease } from '../../../controller/records.js';
import { settle, SimClock } from '../../support/sim-clock.js';
import { SimFeed } from '../../support/sim-feed.js';
import { SimLease } from '../../support/sim-lease.js';
import { SimRecords } from '../../support/sim-records.js';

class Inbox implements Receiver {
  readonly name = 'ops';
  readonly got: OutgoingNotice[] = [];
  answers: SendResult[] = [];

  send(notice: OutgoingNotice): Promise<SendResult> {
    const answer = this.answers.shift() ?? { kind: 'sent' };
    if (answer.kind === 'sent') this.got.push(notice);
    return Promise.resolve(answer);
  }

  words(): string[] {
    return this.got.map(
      (notice) => `${notice.status} ${notice.alerts.map((alert) => alert.name).join(' ')}`,
    );
  }
}

const nobodyLeads: Lease = { hold: () => new Promise(() => undefined) };

function world() {
  const feed = new SimFeed();
  const clock = new SimClock();
  const records = new SimRecords();
  const inbox = new Inbox();
  const open = (lease: Lease = new SimLease(), stop = new AbortController()) => {
    const alerting = new Alerting({
      fleet: 'demo',
      feed,
      routes: [{ receiver: 'ops', matches: () => true }],
      receivers: [inbox],
      rolloutOf: () => undefined,
      records,
      lease,
      clock,
      random: { next: () => 0.5, bytes: (length) => new Uint8Array(length) },
      log: silentLogger,
      signal: stop.signal,
    });
    alerting.start();
    return alerting;
  };
  return { feed, clock, records, inbox, open };
}

describe('alerting', () => {
  it('sends one notice for a FATAL process and one when it runs again', async () => {
    const { feed, clock, inbox, open } = world();
    const alerting = open();
    await settle();
    feed.setRow('web1', { state: 'FATAL', reason: 'Exited too quickly' });
    await clock.advance(3_600_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal']);
    assert.equal(alerting.list(false)[0]?.state, 'firing');
    feed.setRow('web1', { state: 'RUNNING' });
    await clock.advance(3_600_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal', 'resolved ProcessFatal']);
    assert.deepEqual(alerting.list(false), []);
  });

  it('delivers with the same notification id until the receiver takes it', async () => {
    const { feed, clock, inbox, open } = world();
    inbox.answers = [
      { kind: 'failed', permanent: false, reason: 'refused' },
      { kind: 'failed', permanent: false, reason: 'busy', retryAfterMs: 90_000 },
    ];
    open();
    feed.setRow('web1', { state: 'FATAL' });
    await clock.advance(60_000);
    assert.deepEqual(inbox.words(), []);
    await clock.advance(60_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal']);
    assert.match(inbox.got[0]?.id ?? '', /^[0-9a-f]{64}$/);
  });

  it('gives up on a permanent refusal and sends the next notice', async () => {
    const { feed, clock, inbox, open } = world();
    inbox.answers = [{ kind: 'failed', permanent: true, reason: '404' }];
    open();
    feed.setRow('web1', { state: 'FATAL' });
    await clock.advance(20_000);
    feed.setRow('web2', { state: 'FATAL' });
    await clock.advance(120_000);
    assert.equal(inbox.got.length, 1);
    assert.equal(inbox.got[0]?.alerts.length, 2);
  });

  it('does not page again after a restart', async () => {
    const { feed, clock, inbox, open } = world();
    const stop = new AbortController();
    feed.setHost('web1', 'up');
    open(new SimLease(), stop);
    feed.setRow('web1', { state: 'FATAL' });
    await clock.advance(60_000);
    stop.abort();
    open();
    await clock.advance(3_600_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal']);
    feed.setRow('web1', { state: 'RUNNING' });
    await clock.advance(3_600_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal', 'resolved ProcessFatal']);
  });

  it('waits for the lease, and sends without it once coordination is gone for 30 s', async () => {
    const { feed, clock, inbox, open } = world();
    open(nobodyLeads);
    feed.setRow('web1', { state: 'FATAL' });
    await clock.advance(29_000);
    assert.deepEqual(inbox.words(), []);
    await clock.advance(2_000);
    assert.deepEqual(inbox.words(), ['firing ProcessFatal']);
  });
});
