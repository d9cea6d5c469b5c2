// Signals and ends in the engine's words: from what clients type and from what the keeper reports. Pure.
import { isSignalNumber, signalName, signalNumber } from '../common/signals.js';
import type { EngineSignal, ExitStatus } from './engine/types.js';
import type { WaitStatus } from './spawner.js';

/**
 * A signal as clients write it: a name with or without SIG in any case, blanks around it, or a number.
 * undefined: no such signal on this system (spec xmlrpc 8.3).
 */
export function parseSignal(text: string): EngineSignal | undefined {
  const word = text.trim().toUpperCase();
  if (/^\d+$/.test(word)) {
    const number = Number(word);
    return isSignalNumber(number) ? { number, name: signalName(number) } : undefined;
  }
  const number = signalNumber(word.startsWith('SIG') ? word : `SIG${word}`);
  return number === undefined ? undefined : { number, name: signalName(number) };
}

/** The keeper's wait status in the engine's words. */
export function toExitStatus(status: WaitStatus | 'unknown'): ExitStatus {
  if (status === 'unknown') return { kind: 'unobserved' };
  if (status.kind === 'code') return { kind: 'code', code: status.code };
  return {
    kind: 'signal',
    signal: status.signal,
    name: signalName(status.signal),
    coreDumped: status.coreDumped,
  };
}
