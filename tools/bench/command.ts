// Times whole commands, as a user waits for them.
import { spawn } from 'node:child_process';
import { nowMs } from './clock.js';

/** Milliseconds from spawn to the end of a command that must succeed. */
export async function timeCommand(
  program: string,
  argv: readonly string[],
  linesMin = 0,
): Promise<number> {
  const startedAtMs = nowMs();
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const ms = nowMs() - startedAtMs;
  const lines = output.split('\n').length - 1;
  if (code !== 0 || lines < linesMin) {
    throw new Error(
      `${program} ${argv.join(' ')}: exit ${String(code)}, ${lines} lines: ${output.slice(0, 300)}`,
    );
  }
  return ms;
}
