// A receiver's own queue: at least once, in order, retried with a growing pause, bounded (spec fleet D47).
import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/log.js';
import type { Random } from '../../common/random.js';
import type { OutgoingNotice, Receiver } from './receiver.js';

const QUEUE_MAX = 1_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
const GIVE_UP_MS = 3_600_000;

interface Waiting {
  notice: OutgoingNotice;
  readonly sinceMs: number;
  retryMs: number;
}

export class NotifyQueue {
  private readonly waiting: Waiting[] = [];
  private sending = false;
  private closed = false;
  private cancelRetry: (() => void) | undefined;
  /** Notices that were given up or merged away, for metrics. */
  lost = 0;

  constructor(
    private readonly receiver: Receiver,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly log: Logger,
    private readonly onSent: (notice: OutgoingNotice) => void,
  ) {}

  /** When full, notices of one group merge into the newest. */
  push(notice: OutgoingNotice): void {
    if (this.waiting.length >= QUEUE_MAX) {
      const older = this.waiting.findIndex((entry) => entry.notice.groupKey === notice.groupKey);
      this.waiting.splice(older < 0 ? 1 : Math.max(1, older), 1);
      this.lost += 1;
    }
    this.waiting.push({ notice, sinceMs: this.clock.nowMs(), retryMs: RETRY_MS_MIN });
    void this.pump();
  }

  private async pump(): Promise<void> {
    if (this.sending || this.closed || this.cancelRetry) return;
    this.sending = true;
    try {
      for (let first = this.waiting[0]; first && !this.closed; first = this.waiting[0]) {
        const result = await this.receiver.send(first.notice);
        const fields = { receiver: this.receiver.name, notice: first.notice.id };
        if (result.kind === 'sent') {
          this.waiting.shift();
          this.onSent(first.notice);
          continue;
        }
        if (result.permanent || this.clock.nowMs() - first.sinceMs >= GIVE_UP_MS) {
          this.waiting.shift();
          this.lost += 1;
          this.log.error('notice given up', { ...fields, reason: result.reason });
          continue;
        }
        this.log.warn('notice not delivered yet', { ...fields, reason: result.reason });
        this.retryLater(first, result.retryAfterMs);
        return;
      }
    } finally {
      this.sending = false;
    }
  }

  private retryLater(entry: Waiting, askedMs: number | undefined): void {
    const delayMs = askedMs ?? entry.retryMs * (0.5 + this.random.next() / 2);
    entry.retryMs = Math.min(entry.retryMs * 2, RETRY_MS_MAX);
    this.cancelRetry = this.clock.after(Math.min(delayMs, GIVE_UP_MS), () => {
      this.cancelRetry = undefined;
      void this.pump();
    });
  }

  close(): void {
    this.closed = true;
    this.cancelRetry?.();
  }
}
