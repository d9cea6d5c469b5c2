// Going to the background: a second copy of this program in its own session, while the first waits for its verdict.
// Invariant: the first copy's exit code tells whether the daemon came up, and everything it had to say was printed.
import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';

/** Names the descriptor on which the second copy reports; removed from the environment before children see it. */
export const REPORT_VARIABLE = 'FLEETVISOR_REPORT_FD';
const REPORT_FD = 3;
/** What the second copy says when it is up. */
const READY = '\0ready\n';
const EXIT_ERROR = 1;

/** Starts the second copy and resolves with the exit code of the first. */
export function runInBackground(env: Readonly<Record<string, string>>): Promise<number> {
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(process.execPath, args, {
    detached: true,
    env: { ...env, [REPORT_VARIABLE]: String(REPORT_FD) },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve) => {
    let isReady = false;
    const report = child.stdio[REPORT_FD];
    report?.on('data', (chunk: Buffer) => {
      const text = chunk.toString('utf8');
      isReady ||= text.includes(READY);
      process.stderr.write(text.replace(READY, ''));
      if (!isReady) return;
      child.unref();
      resolve(0);
    });
    child.once('error', (error) => {
      process.stderr.write(`Error: could not go to the background: ${error.message}\n`);
      resolve(EXIT_ERROR);
    });
    child.once('close', (code) => resolve(isReady ? 0 : (code ?? EXIT_ERROR)));
  });
}

/** The second copy's side. In the foreground it prints to stderr and `ready` does nothing. */
export interface Report {
  readonly isDaemon: boolean;
  /** Something for whoever started the agent. */
  say(text: string): void;
  /** The agent is up: the first copy may go. */
  ready(): void;
}

/** `fdText` is the value of REPORT_VARIABLE. */
export function openReport(fdText: string | undefined): Report {
  const fd = fdText === undefined ? undefined : Number(fdText);
  let isOpen = fd !== undefined;
  const send = (text: string): void => {
    if (fd === undefined || !isOpen) return;
    try {
      writeSync(fd, text);
    } catch {
      // The first copy was killed: nobody is left to tell.
      isOpen = false;
    }
  };
  return {
    isDaemon: fd !== undefined,
    say(text) {
      if (fd === undefined) process.stderr.write(text);
      else send(text);
    },
    ready() {
      send(READY);
      if (fd !== undefined && isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}
