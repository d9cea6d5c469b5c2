// Starting, stopping and signalling by RPC: one process, a group, or all, with Supervisor's rows (spec xmlrpc 6, 8.3).
// Invariants: members begin in priority order and run side by side; one member's failure never fails the call.
import { FAULTS } from '../../common/errors.js';
import { formatNameSpec, parseNameSpec, type NameSpec } from '../../common/names.js';
import { RUNNING_STATES, SIGNALLABLE_STATES, type ProcessState } from '../../common/states.js';
import type { XmlValue } from '../../common/xmlrpc.js';
import type { CoreRequest, CoreResult } from '../core.js';
import { parseSignal } from '../engine-words.js';
import type { Supervision } from '../supervision.js';
import { faultName, RpcFault } from './faults.js';

/** What to do to each process of a call. */
export type Act =
  | { readonly action: 'start' | 'stop'; readonly wait: boolean }
  | { readonly action: 'signal'; readonly signal: string };

/** `name`, `group:name`, or a whole group as `group:*` and `group:`. */
export function parseTarget(text: string): NameSpec | { readonly group: string } {
  const name = parseNameSpec(text);
  if (text.includes(':') && (name.process === '' || name.process === '*'))
    return { group: name.group };
  return name;
}

/** Whether an act says anything to a process in this state; others are passed over in groups. */
function applies(act: Act, state: ProcessState): boolean {
  switch (act.action) {
    case 'start':
      return !RUNNING_STATES.has(state);
    case 'stop':
      return RUNNING_STATES.has(state);
    case 'signal':
      return SIGNALLABLE_STATES.has(state);
  }
}

function toRequest(act: Act, name: NameSpec): CoreRequest {
  const head = { name, cause: '', until: 'settled' as const };
  if (act.action === 'signal') return { ...head, action: 'signal', signal: act.signal };
  return { ...head, action: act.action, until: act.wait ? 'settled' : 'accepted' };
}

/** Throws the fault of a result; `sent` is the name as the client wrote it. */
function checkResult(result: CoreResult, sent: string): void {
  if (result.outcome === 'ok') return;
  const fault = faultName(result.fault);
  switch (fault) {
    case 'NO_FILE':
    case 'NOT_EXECUTABLE':
    case 'FAILED':
      throw new RpcFault(fault, result.text);
    case 'BAD_SIGNAL':
      throw new RpcFault(fault, result.text);
    case 'SHUTDOWN_STATE':
      throw new RpcFault(fault);
    default:
      throw new RpcFault(fault, sent);
  }
}

/** One process, or the rows of a whole group when the name says so. */
export async function actOnName(core: Supervision, act: Act, sent: string): Promise<XmlValue> {
  const target = parseTarget(sent);
  if (!('process' in target)) {
    if (!hasGroup(core, target.group)) throw new RpcFault('BAD_NAME', sent);
    return actOnGroup(core, act, target.group);
  }
  if (core.row(target) === undefined) throw new RpcFault('BAD_NAME', sent);
  checkSignal(act);
  checkResult(await core.execute(toRequest(act, target)), sent);
  return true;
}

/** A plain group name. */
export async function actOnGroup(core: Supervision, act: Act, group: string): Promise<XmlValue> {
  const found = core.groups().find((each) => each.name === group);
  if (found === undefined) throw new RpcFault('BAD_NAME', group);
  return actOnMany(
    core,
    act,
    byPriority(found.processes).map(({ name }) => ({ group, process: name })),
  );
}

export async function actOnAll(core: Supervision, act: Act): Promise<XmlValue> {
  const names = core
    .groups()
    .flatMap((group) =>
      byPriority(group.processes).map(({ name }) => ({ group: group.name, process: name })),
    );
  return actOnMany(core, act, names);
}

function hasGroup(core: Supervision, group: string): boolean {
  return core.groups().some((each) => each.name === group);
}

function byPriority<T extends { readonly policy: { readonly priority: number } }>(
  processes: readonly T[],
): readonly T[] {
  return [...processes].sort((a, b) => a.policy.priority - b.policy.priority);
}

/** A bad signal is a fault before the state is looked at (spec xmlrpc 8.3). */
function checkSignal(act: Act): void {
  if (act.action === 'signal' && parseSignal(act.signal) === undefined)
    throw new RpcFault('BAD_SIGNAL', act.signal);
}

/** All at once; rows in the order in which they finish. */
async function actOnMany(
  core: Supervision,
  act: Act,
  names: readonly NameSpec[],
): Promise<XmlValue> {
  const rows: XmlValue[] = [];
  const chosen = names.filter((name) => {
    const row = core.row(name);
    return row !== undefined && applies(act, row.state);
  });
  await Promise.all(
    chosen.map(async (name) => {
      const head = { name: name.process, group: name.group };
      try {
        checkSignal(act);
        checkResult(await core.execute(toRequest(act, name)), formatNameSpec(name));
        rows.push({ ...head, status: FAULTS.SUCCESS, description: 'OK' });
      } catch (error) {
        if (!(error instanceof RpcFault)) throw error;
        rows.push({ ...head, status: error.code, description: error.message });
      }
    }),
  );
  return rows;
}
