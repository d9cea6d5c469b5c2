// The controller's state directory: where it is, that it can be written, that nobody else has it (design 7 State).
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { FleetError } from '../common/errors.js';
import { makeFolder } from '../common/folders.js';
import { acquireLock, type LockResult } from '../common/lock.js';
import { reasonOf } from '../common/log.js';

/** As configured, or below the system's or the user's place for state, by the configuration's path. */
export function stateDirOf(
  configured: string | undefined,
  configFile: string,
  env: Readonly<Record<string, string | undefined>>,
  isRoot: boolean,
): string {
  if (configured !== undefined) return configured;
  const id = createHash('sha256').update(resolve(configFile)).digest('hex').slice(0, 12);
  const given = env['STATE_DIRECTORY']?.split(':')[0];
  if (given !== undefined && given !== '') return join(given, id);
  if (isRoot) return join('/var/lib/fleetvisor', id);
  const xdg = env['XDG_STATE_HOME'];
  const root =
    xdg !== undefined && xdg.startsWith('/') ? xdg : join(env['HOME'] ?? '/', '.local/state');
  return join(root, 'fleetvisor', id);
}

/** Makes and locks it; returns what frees it. Throws FleetError CONFIG_INVALID. */
export function claimStateDir(dir: string): () => void {
  let lock: LockResult;
  try {
    makeFolder(dir, 0o700);
    lock = acquireLock(join(dir, 'controller.lock'));
  } catch (error) {
    throw new FleetError(
      'CONFIG_INVALID',
      `the state directory ${dir} cannot be written: ${reasonOf(error)}`,
      {
        hint: 'name another one with state_dir= in section [controller], or mend its permissions',
        cause: error,
      },
    );
  }
  if (lock.held) return lock.release;
  throw new FleetError(
    'CONFIG_INVALID',
    `another controller (pid ${lock.pid}) holds the state directory ${dir}`,
    { hint: 'stop it first, or give each its own state_dir=' },
  );
}
