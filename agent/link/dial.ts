// Reaches one controller: a channel with the agent's certificate, read anew at each attempt so that renewed files count.
import { SessionsClient } from '../../proto/gen/fleetvisor/v1/session.js';
import type {
  AgentMessage,
  ControllerMessage,
  TransferDown,
  TransferUp,
} from '../../proto/gen/fleetvisor/v1/session.js';
import { dial, duplex, type MessageStream } from '../../common/rpc.js';
import { readTls, type TlsFiles } from '../../common/tls.js';

export type SessionStream = MessageStream<ControllerMessage, AgentMessage>;
export type TransferStream = MessageStream<TransferDown, TransferUp>;

/** One connection to one controller; its streams share it. */
export interface ControllerPeer {
  connect(): SessionStream;
  transfer(): TransferStream;
  /** Ends every stream. Idempotent. */
  close(): void;
}

/** Throws FleetError CONFIG_INVALID when the certificate cannot be used. `address` is HOST:PORT. */
export type DialController = (address: string) => ControllerPeer;

/** The real thing: mutual TLS, and only a peer named controller/* of the same fleet. */
export function controllerDialer(files: TlsFiles, wallMs: () => number): DialController {
  return (address) => {
    const client = dial(SessionsClient, { address, tls: readTls(files, wallMs()) });
    return {
      connect: () => duplex(client.connect()),
      transfer: () => duplex(client.transfer()),
      close: () => client.close(),
    };
  };
}
