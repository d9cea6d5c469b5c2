// Compiles agent/keeper/keeper.c, the one native part. Skipped when the program is newer than its source.
// Static where the C library allows it, so that a release's program runs on any distribution.
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('../agent/keeper/keeper.c', import.meta.url));
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];
const NO_COMPILER =
  'cannot build fleetvisor-keeper: no C compiler (cc) found; install one: apt-get install gcc libc6-dev';

/**
 * Compiles the keeper to `outDir`/fleetvisor-keeper and returns that path.
 * Throws one line when there is no compiler, or the compiler's own words when it fails.
 */
export async function buildKeeper(outDir) {
  const program = path.join(outDir, 'fleetvisor-keeper');
  if (await isNewer(program, SOURCE)) return program;
  await compileKeeper(program, ['-static'], ['-s']);
  return program;
}

/** Compiles a variant; `preferred` flags are given up when they do not link. Used by tests too. */
export async function compileKeeper(program, preferred, flags) {
  await mkdir(path.dirname(program), { recursive: true });
  // Written beside and renamed, so that a running keeper's file is never overwritten.
  const fresh = `${program}.${process.pid}.new`;
  const compile = async (extra) => {
    await run('cc', [...FLAGS, ...flags, ...extra, '-o', fresh, SOURCE]);
  };
  try {
    await compile(preferred).catch(async (error) => {
      if (error.code === 'ENOENT' || preferred.length === 0) throw error;
      await compile([]);
    });
    await rename(fresh, program);
  } catch (error) {
    await rm(fresh, { force: true });
    if (error.code === 'ENOENT') throw new Error(NO_COMPILER);
    throw new Error(
      `cannot build fleetvisor-keeper:\n${String(error.stderr ?? error.message).trim()}`,
    );
  }
}

async function isNewer(program, source) {
  try {
    const [built, written] = await Promise.all([stat(program), stat(source)]);
    return built.mtimeMs > written.mtimeMs;
  } catch {
    return false;
  }
}
