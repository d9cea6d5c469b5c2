// Becoming `[supervisord] user=` before anything is opened (spec config 11).
import type { UserRef } from './config/types.js';

export type DropResult =
  | { readonly ok: true; readonly level: 'info' | 'critical' | undefined; readonly text: string }
  /** `text` comes after `Error: `; exit code 2. */
  | { readonly ok: false; readonly text: string };

const ROOT_WARNING =
  'Supervisor is running as root.  Privileges were not dropped because no user is specified in the config ' +
  'file.  If you intend to run as root, you can set user=root in the config file to avoid this message.';

/** Switches user and groups for good; `groups`: primary first, then every group that lists the user. */
export function dropPrivileges(
  user: UserRef | undefined,
  groups: (user: UserRef) => readonly number[],
): DropResult {
  const uid = process.getuid?.() ?? 0;
  if (user === undefined)
    return { ok: true, level: uid === 0 ? 'critical' : undefined, text: ROOT_WARNING };
  if (user.uid === uid) return { ok: true, level: undefined, text: '' };
  if (uid !== 0) return { ok: false, text: "Can't drop privilege as nonroot user" };
  try {
    process.setgroups?.([...groups(user)]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
  } catch (error) {
    return { ok: false, text: `could not become user ${user.text}: ${(error as Error).message}` };
  }
  return { ok: true, level: 'info', text: `Set uid to user ${user.uid} succeeded` };
}
