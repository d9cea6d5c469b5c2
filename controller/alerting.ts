// Alerting's shell: the view's news into the pipeline, its notices into the receivers' queues.
// Invariants: one timer for the next deadline; notices leave only while this replica holds `lease.alerts`, or when
// coordination has been gone for 30 s (spec fleet D48: alerting must outlive its lock).
import { createHash } from 'node:crypto';
import type { Clock } from '../common/clock.js';
import type { Logger } from '../common/log.js';
import type { Random } from '../common/random.js';
import type { GroupTimes, Notice, NoticeGroups } from './alerts/groups.js';
import { AlertPipeline, type Route } from './alerts/pipeline.js';
import { NotifyQueue } from './notify/queue.js';
import type { OutgoingNotice, Receiver } from './notify/receiver.js';
import type { AlertRecord, AlertSource, FleetFeed } from './ports.js';
import type { Lease, Records } from './records.js';

const FAIL_OPEN_MS = 30_000;
const LEASE_NAME = 'alerts';
const TOLD_KEY = 'notify.told';
const SEVERITY_ORDER = ['critical', 'warning', 'info'];

export interface AlertingOptions {
  readonly fleet: string;
  readonly feed: FleetFeed;
  readonly routes: readonly Route[];
  readonly receivers: readonly Receiver[];
  readonly rolloutOf: (host: string, group: string, process: string) => string | undefined;
  readonly records: Records;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly times?: GroupTimes;
  readonly signal: AbortSignal;
}

export class Alerting implements AlertSource {
  private readonly pipeline: AlertPipeline;
  private readonly queues = new Map<string, NotifyQueue>();
  private cancelTimer: () => void = () => undefined;
  private leading = false;
  private leaderlessSinceMs: number;
  private toldRevision = 0;

  constructor(private readonly options: AlertingOptions) {
    const { clock, random, log } = options;
    this.pipeline = new AlertPipeline(options.routes, options.rolloutOf, options.times);
    this.leaderlessSinceMs = clock.nowMs();
    for (const receiver of options.receivers) {
      const queue = new NotifyQueue(receiver, clock, random, log, () => undefined);
      this.queues.set(receiver.name, queue);
    }
  }

  /** Begins with what is there now; call once, in the tick in which the view is whole. */
  start(): void {
    const { feed, signal, lease } = this.options;
    for (const header of feed.hosts()) {
      this.pipeline.observeHost(header, this.now());
      for (const row of feed.rows(header.host)) this.observe(header.host, row);
    }
    const unsubscribe = feed.subscribe({
      onRowChange: (host, row) => this.observe(host, row),
      onRowRemoved: (host, row) => {
        this.pipeline.forget(host, row, this.now());
        this.arm();
      },
      onHostChange: (header) => {
        this.pipeline.observeHost(header, this.now());
        this.arm();
      },
    });
    signal.addEventListener(
      'abort',
      () => {
        unsubscribe();
        this.cancelTimer();
        for (const queue of this.queues.values()) queue.close();
      },
      { once: true },
    );
    void lease.hold(LEASE_NAME, (_fence, lost) => this.lead(lost), signal);
    this.arm();
  }

  private now(): number {
    return this.options.clock.nowMs();
  }

  private observe(host: string, row: Parameters<AlertPipeline['observeProcess']>[1]): void {
    this.pipeline.observeProcess(host, row, this.now());
    this.arm();
  }

  private async lead(lost: AbortSignal): Promise<void> {
    try {
      const entry = await this.options.records.get(TOLD_KEY);
      this.toldRevision = entry?.revision ?? 0;
      this.pipeline.restore((entry?.value ?? []) as ReturnType<NoticeGroups['told']>);
    } catch (error) {
      this.options.log.warn('what receivers were told is not known', { reason: String(error) });
    }
    this.leading = true;
    this.run();
    await new Promise<void>((resolve) => {
      lost.addEventListener('abort', () => resolve(), { once: true });
      if (lost.aborted) resolve();
    });
    this.leading = false;
    this.leaderlessSinceMs = this.now();
    this.arm();
  }

  /** One timer for whatever comes first. */
  private arm(): void {
    this.cancelTimer();
    if (this.options.signal.aborted) return;
    const due = this.pipeline.deadlineMs();
    if (due === undefined) return;
    const opensMs = this.leading ? 0 : this.leaderlessSinceMs + FAIL_OPEN_MS;
    const delayMs = Math.max(0, due - this.now(), opensMs - this.now());
    this.cancelTimer = this.options.clock.after(delayMs, () => this.run());
  }

  private run(): void {
    const nowMs = this.now();
    const failOpen = nowMs - this.leaderlessSinceMs >= FAIL_OPEN_MS;
    if (this.leading || failOpen) {
      const notices = this.pipeline.step(nowMs);
      for (const notice of notices) this.queues.get(notice.receiver)?.push(this.outgoing(notice));
      if (notices.length > 0) void this.storeTold();
    }
    this.arm();
  }

  private outgoing(notice: Notice): OutgoingNotice {
    const offsetMs = this.options.clock.wallMs() - this.now();
    const times = new Map(
      notice.alerts.map((alert) => [
        alert.key,
        {
          startsAt: Math.floor(alert.activeSinceMs + offsetMs),
          endsAt:
            alert.resolvedAtMs === undefined
              ? undefined
              : Math.floor(alert.resolvedAtMs + offsetMs),
        },
      ]),
    );
    const id = createHash('sha256')
      .update(`${this.options.fleet}\n${notice.identity}`)
      .digest('hex');
    return { ...notice, id, fleet: this.options.fleet, times };
  }

  /** So that a restarted controller does not page twice for one cause. */
  private async storeTold(): Promise<void> {
    try {
      const { records } = this.options;
      const written = await records.compareAndSet(
        TOLD_KEY,
        this.pipeline.told(),
        this.toldRevision,
      );
      if (written !== undefined) this.toldRevision = written;
      else this.toldRevision = (await records.get(TOLD_KEY))?.revision ?? 0;
    } catch (error) {
      this.options.log.warn('what receivers were told is not stored', { reason: String(error) });
    }
  }

  list(includeResolved: boolean): readonly AlertRecord[] {
    const offsetMs = this.options.clock.wallMs() - this.now();
    return this.pipeline
      .alerts()
      .filter((alert) => includeResolved || alert.state !== 'resolved')
      .map((alert) => ({
        fingerprint: fingerprint(alert.key),
        name: alert.name,
        severity: alert.severity,
        state: alert.state,
        labels: alert.labels,
        summary: alert.summary,
        startedWallMs: Math.floor(alert.activeSinceMs + offsetMs),
        resolvedWallMs:
          alert.resolvedAtMs === undefined ? 0 : Math.floor(alert.resolvedAtMs + offsetMs),
        inhibitedBy: inhibitorName(alert.inhibitedBy),
      }))
      .sort(
        (a, b) =>
          SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity) ||
          (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) ||
          (a.fingerprint < b.fingerprint ? -1 : 1),
      );
  }
}

/** Short enough for a table, long enough to be unique. */
function fingerprint(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}

function inhibitorName(inhibitor: string | undefined): string {
  if (inhibitor === undefined) return '';
  return inhibitor.startsWith('rollout ') ? inhibitor.slice(8) : fingerprint(inhibitor);
}
