// Domain types <-> generated messages, both ways, in one place. Decoding checks what the types promise.
import type { Event as WireEvent } from '../proto/gen/fleetvisor/v1/event.js';
import { EventClass as WireClass } from '../proto/gen/fleetvisor/v1/event.js';
import type { Exit as WireExit } from '../proto/gen/fleetvisor/v1/process.js';
import {
  ProcessRow as WireRow,
  ProcessState as WireState,
} from '../proto/gen/fleetvisor/v1/process.js';
import {
  Action as WireAction,
  Outcome as WireOutcome,
} from '../proto/gen/fleetvisor/v1/session.js';
import type { HostHeader as WireHeader, HostRows } from '../proto/gen/fleetvisor/v1/control.js';
import type {
  Action,
  EventBody,
  Exit,
  FleetEvent,
  HostHeader,
  Outcome,
  ProcessRow,
} from './rows.js';
import type { Freshness, HostState, ProcessState } from './states.js';

const STATE_TO_WIRE: Readonly<Record<ProcessState, WireState>> = {
  STOPPED: WireState.STOPPED,
  STARTING: WireState.STARTING,
  RUNNING: WireState.RUNNING,
  BACKOFF: WireState.BACKOFF,
  STOPPING: WireState.STOPPING,
  EXITED: WireState.EXITED,
  FATAL: WireState.FATAL,
  UNKNOWN: WireState.UNKNOWN,
};
const OUTCOME_TO_WIRE: Readonly<Record<Outcome, WireOutcome>> = {
  ok: WireOutcome.OK,
  already: WireOutcome.ALREADY,
  failed: WireOutcome.FAILED,
  denied: WireOutcome.DENIED,
  locked: WireOutcome.LOCKED,
  conflict: WireOutcome.CONFLICT,
  busy: WireOutcome.BUSY,
  unreachable: WireOutcome.UNREACHABLE,
  timeout: WireOutcome.TIMEOUT,
  interrupted: WireOutcome.INTERRUPTED,
  skipped: WireOutcome.SKIPPED,
};
const ACTION_TO_WIRE: Readonly<Record<Action, WireAction>> = {
  start: WireAction.START,
  stop: WireAction.STOP,
  restart: WireAction.RESTART,
  signal: WireAction.SIGNAL,
};

function invert<K extends string, V extends string>(table: Readonly<Record<K, V>>): Map<V, K> {
  return new Map((Object.entries(table) as [K, V][]).map(([key, value]) => [value, key]));
}
const STATE_FROM_WIRE = invert(STATE_TO_WIRE);
const OUTCOME_FROM_WIRE = invert(OUTCOME_TO_WIRE);
const ACTION_FROM_WIRE = invert(ACTION_TO_WIRE);

export const stateToWire = (state: ProcessState): WireState => STATE_TO_WIRE[state];
/** A state this version does not know is shown as UNKNOWN, never as a healthy one. */
export const stateFromWire = (state: WireState): ProcessState =>
  STATE_FROM_WIRE.get(state) ?? 'UNKNOWN';
export const outcomeToWire = (outcome: Outcome): WireOutcome => OUTCOME_TO_WIRE[outcome];
export const outcomeFromWire = (outcome: WireOutcome): Outcome =>
  OUTCOME_FROM_WIRE.get(outcome) ?? 'failed';
export const actionToWire = (action: Action): WireAction => ACTION_TO_WIRE[action];
/** undefined: an action this version does not know, to be refused. */
export const actionFromWire = (action: WireAction): Action | undefined =>
  ACTION_FROM_WIRE.get(action);

function exitToWire(exit: Exit | undefined): WireExit | undefined {
  if (exit === undefined) return undefined;
  switch (exit.kind) {
    case 'code':
      return { how: { $case: 'code', value: exit.code } };
    case 'signal':
      return { how: { $case: 'signal', value: exit.signal } };
    case 'unobserved':
      return { how: { $case: 'unobserved', value: true } };
  }
}

function exitFromWire(exit: WireExit | undefined): Exit | undefined {
  switch (exit?.how?.$case) {
    case 'code':
      return { kind: 'code', code: exit.how.value };
    case 'signal':
      return { kind: 'signal', signal: exit.how.value };
    case 'unobserved':
      return { kind: 'unobserved' };
    case undefined:
      return undefined;
  }
}

