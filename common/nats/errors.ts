// What the NATS client throws, in the words of the bus port.
import { NatsError } from 'nats';
import { BusError } from '../bus.js';

/** Why something failed, as text an operator can act on. */
export function reasonOf(error: unknown): string {
  if (error instanceof NatsError && error.api_error) return error.api_error.description;
  return error instanceof Error ? error.message : String(error);
}

/** The port's error for whatever the client threw while doing `what`. */
export function toBusError(error: unknown, what: string): BusError {
  const api = error instanceof NatsError ? error.api_error : undefined;
  const retryable = api === undefined || api.code >= 500;
  return new BusError(`${what}: ${reasonOf(error)}`, retryable);
}
