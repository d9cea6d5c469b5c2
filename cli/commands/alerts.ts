// `ctl alerts`: what is wrong now; with --all also what was resolved lately.
import { callUnary } from '../../common/rpc.js';
import type { Alert } from '../../proto/gen/fleetvisor/v1/control.js';
import { compileHost } from '../../common/selector.js';
import { hostPatterns, refuseScope, type Context } from '../context.js';
import { EXIT } from '../exit.js';
import { alertJson, summaryJson } from '../render/json.js';
import { renderTable, type Cell, type Paint } from '../render/table.js';
import { formatAge, showControls } from '../render/text.js';

const TIMEOUT_MS = 10_000;
const PAINTS: Readonly<Record<string, Paint>> = { critical: 'red', warning: 'yellow' };

/** Returns the exit code. */
export async function runAlerts(context: Context, all: boolean): Promise<number> {
  const limits = { timeoutMs: context.timeoutMs || TIMEOUT_MS };
  const request = { includeResolved: all };
  refuseScope(context, 'alerts', ['hosts', 'allHosts']);
  const reply = await context
    .client()
    .run((client) => callUnary(client.alerts.bind(client), request, limits));
  const alerts = reply.alerts.filter(onHosts(hostPatterns(context, 'alerts')));
  const { out } = context;
  if (context.json) {
    const states: Record<string, number> = {};
    for (const alert of alerts) {
      states[alert.state] = (states[alert.state] ?? 0) + 1;
      await out.json(alertJson(alert));
    }
    await out.json(summaryJson(alerts.length, states, EXIT.ok));
    return EXIT.ok;
  }
  const nowMs = context.clock.wallMs();
  const lines = renderTable(
    alerts.map((alert) => alertCells(alert, nowMs)),
    out,
  );
  for (const line of lines) await out.line(line);
  if (lines.length === 0) out.complain('no alerts');
  return EXIT.ok;
}

/** An alert that belongs to no host is shown only when no host is asked for. */
function onHosts(patterns: readonly string[]): (alert: Alert) => boolean {
  const matchers = patterns.map(compileHost);
  return ({ labels }) => {
    const host = labels.find(({ key }) => key === 'host')?.value;
    if (matchers.length === 0) return true;
    return host !== undefined && matchers.some((matcher) => matcher.matches(host, new Map()));
  };
}

function alertCells(alert: Alert, nowMs: number): Cell[] {
  const label = new Map(alert.labels.map(({ key, value }) => [key, value]));
  const where = ['host', 'group', 'process'].flatMap((key) => label.get(key) ?? []).join(':');
  const firing = alert.state === 'firing' && alert.inhibitedBy === '';
  const paint = firing ? PAINTS[alert.severity] : 'dim';
  const sinceMs = alert.state === 'resolved' ? alert.resolvedWallMs : alert.startedWallMs;
  const note = alert.inhibitedBy === '' ? '' : ` (silenced by ${alert.inhibitedBy})`;
  return [
    { text: alert.severity, ...(paint === undefined ? {} : { paint }) },
    { text: alert.name },
    { text: showControls(where) },
    { text: `${alert.state} for ${formatAge(nowMs - sinceMs)}` },
    { text: showControls(alert.summary) + note },
  ];
}
