// The error that carries one of Supervisor's faults to the client of an RPC method; their numbers are in common/errors.ts.
import { FAULTS, type FaultName } from '../../common/errors.js';

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
