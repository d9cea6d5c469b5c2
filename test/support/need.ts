// What a test needs from the machine. Missing: the test is skipped by name; where CI=true it fails instead,
// so that a server or browser that went away is never taken for a pass.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs the tests use, and the Debian package that brings each. */
const PACKAGES: Readonly<Record<string, string>> = {
  'nats-server': 'nats-server',
  supervisord: 'supervisor',
  supervisorctl: 'supervisor',
  nginx: 'nginx-light',
  'redis-server': 'redis-server',
  gunicorn: 'gunicorn',
  chromium: 'chromium',
  cc: 'gcc',
  valgrind: 'valgrind',
};

/** Debian keeps servers where a user's PATH often does not look. */
const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin'];

/** The path of a program, or undefined when this machine lacks it. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...MORE_FOLDERS];
  for (const folder of folders.filter((path) => path !== '')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/**
 * For a test's options: `test('...', { skip: needs('nats-server') }, ...)`. False when all programs are there,
 * else the reason to skip. Throws where CI=true.
 */
export function needs(...programs: readonly string[]): string | false {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return false;
  const packages = missing.map((name) => PACKAGES[name] ?? name).join(' ');
  return missingReason(`no ${missing.join(', ')} here (apt-get install ${packages})`);
}

/** The same for tests that only root can run: other users, chown, privileged ports. */
export function needsRoot(): string | false {
  if (process.getuid?.() === 0) return false;
  return missingReason('needs root');
}

/** Skips with `reason`; where CI=true it throws instead. */
export function missingReason(reason: string): string {
  if (process.env['CI'] === 'true') throw new Error(`${reason}, and CI=true allows no skipping`);
  return reason;
}
