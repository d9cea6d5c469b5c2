// From what the view says to what receivers hear: rules, book, inhibition, routes, groups, in this order. Pure.
// Time is handed in; the shell arms one timer for `deadlineMs` and sends what `step` returns.
import type { HostHeader, ProcessRow } from '../../common/rows.js';
import { AlertBook, type Alert, type Condition } from './book.js';
import { NoticeGroups, type GroupTimes, type Notice } from './groups.js';
import { inhibitedBy } from './inhibit.js';
import { HOST_RULES, PROCESS_RULES } from './rules.js';

/** Which alerts go to which receiver; the first match ends the search unless it continues. */
export interface Route {
  readonly receiver: string;
  readonly continues?: boolean;
  matches(labels: ReadonlyMap<string, string>): boolean;
}

export interface AlertView extends Alert {
  /** What silences it; undefined: it is sent. */
  readonly inhibitedBy: string | undefined;
}

export class AlertPipeline {
  private readonly book = new AlertBook();
  private readonly groups: NoticeGroups;
  /** Fired while inhibited: announced if the inhibition ends while they still fire. */
  private readonly held = new Set<string>();

  constructor(
    private readonly routes: readonly Route[],
    private readonly rolloutOf: (
      host: string,
      group: string,
      process: string,
    ) => string | undefined,
    times?: GroupTimes,
  ) {
    this.groups = new NoticeGroups(times);
  }

  /** Takes over what an earlier controller told its receivers; before anything is observed. */
  restore(told: ReturnType<NoticeGroups['told']>): void {
    for (const { receiver, name, severity, alertKeys } of told) {
      this.groups.restore(receiver, name, severity, alertKeys);
    }
  }

  told(): ReturnType<NoticeGroups['told']> {
    return this.groups.told();
  }

  /** A process stands like this now. */
  observeProcess(host: string, row: ProcessRow, nowMs: number): void {
    for (const rule of PROCESS_RULES) {
      const condition: Condition = {
        name: rule.name,
        severity: rule.severity,
        forMs: rule.forMs,
        keepMs: rule.keepMs,
        labels: new Map([
          ['alertname', rule.name],
          ['severity', rule.severity],
          ['host', host],
          ['group', row.group],
          ['process', row.process],
        ]),
        summary: rule.summary(host, row),
      };
      const changed = this.book.observe(condition, rule.judge(row), nowMs);
      if (changed) this.announce(changed, nowMs);
    }
  }

  /** A host stands like this now. */
  observeHost(header: HostHeader, nowMs: number): void {
    for (const rule of HOST_RULES) {
      const condition: Condition = {
        name: rule.name,
        severity: rule.severity,
        forMs: rule.forMs,
        keepMs: rule.keepMs,
        labels: new Map([
          ['alertname', rule.name],
          ['severity', rule.severity],
          ['host', header.host],
        ]),
        summary: rule.summary(header),
      };
      const changed = this.book.observe(condition, rule.judge(header), nowMs);
      if (changed) this.announce(changed, nowMs);
    }
  }

  /** A process is no longer configured, or (without a name) a host was removed. */
  forget(host: string, name: { group: string; process: string } | undefined, nowMs: number): void {
    const gone = this.book.forget(
      (labels) =>
        labels.get('host') === host &&
        (name === undefined ||
          (labels.get('group') === name.group && labels.get('process') === name.process)),
      nowMs,
    );
    for (const alert of gone) this.announce(alert, nowMs);
  }

  /** Time has come to `nowMs`: what must be sent. */
  step(nowMs: number): Notice[] {
    for (const alert of this.book.tick(nowMs)) this.announce(alert, nowMs);
    this.releaseHeld(nowMs);
    return this.groups.due(nowMs);
  }

  private firing(): Alert[] {
    return this.book.all().filter((alert) => alert.state === 'firing');
  }

  private announce(alert: Alert, nowMs: number): void {
    if (alert.state === 'pending') return;
    if (alert.state === 'firing' && inhibitedBy(alert, this.firing(), this.rolloutOf)) {
      this.held.add(alert.key);
      return;
    }
    if (alert.state === 'resolved' && this.held.delete(alert.key)) return;
    this.deliver(alert, nowMs);
  }

  private deliver(alert: Alert, nowMs: number): void {
    for (const route of this.routes) {
      if (!route.matches(alert.labels)) continue;
      this.groups.add(route.receiver, alert, nowMs);
      if (route.continues !== true) return;
    }
  }

  private releaseHeld(nowMs: number): void {
    if (this.held.size === 0) return;
    const firing = this.firing();
    for (const alert of firing) {
      if (!this.held.has(alert.key) || inhibitedBy(alert, firing, this.rolloutOf)) continue;
      this.held.delete(alert.key);
      this.deliver(alert, nowMs);
    }
  }

  /** When `step` has something to do next; undefined: never. */
  deadlineMs(): number | undefined {
    const deadlines = [this.book.deadlineMs(), this.groups.deadlineMs()];
    return deadlines.reduce(
      (least, at) => (at === undefined ? least : least === undefined ? at : Math.min(least, at)),
      undefined,
    );
  }

  /** Every alert that is known, resolved ones for a while too. */
  alerts(): AlertView[] {
    const firing = this.firing();
    return this.book.all().map((alert) => ({
      ...alert,
      inhibitedBy:
        alert.state === 'firing' ? inhibitedBy(alert, firing, this.rolloutOf) : undefined,
    }));
  }
}
