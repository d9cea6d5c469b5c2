// What start, stop and signal say of each fault, and which faults count for the exit code (spec ctl 4, 5).
import { FAULTS } from '../../common/errors.js';
import type { XmlValue } from '../../common/xmlrpc.js';

/** Faults after which a program is not running: exit 7. */
export const DEAD_PROGRAM: ReadonlySet<number> = new Set([
  FAULTS.SPAWN_ERROR,
  FAULTS.ABNORMAL_TERMINATION,
  FAULTS.NOT_RUNNING,
]);
/** What `start` says of a fault. */
export const START_ERRORS: Readonly<Record<number, string>> = {
  [FAULTS.BAD_NAME]: 'no such process',
  [FAULTS.NO_FILE]: 'no such file',
  [FAULTS.NOT_EXECUTABLE]: 'file is not executable',
  [FAULTS.ALREADY_STARTED]: 'already started',
  [FAULTS.SPAWN_ERROR]: 'spawn error',
  [FAULTS.ABNORMAL_TERMINATION]: 'abnormal termination',
};
/** What `stop` says of a fault. */
export const STOP_ERRORS: Readonly<Record<number, string>> = {
  [FAULTS.BAD_NAME]: 'no such process',
  [FAULTS.NOT_RUNNING]: 'not running',
};
/** What `signal` says of a fault. */
export const SIGNAL_ERRORS: Readonly<Record<number, string>> = {
  [FAULTS.BAD_NAME]: 'no such process',
  [FAULTS.BAD_SIGNAL]: 'bad signal name',
  [FAULTS.NOT_RUNNING]: 'not running',
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