export function rowToWire(row: ProcessRow): WireRow {
  const { state, exit, ...same } = row;
  return { ...same, state: stateToWire(state), exit: exitToWire(exit) };
}

export function rowFromWire(row: WireRow): ProcessRow {
  const { state, exit, ...same } = row;
  return { ...same, state: stateFromWire(state), exit: exitFromWire(exit) };
}

/** The row's bytes as they stand inside any repeated field. */
export function encodeRow(row: ProcessRow): Uint8Array {
  return WireRow.encode(rowToWire(row)).finish();
}

function bodyToWire(body: EventBody): NonNullable<WireEvent['body']> {
  switch (body.kind) {
    case 'process-changed':
      return {
        $case: 'processChanged',
        value: {
          fromState: stateToWire(body.from),
          toState: stateToWire(body.to),
          row: rowToWire(body.row),
          expected: body.expected,
        },
      };
    case 'group-added':
      return {
        $case: 'groupAdded',
        value: { group: body.group, rows: body.rows.map(rowToWire) },
      };
    case 'group-removed':
      return { $case: 'groupRemoved', value: { group: body.group } };
    case 'agent-changed':
      return { $case: 'agentChanged', value: { state: body.state, detail: body.detail } };
    case 'spool-gap':
      return {
        $case: 'spoolGap',
        value: { firstSeq: body.firstSeq, lastSeq: body.lastSeq, reason: body.reason },
      };
    case 'host-changed':
      return {
        $case: 'hostChanged',
        value: { fromState: body.from, toState: body.to, detail: body.detail },
      };
    case 'payload':
      return { $case: 'payload', value: Buffer.from(body.data) };
  }
}

function bodyFromWire(body: WireEvent['body']): EventBody {
  switch (body?.$case) {
    case 'processChanged': {
      if (body.value.row === undefined) throw new Error('event: process_changed without a row');
      return {
        kind: 'process-changed',
        from: stateFromWire(body.value.fromState),
        to: stateFromWire(body.value.toState),
        row: rowFromWire(body.value.row),
        expected: body.value.expected,
      };
    }
    case 'groupAdded':
      return {
        kind: 'group-added',
        group: body.value.group,
        rows: body.value.rows.map(rowFromWire),
      };
    case 'groupRemoved':
      return { kind: 'group-removed', group: body.value.group };
    case 'agentChanged':
      return { kind: 'agent-changed', state: body.value.state, detail: body.value.detail };
    case 'spoolGap':
      return {
        kind: 'spool-gap',
        firstSeq: body.value.firstSeq,
        lastSeq: body.value.lastSeq,
        reason: body.value.reason,
      };
    case 'hostChanged':
      return {
        kind: 'host-changed',
        from: body.value.fromState,
        to: body.value.toState,
        detail: body.value.detail,
      };
    case 'payload':
      return { kind: 'payload', data: body.value };
    case undefined:
      return { kind: 'payload', data: new Uint8Array() };
  }
}

export function eventToWire(event: FleetEvent): WireEvent {
  const { class: eventClass, body, ...same } = event;
  return {
    ...same,
    class: eventClass === 'P0' ? WireClass.P0 : WireClass.P1,
    body: bodyToWire(body),
  };
}

/** Throws when a body lacks what its kind promises. */
export function eventFromWire(event: WireEvent): FleetEvent {
  const { class: eventClass, body, ...same } = event;
  return {
    ...same,
    class: eventClass === WireClass.P0 ? 'P0' : 'P1',
    body: bodyFromWire(body),
  };
}

export function headerToWire(header: HostHeader): WireHeader {
  const { labels, ...same } = header;
  return { ...same, labels: [...labels].map(([key, value]) => ({ key, value })) };
}

export function headerFromWire(header: WireHeader): HostHeader {
  const { labels, ...same } = header;
  return {
    ...same,
    state: header.state as HostState,
    freshness: header.freshness as Freshness,
    path: header.path as HostHeader['path'],
    labels: new Map(labels.map(({ key, value }) => [key, value])),
  };
}

/** One host of a status answer; throws when the header is missing. */
export function hostRowsFromWire(host: HostRows): {
  header: HostHeader;
  rows: readonly ProcessRow[];
} {
  if (host.header === undefined) throw new Error('status: a host without a header');
  return { header: headerFromWire(host.header), rows: host.rows.map(rowFromWire) };
}
