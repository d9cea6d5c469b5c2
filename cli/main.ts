// ctl: decides between one host and the fleet, loads only what that needs, and is the one place that exits.
// Invariant: every error ends in one sentence with what to do, and in an exit code of the table (spec fleet 8).
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../common/clock.js';
import { exitCodeOf, FleetError } from '../common/errors.js';
import { systemRandom } from '../common/random.js';
import { decideMode } from './mode.js';
import { asksForJson, standardOutput, type Output } from './output.js';

const SIGINT_EXIT = 130;

async function main(argv: readonly string[]): Promise<number> {
  const { env } = process;
  // A reader like `head` that has seen enough ends us, as it would end any filter.
  const out = standardOutput(env, () => process.exit(0));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(SIGINT_EXIT);
      stop.abort();
    });
  }
  const mode = decideMode(argv, { controller: knowsController(env) });
  try {
    if (mode === 'local') {
      const { runLocal } = await import('./local/run.js');
      const program = process.argv[1] ?? 'ctl';
      const world = { out, env, program, cwd: process.cwd(), signal: stop.signal };
      return await runLocal(argv, world);
    }
    const { runFleet } = await import('./program.js');
    const world = { out, env, clock: systemClock, random: systemRandom, signal: stop.signal };
    return await runFleet(argv, world);
  } catch (error) {
    return explain(error, argv, out);
  }
}

function knowsController(env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['FLEETVISOR_CONTROLLER']) return true;
  const base = env['XDG_CONFIG_HOME'] || join(env['HOME'] ?? homedir(), '.config');
  return existsSync(join(base, 'fleetvisor/ctl.conf'));
}

/** Prints what went wrong and what to do; with --json also the summary that scripts wait for. */
async function explain(error: unknown, argv: readonly string[], out: Output): Promise<number> {
  const known = error instanceof FleetError;
  const exit = known ? exitCodeOf(error.code) : 1;
  const message = error instanceof Error ? error.message : String(error);
  out.complain(`ctl: ${message}`);
  if (known && error.hint !== '') out.complain(`     ${error.hint}`);
  if (!known && error instanceof Error && process.env['FLEETVISOR_DEBUG']) {
    out.complain(error.stack ?? '');
  }
  if (asksForJson(argv)) {
    const detail = { code: known ? error.code : 'INTERNAL', message };
    await out.json({ kind: 'summary', targets: 0, results: {}, exit, error: detail });
  }
  return exit;
}

/**
 * Exits once what was written has arrived. Not left to an empty event loop: a connection to an address that accepts
 * and then says nothing would keep it busy until the other end goes away.
 */
function leave(exit: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exit)));
}

main(process.argv.slice(2)).then(
  (exit) => leave(exit),
  (error: unknown) => {
    console.error(error);
    leave(1);
  },
);
