// gRPC in house terms: serve, dial, calls as promises and streams with backpressure, status <-> FleetError.
// The one importer of grpc-js beside the generated code. Invariants: mutual TLS 1.3 always; a peer is whom its
// certificate's one URI names, never a DNS name; every message is at most 4 MiB (spec fleet 13, 14).
import { createSecureContext, type PeerCertificate } from 'node:tls';
import {
  connectivityState,
  credentials,
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  setLogVerbosity,
  status as Status,
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type StatusObject,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { codeOfStatus, FleetError, isErrorCode, statusOf, type StatusName } from './errors.js';
import { type Identity, type IdentityKind } from './identity.js';
import { reasonOf } from './log.js';
import { newScope, openStream, writeMessage, type MessageStream } from './message-stream.js';
import { admitPeer, checkPeer, type TlsMaterial } from './tls.js';

export type { MessageStream } from './message-stream.js';

/** Largest message, before and after decompression (spec fleet 14). */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const KEEPALIVE_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
const CODE_KEY = 'fleetvisor-code';
const HINT_KEY = 'fleetvisor-hint-bin';

/**
 * A reader that is stopped (Ctrl-Z, a terminal that is held) answers no pings and must find its stream when it goes
 * on; agents that fall silent are noticed by their missing heartbeats instead.
 */
const SERVER_KEEPALIVE_TIMEOUT_MS = 600_000;

const COMMON_OPTIONS: ChannelOptions = {
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
};

export interface DialOptions {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly tls: TlsMaterial;
  /** Whom the server must be; a controller of the same fleet if not given. */
  readonly peers?: readonly IdentityKind[];
}

type ClientClass<C extends Client> = new (
  address: string,
  channelCredentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => C;

/** A client for one server. Connects with the first call; close() it when done. */
export function dial<C extends Client>(clientClass: ClientClass<C>, options: DialOptions): C {
  const { ca, cert, key, identity } = options.tls;
  const check = checkPeer(identity.fleet, options.peers ?? ['controller']);
  const context = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
  const channel = credentials.createFromSecureContext(context, {
    checkServerIdentity: (_host, certificate) => check(certificate),
  });
  return new clientClass(`dns:${options.address}`, channel, {
    ...COMMON_OPTIONS,
    // Names are proved by URI; SNI must not be an IP address, so it is the fleet's name.
    'grpc.ssl_target_name_override': identity.fleet,
    // A proxy of the environment has no business between a controller and its hosts.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
  });
}

export interface CallLimits {
  /** Milliseconds from now; 0: none (long streams only). */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** One request, one response: `callUnary(client.hosts.bind(client), {...}, {timeoutMs})`. Throws FleetError. */
export function callUnary<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  limits: CallLimits,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (limits.signal?.aborted === true) {
      reject(new FleetError('INTERRUPTED', 'the call was cancelled'));
      return;
    }
    const call = method(request, new Metadata(), deadlineOf(limits), (error, response) => {
      limits.signal?.removeEventListener('abort', cancel);
      if (error === null) resolve(response);
      else reject(fromStatus(error));
    });
    const cancel = (): void => call.cancel();
    limits.signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** Call options for a streaming method: `client.status(request, deadlineOf({timeoutMs: 5000}))`. */
export function deadlineOf(limits: CallLimits): Partial<CallOptions> {
  return limits.timeoutMs > 0 ? { deadline: Date.now() + limits.timeoutMs } : {};
}

/**
 * The messages of a server's stream, read only as fast as they are taken. Leaving the loop cancels the call.
 * Throws FleetError; an abort of `signal` cancels and ends the loop without an error.
 */
export async function* readStream<Response>(
  call: ClientReadableStream<Response>,
  signal?: AbortSignal,
): AsyncGenerator<Response, void, void> {
  const cancel = (): void => call.cancel();
  // An error after the reader has left must not become an uncaught one.
  call.on('error', () => undefined);
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted === true) call.cancel();
  try {
    for await (const message of call) yield message as Response;
  } catch (error) {
    if (signal?.aborted !== true) throw fromStatus(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/**
 * Resolves when the client is connected, or when connecting has failed: the next call then tells why at once.
 * Throws FleetError CONTROLLER_UNREACHABLE when neither is known after `timeoutMs`.
 */
export async function connect(client: Client, address: string, timeoutMs: number): Promise<void> {
  const channel = client.getChannel();
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
    const changed = await new Promise<boolean>((resolve) => {
      channel.watchConnectivityState(state, deadlineMs, (error) => resolve(error === undefined));
    });
    if (!changed) {
      const reason = `${address} did not answer within ${timeoutMs / 1000} s`;
      throw new FleetError('CONTROLLER_UNREACHABLE', reason);
    }
  }
}

/** A client's end of a bidirectional call: `duplex(client.connect(new Metadata()))`. */
export function duplex<In, Out>(call: ClientDuplexStream<Out, In>): MessageStream<In, Out> {
  return openStream<In, Out>(call, () => call.cancel(), fromStatus);
}

/** Who calls, and until when the answer is wanted. */
export interface CallContext {
  readonly peer: Identity;
  /** The caller's network address, for display. */
  readonly address: string;
  /** Aborted when the caller went away or its deadline passed. */
  readonly signal: AbortSignal;
}

export interface HandlerOptions {
  readonly fleet: string;
  /** Kinds of certificates that may call; others get IDENTITY_REJECTED. */
  readonly peers: readonly IdentityKind[];
  /** Told of errors that are not FleetErrors: bugs, which the caller sees as INTERNAL. */
  readonly onBug: (error: unknown, method: string) => void;
}

/** Turns async functions into handlers of one service, with the caller's identity checked first. */
export class Handlers {
  readonly #options: HandlerOptions;

  constructor(options: HandlerOptions) {
    this.#options = options;
  }

  unary<Request, Response>(
    handle: (request: Request, context: CallContext) => Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const over = newScope();
      call.on('cancelled', () => over.abort());
      const run = async (): Promise<Response> => handle(call.request, this.#context(call, over));
      run().then(
        (response) => callback(null, response),
        (error: unknown) => callback(this.#status(error, call.getPath())),
      );
    };
  }

  /** Each message is taken from the iterable only when the one before went out. */
  stream<Request, Response>(
    handle: (request: Request, context: CallContext) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response> {
    return (call) => {
      const over = newScope();
      call.on('cancelled', () => over.abort());
      call.on('close', () => over.abort());
      const run = async (): Promise<void> => {
        const context = this.#context(call, over);
        for await (const response of handle(call.request, context)) {
          if (!(await writeMessage(call, response, over.signal))) return;
        }
      };
      this.#finish(run(), call);
    };
  }

  duplex<In, Out>(
    handle: (stream: MessageStream<In, Out>, context: CallContext) => Promise<void>,
  ): handleBidiStreamingCall<In, Out> {
    return (call) => {
      // A caller that goes away ends the incoming messages; the handler learns it from the end and the signal.
      const stream = openStream<In, Out>(
        call,
        // Destroying the stream would leave the caller waiting; an error status ends both directions.
        () => call.emit('error', this.#status(cancelled(), call.getPath())),
        () => undefined,
      );
      const over = newScope();
      if (stream.signal.aborted) over.abort();
      stream.signal.addEventListener('abort', () => over.abort(), { once: true });
      const run = async (): Promise<void> => handle(stream, this.#context(call, over));
      this.#finish(run(), call);
    };
  }

  #finish<In, Out>(
    running: Promise<void>,
    call: ServerWritableStream<In, Out> | ServerDuplexStream<In, Out>,
  ): void {
    running.then(
      () => call.end(),
      (error: unknown) => call.emit('error', this.#status(error, call.getPath())),
    );
  }

  #context(
    call: { getAuthContext(): AuthContext; getPeer(): string },
    over: AbortController,
  ): CallContext {
    const { fleet, peers } = this.#options;
    const peer = admitPeer(call.getAuthContext().sslPeerCertificate, fleet, peers);
    return { peer, address: call.getPeer(), signal: over.signal };
  }

  #status(error: unknown, method: string): Partial<StatusObject> & Error {
    if (!(error instanceof FleetError)) this.#options.onBug(error, method);
    return Object.assign(new Error(reasonOf(error)), toStatus(error));
  }
}

function cancelled(): FleetError {
  return new FleetError('INTERRUPTED', 'the other end closed the stream');
}

type AuthContext = { readonly sslPeerCertificate?: PeerCertificate };

export interface ServeOptions {
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen: string;
  readonly tls: TlsMaterial;
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly handlers: UntypedServiceImplementation;
  }[];
}

export interface RpcServer {
  readonly port: number;
  /** New connections use these certificates; open ones go on. */
  reload(tls: TlsMaterial): void;
  /** Refuses new calls, waits up to `graceMs` for open ones, then cuts them. Idempotent. */
  close(graceMs: number): Promise<void>;
}

// What grpc-js would print, its callers are told as errors; a daemon's output is its own.
setLogVerbosity(logVerbosity.NONE);

/** Listens. Throws FleetError CONFIG_INVALID when the address cannot be had. */
export async function serve(options: ServeOptions): Promise<RpcServer> {
  const server = new Server({
    ...COMMON_OPTIONS,
    'grpc.keepalive_timeout_ms': SERVER_KEEPALIVE_TIMEOUT_MS,
  });
  for (const { definition, handlers } of options.services) server.addService(definition, handlers);
  const tls = new MutualTls(options.tls);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.listen, tls, (error, bound) => {
      if (error === null) {
        resolve(bound);
        return;
      }
      const [, listen] = /errors: \[(.*)\]$/.exec(error.message) ?? [];
      const reason = `cannot listen on ${options.listen}: ${listen ?? error.message}`;
      reject(
        new FleetError('CONFIG_INVALID', reason, {
          hint: 'another program may hold the port; choose another with listen=',
          cause: error,
        }),
      );
    });
  });
  let closing: Promise<void> | undefined;
  return {
    port,
    reload: (material) => tls.update(material),
    close(graceMs) {
      closing ??= new Promise((resolve) => {
        const limit = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(limit);
          resolve();
        });
      });
      return closing;
    },
  };
}

