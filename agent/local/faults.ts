// Supervisor's faults by name and number (spec xmlrpc 4), and the error that carries one to the client.

/** Fault codes on the wire. */
export const FAULTS = {
  UNKNOWN_METHOD: 1,
  INCORRECT_PARAMETERS: 2,
  BAD_ARGUMENTS: 3,
  SIGNATURE_UNSUPPORTED: 4,
  SHUTDOWN_STATE: 6,
  BAD_NAME: 10,
  BAD_SIGNAL: 11,
  NO_FILE: 20,
  NOT_EXECUTABLE: 21,
  FAILED: 30,
  ABNORMAL_TERMINATION: 40,
  SPAWN_ERROR: 50,
  ALREADY_STARTED: 60,
  NOT_RUNNING: 70,
  SUCCESS: 80,
  ALREADY_ADDED: 90,
  STILL_RUNNING: 91,
  CANT_REREAD: 92,
} as const;

export type FaultName = keyof typeof FAULTS;

/** Thrown by a method; answered as a fault with HTTP status 200. */
export class RpcFault extends Error {
  readonly code: number;

  constructor(fault: FaultName, detail = '') {
    super(detail === '' ? fault : `${fault}: ${detail}`);
    this.name = 'RpcFault';
    this.code = FAULTS[fault];
  }
}

/** The fault behind a name; names that are none of ours count as FAILED. */
export function faultName(name: string): FaultName {
  return Object.hasOwn(FAULTS, name) ? (name as FaultName) : 'FAILED';
}
