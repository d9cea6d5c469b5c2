// Who may do what through this controller: roles of the `[user:NAME]` sections (spec fleet 13).
// Invariants: with any such section, who is not named may do nothing; one target outside the scope denies all.
import { FleetError } from '../common/errors.js';
import type { TargetName } from '../common/rows.js';
import {
  EVERYTHING,
  resolveTargets,
  type SelectableHost,
  type SelectableRow,
} from '../common/selector.js';
import type { UserConfig } from './config.js';
import type { Role } from './schema.js';

export type Hosts = readonly SelectableHost<SelectableRow>[];

/** What a caller wants: see the fleet, read logs, act on processes. */
export type Wish = 'view' | 'logs' | 'operate';

const ALLOWS: Readonly<Record<Wish, readonly Role[]>> = {
  view: ['viewer', 'operator', 'admin'],
  logs: ['logs', 'operator', 'admin'],
  operate: ['operator', 'admin'],
};

export class Access {
  constructor(private readonly users: ReadonlyMap<string, UserConfig>) {}

  /** Throws DENIED unless the user may do it somewhere. */
  mayAtAll(user: string, wish: Wish): void {
    if (this.users.size === 0 || this.grants(user, wish).length > 0) return;
    throw this.denied(user, wish, 'anywhere');
  }

  /** Throws DENIED unless the user may do it to every target (spec fleet D54). */
  may(user: string, wish: Wish, targets: readonly TargetName[], hosts: Hosts): void {
    if (this.users.size === 0) return;
    const allowed = new Set<string>();
    for (const selector of this.grants(user, wish)) {
      const spec = { ...EVERYTHING, selectors: [selector] };
      for (const target of resolveTargets(spec, hosts, false).targets) allowed.add(keyOf(target));
    }
    const outside = targets.find((target) => !allowed.has(keyOf(target)));
    if (outside !== undefined) throw this.denied(user, wish, keyOf(outside));
  }

  private grants(user: string, wish: Wish): readonly string[] {
    return (this.users.get(user)?.grants ?? [])
      .filter(({ role }) => ALLOWS[wish].includes(role))
      .map(({ selector }) => selector);
  }

  private denied(user: string, wish: Wish, where: string): FleetError {
    const named = this.users.has(user) ? '' : `; there is no section [user:${user}]`;
    return new FleetError('DENIED', `user ${user} may not ${wish} ${where}${named}`, {
      hint: `an admin grants it in the controller's configuration: [user:${user}] grant=ROLE on SELECTOR`,
    });
  }
}

function keyOf(target: TargetName): string {
  return `${target.host}:${target.group}:${target.process}`;
}
