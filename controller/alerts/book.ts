// Each alert's life: inactive -> pending -> firing -> resolved (spec fleet 10). Pure; time is handed in.
// Invariants: an alert fires once per cause; it is resolved only after it was clear for `keepMs` without a break.
import type { Severity, Verdict } from './rules.js';

/** An alert's identity and its words. */
export interface Condition {
  /** Hash input: equal labels are the same alert. */
  readonly labels: ReadonlyMap<string, string>;
  readonly name: string;
  readonly severity: Severity;
  readonly forMs: number;
  readonly keepMs: number;
  readonly summary: string;
}

export type AlertState = 'pending' | 'firing' | 'resolved';

export interface Alert extends Condition {
  /** Sorted labels as one text: the identity. */
  readonly key: string;
  readonly state: AlertState;
  /** When the condition began, monotonic milliseconds. */
  readonly activeSinceMs: number;
  /** Since when it has been clear without a break; undefined while it is not. */
  readonly clearSinceMs: number | undefined;
  readonly firedAtMs: number | undefined;
  readonly resolvedAtMs: number | undefined;
}

/** How long a resolved alert stays visible. */
export const RESOLVED_KEPT_MS = 15 * 60_000;
/** More alerts than this at once are a storm: the newest are refused and counted. */
export const ALERTS_MAX = 10_000;

/** The identity of an alert: its labels, sorted (spec fleet 10). */
export function alertKey(labels: ReadonlyMap<string, string>): string {
  return JSON.stringify([...labels].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

export class AlertBook {
  private readonly alerts = new Map<string, Alert>();
  /** Alerts that did not fit. */
  refused = 0;

  /** Takes a verdict; returns the alert if its state changed. */
  observe(condition: Condition, verdict: Verdict, nowMs: number): Alert | undefined {
    const key = alertKey(condition.labels);
    const old = this.alerts.get(key);
    if (verdict === 'hold') {
      if (old !== undefined && old.clearSinceMs !== undefined && old.state !== 'resolved') {
        this.alerts.set(key, { ...old, clearSinceMs: undefined });
      }
      return undefined;
    }
    if (verdict === 'clear') return this.clear(key, nowMs);
    if (old !== undefined && old.state !== 'resolved') {
      this.alerts.set(key, { ...old, summary: condition.summary, clearSinceMs: undefined });
      return undefined;
    }
    if (old === undefined && this.alerts.size >= ALERTS_MAX) {
      this.refused += 1;
      return undefined;
    }
    const begun: Alert = {
      ...condition,
      key,
      state: 'pending',
      activeSinceMs: nowMs,
      clearSinceMs: undefined,
      firedAtMs: undefined,
      resolvedAtMs: undefined,
    };
    this.alerts.set(key, begun);
    return this.advance(begun, nowMs) ?? begun;
  }

  /** The subject is gone (host removed, process no longer configured): resolved at once. */
  forget(matches: (labels: ReadonlyMap<string, string>) => boolean, nowMs: number): Alert[] {
    const changed: Alert[] = [];
    for (const alert of this.alerts.values()) {
      if (!matches(alert.labels) || alert.state === 'resolved') continue;
      if (alert.state === 'pending') this.alerts.delete(alert.key);
      else changed.push(this.resolve(alert, nowMs));
    }
    return changed;
  }

  private clear(key: string, nowMs: number): Alert | undefined {
    const old = this.alerts.get(key);
    if (old === undefined || old.state === 'resolved') return undefined;
    if (old.state === 'pending') {
      this.alerts.delete(key);
      return undefined;
    }
    if (old.clearSinceMs !== undefined) return this.advance(old, nowMs);
    const clearing = { ...old, clearSinceMs: nowMs };
    this.alerts.set(key, clearing);
    return this.advance(clearing, nowMs);
  }

  private resolve(alert: Alert, nowMs: number): Alert {
    const resolved: Alert = { ...alert, state: 'resolved', resolvedAtMs: nowMs };
    this.alerts.set(alert.key, resolved);
    return resolved;
  }

  /** Moves one alert on if its time has come. */
  private advance(alert: Alert, nowMs: number): Alert | undefined {
    if (alert.state === 'pending' && nowMs >= alert.activeSinceMs + alert.forMs) {
      const firing: Alert = { ...alert, state: 'firing', firedAtMs: nowMs };
      this.alerts.set(alert.key, firing);
      return firing;
    }
    if (
      alert.state === 'firing' &&
      alert.clearSinceMs !== undefined &&
      nowMs >= alert.clearSinceMs + alert.keepMs
    ) {
      return this.resolve(alert, nowMs);
    }
    return undefined;
  }

  /** Time has passed: what fires or is resolved now. Old resolved alerts are dropped. */
  tick(nowMs: number): Alert[] {
    const changed: Alert[] = [];
    for (const alert of this.alerts.values()) {
      if (alert.state === 'resolved') {
        if (nowMs >= (alert.resolvedAtMs as number) + RESOLVED_KEPT_MS) {
          this.alerts.delete(alert.key);
        }
        continue;
      }
      const moved = this.advance(alert, nowMs);
      if (moved) changed.push(moved);
    }
    return changed;
  }

  /** When `tick` has something to do next; undefined: never. */
  deadlineMs(): number | undefined {
    let next: number | undefined;
    for (const alert of this.alerts.values()) {
      const at = deadlineOf(alert);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  all(): Alert[] {
    return [...this.alerts.values()];
  }
}

function deadlineOf(alert: Alert): number | undefined {
  switch (alert.state) {
    case 'pending':
      return alert.activeSinceMs + alert.forMs;
    case 'firing':
      return alert.clearSinceMs === undefined ? undefined : alert.clearSinceMs + alert.keepMs;
    case 'resolved':
      return (alert.resolvedAtMs as number) + RESOLVED_KEPT_MS;
  }
}