/** Server credentials that insist on TLS 1.3 and a certificate of the fleet's authority. */
class MutualTls extends ServerCredentials {
  constructor(tls: TlsMaterial) {
    const { ca, cert, key } = tls;
    super(
      { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      { ca, cert, key },
    );
  }

  update(tls: TlsMaterial): void {
    const { ca, cert, key } = tls;
    this.updateSecureContextOptions({ ca, cert, key });
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** The gRPC status that carries an error; anything but a FleetError becomes INTERNAL. */
export function toStatus(error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const metadata = new Metadata();
  if (!(error instanceof FleetError)) {
    return { code: Status.INTERNAL, details: `internal error: ${reasonOf(error)}`, metadata };
  }
  metadata.set(CODE_KEY, error.code);
  if (error.hint !== '') metadata.set(HINT_KEY, Buffer.from(error.hint));
  return { code: Status[statusOf(error.code)], details: error.message, metadata };
}

/** The error behind a failed call. FleetErrors pass through. */
export function fromStatus(error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  if (!isServiceError(error)) {
    return new FleetError('INTERNAL', reasonOf(error), { cause: error });
  }
  const [sent] = error.metadata.get(CODE_KEY);
  const [hintBytes] = error.metadata.get(HINT_KEY);
  const hint = Buffer.isBuffer(hintBytes) ? hintBytes.toString() : '';
  const statusName = (Status[error.code] ?? 'UNKNOWN') as StatusName;
  const code = typeof sent === 'string' && isErrorCode(sent) ? sent : codeOfStatus(statusName);
  return new FleetError(code, error.details, { hint, cause: error });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}
