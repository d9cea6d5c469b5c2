// The life of a daemon: signals become an AbortSignal, what was started ends in reverse order within a limit, a
// second signal means now. Invariant: the process's exit code says whether it ended as asked.
import { reasonOf, type Logger } from './log.js';

/** How long an ordered end may take, milliseconds. */
export const SHUTDOWN_MS = 10_000;

/** What a daemon is given to run under. */
export interface Daemon {
  /** Aborts on the first SIGTERM, SIGINT or SIGQUIT, or when `fail` was called. */
  readonly signal: AbortSignal;
  /** Runs on the way out, last registered first; each is waited for. */
  onExit(what: string, end: () => void | Promise<void>): void;
  /** Something without which the daemon cannot go on; ends it with exit code 1. */
  fail(what: string, error: unknown): void;
}

/**
 * Runs a daemon and returns its exit code: 0 after a signal, 1 when starting failed or `fail` was called.
 * What `start` registered before it threw is undone, so nothing stays half started.
 */
export async function runDaemon(
  log: Logger,
  start: (daemon: Daemon) => Promise<void>,
): Promise<number> {
  const stop = new AbortController();
  const ends: { what: string; end: () => void | Promise<void> }[] = [];
  let code = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    // Somebody who asks twice does not want to wait for anything.
    if (stop.signal.aborted) process.exit(code === 0 ? 130 : code);
    log.info('stopping', { signal: name });
    stop.abort();
  };
  const names = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
  for (const name of names) process.on(name, onSignal);
  const fail = (what: string, error: unknown): void => {
    log.error('giving up', { what, reason: reasonOf(error) });
    code = 1;
    stop.abort();
  };
  try {
    await start({
      signal: stop.signal,
      onExit: (what, end) => void ends.push({ what, end }),
      fail,
    });
    await aborted(stop.signal);
  } catch (error) {
    code = 1;
    stop.abort();
    throw error;
  } finally {
    await endAll(log, ends);
    for (const name of names) process.off(name, onSignal);
  }
  return code;
}

async function endAll(
  log: Logger,
  ends: { what: string; end: () => void | Promise<void> }[],
): Promise<void> {
  const limit = new Promise<'late'>((resolve) => {
    setTimeout(() => resolve('late'), SHUTDOWN_MS).unref();
  });
  for (const { what, end } of ends.reverse()) {
    try {
      const how = await Promise.race([Promise.resolve(end()).then(() => 'done' as const), limit]);
      if (how === 'late') log.warn('not ended in time', { what });
    } catch (error) {
      log.warn('ended badly', { what, reason: reasonOf(error) });
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
