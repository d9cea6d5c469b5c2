// Runs other programs for the scripts in this folder: one place for spawning, exit codes and the root folder.
// Plain JavaScript on Node alone, since these scripts run before any dependency is installed.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/**
 * Runs a program in the root folder. `quiet` collects stdout and stderr instead of showing them.
 * Resolves, never rejects: `code` is the exit status, 128 + n after a signal, 127 when it cannot start.
 * @param {string} program
 * @param {readonly string[]} argv
 * @param {{ quiet?: boolean, env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 * @returns {Promise<{ code: number, output: string }>}
 */
export function run(program, argv, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, argv, {
      cwd: options.cwd ?? root,
      env: options.env ?? process.env,
      stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    });
    let output = '';
    const collect = (chunk) => (output += chunk);
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', (error) => resolve({ code: 127, output: `${program}: ${error.message}\n` }));
    child.on('close', (code, signal) => resolve({ code: code ?? exitOfSignal(signal), output }));
  });
}

/** Seconds since `startedMs` (performance.now()), as `12.3 s`. */
export function since(startedMs) {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

/** A failure that is the user's to mend: printed as one line, without a stack. */
export class ToolError extends Error {}

/** Runs a script's `main`; a ToolError becomes one line and exit 1, anything else keeps its stack. */
export async function runScript(name, main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}

/** Whether the file at `moduleUrl` is the program that node was started with. */
export function isMain(moduleUrl) {
  return process.argv[1] !== undefined && fileURLToPath(moduleUrl) === process.argv[1];
}

function exitOfSignal(signal) {
  return { SIGHUP: 129, SIGINT: 130, SIGKILL: 137, SIGTERM: 143 }[signal] ?? 128;
}
