// What start, stop and signal say of each fault, and which faults count for the exit code (spec ctl 4, 5).
import type { XmlValue } from '../../common/xmlrpc.js';

/** Supervisor's fault numbers (spec xmlrpc 4). */
export const FAULT = {
  unknownMethod: 1,
  badName: 10,
  badSignal: 11,
  noFile: 20,
  notExecutable: 21,
  failed: 30,
  abnormalTermination: 40,
  spawnError: 50,
  alreadyStarted: 60,
  notRunning: 70,
  success: 80,
} as const;
/** Faults after which a program is not running: exit 7. */
export const DEAD_PROGRAM: ReadonlySet<number> = new Set([
  FAULT.spawnError,
  FAULT.abnormalTermination,
  FAULT.notRunning,
]);
/** What `start` says of a fault. */
export const START_ERRORS: Readonly<Record<number, string>> = {
  [FAULT.badName]: 'no such process',
  [FAULT.noFile]: 'no such file',
  [FAULT.notExecutable]: 'file is not executable',
  [FAULT.alreadyStarted]: 'already started',
  [FAULT.spawnError]: 'spawn error',
  [FAULT.abnormalTermination]: 'abnormal termination',
};
/** What `stop` says of a fault. */
export const STOP_ERRORS: Readonly<Record<number, string>> = {
  [FAULT.badName]: 'no such process',
  [FAULT.notRunning]: 'not running',
};
/** What `signal` says of a fault. */
export const SIGNAL_ERRORS: Readonly<Record<number, string>> = {
  [FAULT.badName]: 'no such process',
  [FAULT.badSignal]: 'bad signal name',
  [FAULT.notRunning]: 'not running',
};

/** How an action changes processes, and what it says. */
export interface Verb {
  readonly name: 'start' | 'stop' | 'signal';
  readonly done: string;
  readonly errors: Readonly<Record<number, string>>;
  /** A fault that is no failure for the exit code. */
  readonly harmless: number | undefined;
  readonly noSuchGroup: number;
  /** Arguments after the name. */
  readonly more: readonly XmlValue[];
}

/** A verb; `more`: arguments after the name. */
export function verb(
  name: Verb['name'],
  done: string,
  errors: Verb['errors'],
  harmless: number | undefined,
  noSuchGroup: number,
  more: readonly XmlValue[] = [],
): Verb {
  return { name, done, errors, harmless, noSuchGroup, more };
}
