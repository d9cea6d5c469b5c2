// The lines of the activity log that supervision writes, in Supervisor's exact words (spec process 3, 4, 6, 7).
// Names are plain process names, as Supervisor prints them there. Pure text, no behaviour.
import type { EngineSignal, ExitStatus } from './types.js';

/** Reason of a process that ended before `startsecs`; the XML-RPC edge reports exit status 0 with it. */
export const EXITED_TOO_QUICKLY = 'Exited too quickly (process log may have details)';

/** `exit status 1`, `terminated by SIGKILL (core dumped)`, `signal 35`; ours: `exit status not observed`. */
export function describeExit(exit: ExitStatus): string {
  switch (exit.kind) {
    case 'code':
      return `exit status ${exit.code}`;
    case 'signal': {
      const how = exit.name === undefined ? `signal ${exit.signal}` : `terminated by ${exit.name}`;
      return exit.coreDumped ? `${how} (core dumped)` : how;
    }
    case 'unobserved':
      return 'exit status not observed';
  }
}

/** Spawn error after an unexpected exit; death by signal counts as -1 (spec process 3). */
export function badExit(exit: ExitStatus): string {
  if (exit.kind === 'unobserved') return 'Exit status not observed';
  return `Bad exit code ${exit.kind === 'code' ? exit.code : -1}`;
}

/** The signal as Supervisor prints it: its name, else its number. */
export function signalText(signal: EngineSignal): string {
  return signal.name ?? String(signal.number);
}

export const lines = {
  spawned: (name: string, pid: number) => `spawned: '${name}' with pid ${pid}`,
  spawnError: (text: string) => `spawnerr: ${text}`,
  success: (name: string, startMs: number) =>
    `success: ${name} entered RUNNING state, process has stayed up for ` +
    `> than ${startMs / 1000} seconds (startsecs)`,
  exited: (name: string, exit: ExitStatus, expected: boolean) =>
    `exited: ${name} (${describeExit(exit)}; ${expected ? 'expected' : 'not expected'})`,
  stopped: (name: string, exit: ExitStatus) => `stopped: ${name} (${describeExit(exit)})`,
  gaveUp: (name: string) =>
    `gave up: ${name} entered FATAL state, too many start retries too quickly`,
  stopInBackoff: (name: string) => `Attempted to kill ${name}, which is in BACKOFF state.`,
  killing: (name: string, pid: number, signal: EngineSignal, asGroup: boolean) =>
    `killing ${name} (pid ${pid}) ${asGroup ? 'process group ' : ''}` +
    `with signal ${signalText(signal)}`,
  killingHard: (name: string, pid: number) => `killing '${name}' (${pid}) with SIGKILL`,
  notRunning: (name: string, signal: EngineSignal) =>
    `attempted to kill ${name} with sig ${signalText(signal)} but it wasn't running`,
  notRunningToSend: (name: string, signal: EngineSignal) =>
    `attempted to send ${name} sig ${signalText(signal)} but it wasn't running`,
  sending: (name: string, pid: number, signal: EngineSignal) =>
    `sending ${name} (pid ${pid}) sig ${signalText(signal)}`,
  gone: (name: string, pid: number, plain: boolean) =>
    `unable to signal ${name} (pid ${pid}), it probably just ${plain ? 'now ' : ''}exited ` +
    `on its own: [Errno 3] No such process`,
  killFailed: (name: string, pid: number, error: string) =>
    `unknown problem killing ${name} (${pid}):${error}`,
  sendFailed: (name: string, pid: number, error: string) =>
    `unknown problem sending sig ${name} (${pid}):${error}`,
  waitingToStop: (name: string) => `waiting for ${name} to stop`,
  waitingToDie: (names: readonly string[]) => `waiting for ${names.join(', ')} to die`,
  reapedUnknown: (pid: number, exit: ExitStatus) =>
    `reaped unknown pid ${pid} (${describeExit(exit)})`,
  unknownState: (name: string, reason: string) =>
    `${name} entered UNKNOWN state: ${reason}; the other processes are not affected`,
};
