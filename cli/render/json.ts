// The JSON that ctl prints: one object a line, snake_case, `kind` first; fields are only ever added (design 7). Pure.
import type { Exit, FleetEvent, HostHeader, ProcessRow, TargetName } from '../../common/rows.js';
import type { Alert, RolloutTarget, RolloutUpdate } from '../../proto/gen/fleetvisor/v1/control.js';
import { actionFromWire } from '../../common/wire.js';
import { instantOrNull } from './text.js';
import { uptimeMs } from './process.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** How a child ended: {"code"}, {"signal"}, {"unobserved"} or null. */
export function exitJson(exit: Exit | undefined): JsonObject | null {
  switch (exit?.kind) {
    case 'code':
      return { code: exit.code };
    case 'signal':
      return { signal: exit.signal };
    case 'unobserved':
      return { unobserved: true };
    case undefined:
      return null;
  }
}

export function processJson(row: ProcessRow, header: HostHeader, replica: string): JsonObject {
  return {
    kind: 'process',
    host: header.host,
    group: row.group,
    process: row.process,
    state: row.state,
    pid: row.pid,
    spawn: row.spawn,
    started_at: instantOrNull(row.pid === 0 ? 0 : row.startedWallMs),
    uptime_ms: uptimeMs(row, header) ?? null,
    exit: exitJson(row.exit),
    reason: row.reason,
    health: null,
    freshness: header.freshness,
    age_ms: header.ageMs,
    epoch: header.epoch,
    seq: row.seq,
    replica,
    program: row.program,
    stopped_at: instantOrNull(row.stoppedWallMs),
    attempts: row.attempts,
    cause: row.cause,
  };
}

export function hostJson(header: HostHeader, replica: string): JsonObject {
  return {
    kind: 'host',
    host: header.host,
    state: header.state,
    freshness: header.freshness,
    age_ms: header.ageMs,
    heartbeat_age_ms: header.heartbeatAgeMs,
    state_age_ms: header.stateAgeMs,
    epoch: header.epoch,
    seq: header.seq,
    path: header.path,
    agent_version: header.agentVersion,
    labels: Object.fromEntries(header.labels),
    processes: header.processCount,
    clock_offset_ms: header.clockOffsetMs,
    host_uid: header.hostUid,
    spool: header.spool,
    address: header.address,
    replica,
  };
}

export interface ResultLike {
  readonly target: TargetName;
  readonly outcome: string;
  readonly fault: string;
  readonly message: string;
  readonly row: ProcessRow | undefined;
  readonly epoch: number;
  readonly durationMs: number;
}

export function resultJson(result: ResultLike, id: string): JsonObject {
  const { row, target } = result;
  return {
    kind: 'result',
    host: target.host,
    group: target.group,
    process: target.process,
    result: result.outcome,
    fault: result.fault,
    message: result.message,
    state: row?.state ?? null,
    pid: row?.pid ?? null,
    spawn: row?.spawn ?? null,
    epoch: result.epoch,
    duration_ms: result.durationMs,
    id,
  };
}

export function eventJson(event: FleetEvent): JsonObject {
  return {
    kind: 'event',
    id: `${event.host}/${event.epoch}/${event.seq}`,
    host: event.host,
    type: event.type,
    class: event.class,
    at: instantOrNull(event.wallMs),
    group: event.group,
    process: event.process,
    ...bodyJson(event),
    cause: event.cause,
    epoch: event.epoch,
    seq: event.seq,
  };
}

function bodyJson({ body }: FleetEvent): JsonObject {
  switch (body.kind) {
    case 'process-changed':
      return {
        from: body.from,
        to: body.to,
        pid: body.row.pid,
        spawn: body.row.spawn,
        exit: exitJson(body.row.exit),
        expected: body.expected,
        reason: body.row.reason,
      };
    case 'group-added':
      return { processes: body.rows.map((row) => row.process) };
    case 'group-removed':
      return {};
    case 'agent-changed':
      return { state: body.state, detail: body.detail };
    case 'spool-gap':
      return { first_seq: body.firstSeq, last_seq: body.lastSeq, reason: body.reason };
    case 'host-changed':
      return { from: body.from, to: body.to, detail: body.detail };
    case 'payload':
      return { payload: Buffer.from(body.data).toString('utf8') };
  }
}

export function alertJson(alert: Alert): JsonObject {
  return {
    kind: 'alert',
    name: alert.name,
    severity: alert.severity,
    state: alert.state,
    labels: Object.fromEntries(alert.labels.map(({ key, value }) => [key, value])),
    summary: alert.summary,
    started_at: instantOrNull(alert.startedWallMs),
    resolved_at: instantOrNull(alert.resolvedWallMs),
    inhibited_by: alert.inhibitedBy,
    fingerprint: alert.fingerprint,
  };
}

export function rolloutJson(rollout: RolloutUpdate): JsonObject {
  return {
    kind: 'rollout',
    id: rollout.id,
    state: rollout.state,
    reason: rollout.reason,
    action: actionFromWire(rollout.action) ?? rollout.action.toLowerCase(),
    batch: rollout.batch,
    batches: rollout.batches,
    actor: rollout.actor,
    started_at: instantOrNull(rollout.startedWallMs),
    partial: rollout.partial,
    targets: rollout.targets.map(rolloutTargetJson),
  };
}

function rolloutTargetJson({ target, batch, state, message }: RolloutTarget): JsonObject {
  const { host = '', group = '', process = '' } = target ?? {};
  return { host, group, process, batch, state, message };
}

/** The last line of every command. */
export function summaryJson(
  targets: number,
  results: Readonly<Record<string, number>>,
  exit: number,
  more: JsonObject = {},
): JsonObject {
  return { kind: 'summary', targets, results, exit, ...more };
}
