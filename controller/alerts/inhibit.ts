// One cause, one page: which firing alert silences which (spec fleet D44). Pure.
import type { Alert } from './book.js';
import { PROCESS_RULE_NAMES } from './rules.js';

/**
 * The key of the alert, or `rollout ID`, that silences `alert`; undefined: it may be sent.
 * `rolloutOf` says which open rollout a process is a target of.
 */
export function inhibitedBy(
  alert: Alert,
  firing: readonly Alert[],
  rolloutOf: (host: string, group: string, process: string) => string | undefined,
): string | undefined {
  if (!PROCESS_RULE_NAMES.has(alert.name)) return undefined;
  const host = alert.labels.get('host') ?? '';
  const down = firing.find(
    (other) => other.name === 'HostDown' && other.labels.get('host') === host,
  );
  if (down) return down.key;
  const rollout = rolloutOf(
    host,
    alert.labels.get('group') ?? '',
    alert.labels.get('process') ?? '',
  );
  return rollout === undefined ? undefined : `rollout ${rollout}`;
}
