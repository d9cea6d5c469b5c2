// What each signal makes the agent do (spec process 10): SIGHUP restarts, SIGUSR2 reopens logs, the others end it.
// Invariant: once an end has begun, SIGHUP changes nothing.
import type { ActivityLog } from './logs/activity.js';

/** Signals as Supervisor takes them (spec process 10); returns the way to stop listening. */
export function listenToSignals(
  log: ActivityLog,
  act: {
    readonly shutdown: () => void;
    /** Throws when the configuration does not allow it. */
    readonly restart: () => void;
    readonly reopenLogs: () => void;
  },
): () => void {
  let stopping = false;
  const exitRequest = (signal: NodeJS.Signals): void => {
    log.log('warn', `received ${signal} indicating exit request`);
    stopping = true;
    act.shutdown();
  };
  const handlers: Partial<Record<NodeJS.Signals, (signal: NodeJS.Signals) => void>> = {
    SIGTERM: exitRequest,
    SIGINT: exitRequest,
    SIGQUIT: exitRequest,
    SIGHUP: () => {
      if (stopping) {
        log.log('warn', 'ignored SIGHUP indicating restart request (shutdown in progress)');
        return;
      }
      log.log('warn', 'received SIGHUP indicating restart request');
      try {
        act.restart();
        stopping = true;
      } catch (error) {
        // Supervisor would stop everything and then die of it; what runs is better than that.
        log.log('critical', `not restarted: ${(error as Error).message.trim()}`);
      }
    },
    SIGUSR2: () => {
      log.log('info', 'received SIGUSR2 indicating log reopen request');
      act.reopenLogs();
    },
    // Without a listener Node opens its debugger on this signal.
    SIGUSR1: () => log.log('debug', 'received SIGUSR1, ignored'),
  };
  const entries = Object.entries(handlers) as [NodeJS.Signals, () => void][];
  for (const [signal, handler] of entries) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of entries) process.off(signal, handler);
  };
}
