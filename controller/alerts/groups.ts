// Alerts that belong together become one notice (spec fleet D45). Pure; time is handed in.
// Invariants: an alert's firing is announced before its resolution; a resolution is announced only to those who
// were told that it fired; nothing is announced twice unless `repeatMs` has passed.
import type { Alert } from './book.js';

/** Times of spec fleet D45, milliseconds. */
export interface GroupTimes {
  readonly waitMs: number;
  readonly intervalMs: number;
  readonly repeatMs: number;
}

export const GROUP_TIMES: GroupTimes = {
  waitMs: 10_000,
  intervalMs: 60_000,
  repeatMs: 4 * 3_600_000,
};

/** At most this many alerts are listed in a notice; the rest are counted. */
export const NOTICE_ALERTS_MAX = 50;

/** One message to one receiver. */
export interface Notice {
  readonly receiver: string;
  /** The labels that all its alerts share: alertname and severity. */
  readonly group: ReadonlyMap<string, string>;
  readonly groupKey: string;
  readonly status: 'firing' | 'resolved';
  readonly alerts: readonly Alert[];
  readonly truncated: number;
  /** What makes this notice this one; equal text, equal notification id (spec fleet D46). */
  readonly identity: string;
}

interface Group {
  readonly receiver: string;
  readonly key: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly members: Map<string, Alert>;
  /** Alert keys the receiver knows to be firing. */
  readonly told: Set<string>;
  /** Told by an earlier controller and not seen firing by this one yet. */
  readonly restored: Set<string>;
  dueMs: number | undefined;
  sentMs: number | undefined;
  generation: number;
}

export class NoticeGroups {
  private readonly groups = new Map<string, Group>();

  constructor(private readonly times: GroupTimes = GROUP_TIMES) {}

  /** An earlier controller told `receiver` of this alert: it is not announced again, its resolution is. */
  restore(receiver: string, name: string, severity: string, alertKeys: readonly string[]): void {
    const group = this.open(receiver, name, severity);
    for (const key of alertKeys) {
      group.told.add(key);
      if (!group.members.has(key)) group.restored.add(key);
    }
    const news = [...group.members.keys()].some((key) => !group.told.has(key));
    if (!news) group.dueMs = undefined;
  }

  /** What each receiver knows to be firing, for `restore` after a restart. */
  told(): { receiver: string; name: string; severity: string; alertKeys: string[] }[] {
    return [...this.groups.values()].map((group) => ({
      receiver: group.receiver,
      name: group.labels.get('alertname') ?? '',
      severity: group.labels.get('severity') ?? '',
      alertKeys: [...group.told].sort(),
    }));
  }

  /** An alert fired or was resolved, and is not silenced: `receiver` should hear of it. */
  add(receiver: string, alert: Alert, nowMs: number): void {
    const group = this.open(receiver, alert.name, alert.severity);
    if (alert.state === 'resolved' && !group.told.has(alert.key)) {
      group.members.delete(alert.key);
      return;
    }
    group.members.set(alert.key, alert);
    if (group.restored.delete(alert.key) && alert.state === 'firing') return;
    const earliestMs =
      group.sentMs === undefined || group.told.size === 0
        ? nowMs + this.times.waitMs
        : Math.max(nowMs, group.sentMs + this.times.intervalMs);
    group.dueMs = Math.min(group.dueMs ?? earliestMs, earliestMs);
  }

  private open(receiver: string, name: string, severity: string): Group {
    const key = JSON.stringify([receiver, name, severity]);
    const known = this.groups.get(key);
    if (known) return known;
    const group: Group = {
      receiver,
      key,
      labels: new Map([
        ['alertname', name],
        ['severity', severity],
      ]),
      members: new Map(),
      told: new Set(),
      restored: new Set(),
      dueMs: undefined,
      sentMs: undefined,
      generation: 0,
    };
    this.groups.set(key, group);
    return group;
  }

  /** Notices whose time has come. */
  due(nowMs: number): Notice[] {
    const notices: Notice[] = [];
    for (const group of this.groups.values()) {
      if (group.dueMs === undefined || nowMs < group.dueMs) continue;
      const notice = this.send(group, nowMs);
      if (notice) notices.push(notice);
    }
    return notices;
  }

  private send(group: Group, nowMs: number): Notice | undefined {
    const alerts = [...group.members.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const alert of alerts) {
      if (alert.state === 'resolved') {
        group.told.delete(alert.key);
        group.members.delete(alert.key);
      } else group.told.add(alert.key);
    }
    group.dueMs = group.told.size > 0 ? nowMs + this.times.repeatMs : undefined;
    if (alerts.length === 0) return undefined;
    group.sentMs = nowMs;
    group.generation += 1;
    return {
      receiver: group.receiver,
      group: group.labels,
      groupKey: group.key,
      status: group.told.size > 0 ? 'firing' : 'resolved',
      alerts: alerts.slice(0, NOTICE_ALERTS_MAX),
      truncated: Math.max(0, alerts.length - NOTICE_ALERTS_MAX),
      identity: JSON.stringify([
        group.key,
        alerts.map((alert) => [alert.key, alert.state, alert.activeSinceMs]),
        group.generation,
      ]),
    };
  }

  /** When `due` has something next; undefined: never. */
  deadlineMs(): number | undefined {
    let next: number | undefined;
    for (const { dueMs } of this.groups.values()) {
      if (dueMs !== undefined && (next === undefined || dueMs < next)) next = dueMs;
    }
    return next;
  }
}
