// The fleet's controllers as one: tries them in turn, repeats on another what may be repeated, says what to do next.
// Invariants: only a controller of the own fleet is believed; a command keeps its id whichever controller takes it.
import { FleetError } from '../common/errors.js';
import { connect, dial } from '../common/rpc.js';
import { readTls, type TlsFiles, type TlsMaterial } from '../common/tls.js';
import { ControlClient } from '../proto/gen/fleetvisor/v1/control.js';

const CONNECT_MS = 3_000;

export interface ClientOptions {
  /** `HOST:PORT`, in the order in which they are tried. */
  readonly controllers: readonly string[];
  readonly tls: TlsFiles;
  readonly wallMs: number;
}

export class FleetClient {
  readonly #controllers: readonly string[];
  readonly #tls: TlsMaterial;
  readonly #open = new Map<string, ControlClient>();
  /** The controller that answered last is asked first. */
  #first = 0;

  /** Throws FleetError CONFIG_INVALID when the certificate cannot be used. */
  constructor(options: ClientOptions) {
    this.#controllers = options.controllers;
    this.#tls = readTls(options.tls, options.wallMs);
  }

  /**
   * Runs `work` on the first controller that can be reached, and again on the next when that one is lost meanwhile,
   * so `work` must be safe to repeat. Throws FleetError CONTROLLER_UNREACHABLE naming every address tried.
   */
  async run<T>(work: (client: ControlClient) => Promise<T>): Promise<T> {
    const failures: string[] = [];
    for (let i = 0; i < this.#controllers.length; i++) {
      const index = (this.#first + i) % this.#controllers.length;
      const address = this.#controllers[index] as string;
      const client = this.#client(address);
      try {
        await connect(client, address, CONNECT_MS);
        const result = await work(client);
        this.#first = index;
        return result;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== 'CONTROLLER_UNREACHABLE') throw error;
        failures.push(`  ${address}: ${plainReason(error.message, address)}`);
      }
    }
    const [only] = failures;
    throw new FleetError(
      'CONTROLLER_UNREACHABLE',
      failures.length === 1
        ? `no controller answers at ${only?.trim() ?? ''}`
        : `no controller answers:\n${failures.join('\n')}`,
      {
        hint: "check controllers= in ctl.conf or --controller; on the host itself 'ctl -c supervisord.conf status' works without",
      },
    );
  }

  #client(address: string): ControlClient {
    let client = this.#open.get(address);
    if (client === undefined) {
      client = dial(ControlClient, { address, tls: this.#tls });
      this.#open.set(address, client);
    }
    return client;
  }

  /** Idempotent. */
  close(): void {
    for (const client of this.#open.values()) client.close();
    this.#open.clear();
  }
}

/** What a person wants to read of grpc-js's sentence about a failed connection. */
function plainReason(message: string, address: string): string {
  const last = /Last error: (.*?)(?:\. Resolution note: .*)?$/s.exec(message)?.[1] ?? message;
  if (last.includes('ECONNREFUSED')) return 'connection refused';
  if (last.includes('wrong version number')) return 'it does not speak TLS (its HTTP port?)';
  if (/self.signed certificate|unable to (get|verify)/.test(last)) {
    return `its certificate is not from the authority that ca= names (${last})`;
  }
  return last.replace(`${address} `, '').replace(/^Error: /, '');
}
