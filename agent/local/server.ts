// The local HTTP servers: unix sockets and TCP, XML-RPC at /RPC2, Supervisor's statuses (spec xmlrpc 1, 2).
// Invariants: bodies, times and connections are bounded; a socket that somebody answers on is never taken over, a stale
// one is replaced.
import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { decodeCall, encodeFault, XmlFormatError } from '../../common/xmlrpc.js';
import type { AgentConfig, ServerConfig, UnixServerConfig } from '../config/types.js';
import type { ActivityLog } from '../logs/activity.js';
import { authorize, isForeignPage, isOpenToStrangers } from './auth.js';
import { RpcFault } from './faults.js';
import type { RpcContext } from './method.js';
import { accessOf, answerCall } from './methods.js';

/** A server that cannot be opened; `message` comes after `Error: `, the exit code is 2. */
export class ServerOpenError extends Error {
  constructor(
    message: string,
    /** One line that says which server it is about and how to mend it; empty: the message says so. */
    readonly place = '',
  ) {
    super(message);
    this.name = 'ServerOpenError';
  }
}

const OCCUPIED =
  'Another program is already listening on a port that one of our HTTP servers is configured to use.  ' +
  'Shut this program down first before starting supervisord.';
/** Bodies from unix sockets and from those who gave a password. */
const TRUSTED_BODY_BYTES_MAX = 16 * 1024 * 1024;
const BODY_BYTES_MAX = 1024 * 1024;
/** How long a client may take to send a request, and its head (spec fleet 14). */
const REQUEST_WAIT_MS = 30_000;
const HEADERS_WAIT_MS = 10_000;
/** Connections to one TCP server; more are closed at once (spec fleet 14). */
const CONNECTIONS_MAX = 256;
/** How long the probe of an existing socket waits for whoever is behind it. */
const PROBE_WAIT_MS = 2_000;
const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  411: 'Length Required',
  413: 'Request Entity Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** The servers of one configuration. */
export interface LocalServers {
  /** Stops listening, ends connections, removes the sockets' files. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens every configured server. `context` answers once supervision is ready: until then requests get 503.
 * Rejects with ServerOpenError, with nothing left open.
 */
export async function openServers(
  { servers: configs, rpcInterfaces }: Pick<AgentConfig, 'servers' | 'rpcInterfaces'>,
  context: () => RpcContext | undefined,
  log: ActivityLog,
): Promise<LocalServers> {
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    for (const server of servers.splice(0)) {
      const done = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await done;
    }
  };
  try {
    for (const config of configs) {
      const server = createServer({ requireHostHeader: false, keepAliveTimeout: 0 });
      // These bound the request alone: a waiting call may take as long as it likes to answer.
      server.requestTimeout = REQUEST_WAIT_MS;
      server.headersTimeout = HEADERS_WAIT_MS;
      // A unix socket stays open to its owner whatever happens on the network.
      if (config.family !== 'unix') server.maxConnections = CONNECTIONS_MAX;
      server.on('request', (request, response) => {
        void answer(request, response, config, context, log);
      });
      await listen(server, config);
      servers.push(server);
      announce(config, rpcInterfaces, log);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** The only RPC interface there is; others are plug-ins in Python. */
const OWN_INTERFACE = 'supervisor';

function announce(
  config: ServerConfig,
  interfaces: AgentConfig['rpcInterfaces'],
  log: ActivityLog,
): void {
  for (const { name } of interfaces) {
    if (name === OWN_INTERFACE) log.log('info', `RPC interface '${name}' initialized`);
    else log.log('warn', `RPC interface '${name}' is a plug-in for Python; it is not served here`);
  }
  if (config.credentials === undefined || config.credentials.username === '')
    log.log(
      'critical',
      `Server '${config.section}' running without any HTTP authentication checking`,
    );
  if (isOpenToStrangers(config))
    log.log(
      'warn',
      `Server '${config.section}' can be reached by others without a password: it answers ` +
        'status only; set username and password, or insecure_remote=true',
    );
}

async function listen(server: Server, config: ServerConfig): Promise<void> {
  if (config.family === 'unix') await clearSocketPath(config);
  const place =
    config.family === 'unix'
      ? { path: config.file }
      : { port: config.port, host: config.host === '' ? '0.0.0.0' : config.host };
  // The file must never be there with more rights than configured, not even for a moment.
  const umask = config.family === 'unix' ? process.umask(0o777 & ~config.mode) : undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, () => {
        server.off('error', reject);
        resolve();
      });
      if (umask !== undefined) process.umask(umask);
    });
  } catch (error) {
    throw openError(error as NodeJS.ErrnoException, config);
  }
  if (config.family === 'unix') setOwner(server, config);
}

/** Supervisor's sentence says that something is taken, ours says what. */
function occupied(config: ServerConfig): ServerOpenError {
  const [where, key] =
    config.family === 'unix'
      ? [config.file, 'file']
      : [`${config.host || '*'}:${config.port}`, 'port'];
  const place = `${where} of section [${config.section}] is taken (end who has it, or set another ${key}=)`;
  return new ServerOpenError(OCCUPIED, place);
}

function openError(error: NodeJS.ErrnoException, config: ServerConfig): ServerOpenError {
  if (error.code === 'EADDRINUSE') return occupied(config);
  const number = error.errno === undefined ? '' : ` (${Math.abs(error.errno)})`;
  return new ServerOpenError(
    `Cannot open an HTTP server: socket.error reported errno.${error.code ?? error.message}${number}`,
  );
}

/** Removes a socket that nobody listens on any more. What is no socket stays, and is an error. */
async function clearSocketPath(config: UnixServerConfig): Promise<void> {
  const stat = lstatSync(config.file, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket())
    throw new ServerOpenError(
      `Cannot open an HTTP server: ${config.file} exists and is not a socket; remove it, or change ` +
        `"file" in section [${config.section}]`,
    );
  if (await isAnswering(config.file)) throw occupied(config);
  process.stderr.write(`Unlinking stale socket ${config.file}\n`);
  try {
    unlinkSync(config.file);
  } catch (error) {
    throw openError(error as NodeJS.ErrnoException, config);
  }
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PROBE_WAIT_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    // A queue that is full, or a socket of somebody else, is a live one.
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      settle(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}

function setOwner(server: Server, config: UnixServerConfig): void {
  try {
    chmodSync(config.file, config.mode);
    if (config.owner !== undefined)
      chownSync(config.file, config.owner.user.id, config.owner.group?.id ?? -1);
  } catch {
    server.close();
    const { owner } = config;
    throw new ServerOpenError(
      `Not permitted to chown ${config.file} to uid/gid (${owner?.user.id ?? -1}, ${owner?.group?.id ?? -1}); ` +
        'adjust "sockchown" value in config file or on command line to values that the current user ' +
        `(${process.getuid?.() ?? 0}) can successfully chown`,
    );
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  config: ServerConfig,
  context: () => RpcContext | undefined,
  log: ActivityLog,
): Promise<void> {
  try {
    const verdict = authorize(request.headers.authorization, config.credentials);
    if (verdict !== 'ok') return refuse(response, verdict === 'unauthorized' ? 401 : 400);
    if (!(request.url ?? '').startsWith('/RPC2'))
      return refuse(response, request.method === 'POST' ? 400 : 404);
    if (request.method !== 'POST') return refuse(response, 400);
    const status = bodyProblem(request, config);
    if (status !== undefined) return refuse(response, status);
    const body = await readBody(request);
    if (body === undefined) return;
    const present = context();
    if (present === undefined) return refuse(response, 503);
    await serveCall(body, response, config, present);
  } catch (error) {
    if (error instanceof XmlFormatError) return refuse(response, 400);
    log.log('error', `uncaught error in an RPC call: ${(error as Error).stack ?? String(error)}`);
    refuse(response, 500);
  }
}

/** The status that refuses a body before it is read; undefined: it may come. */
function bodyProblem(request: IncomingMessage, config: ServerConfig): number | undefined {
  const { headers } = request;
  const foreign = isForeignPage({
    origin: headers.origin,
    fetchSite: headers['sec-fetch-site'] as string | undefined,
    host: headers.host,
    contentType: headers['content-type'],
  });
  if (foreign) return 403;
  const length = headers['content-length'];
  if (length === undefined || headers['transfer-encoding'] !== undefined) return 411;
  if (length === '0') return 400;
  const isTrusted = config.family === 'unix' || (config.credentials?.username ?? '') !== '';
  return Number(length) > (isTrusted ? TRUSTED_BODY_BYTES_MAX : BODY_BYTES_MAX) ? 413 : undefined;
}

/** undefined: the client went away. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

async function serveCall(
  body: Buffer,
  response: ServerResponse,
  config: ServerConfig,
  context: RpcContext,
): Promise<void> {
  const call = decodeCall(body);
  if (isOpenToStrangers(config) && accessOf(call) !== 'status') return refuse(response, 403);
  let text: string;
  try {
    text = await answerCall(context, call);
  } catch (error) {
    if (!(error instanceof RpcFault)) throw error;
    text = encodeFault(error.code, error.message);
  }
  const data = Buffer.from(text, 'utf8');
  response.writeHead(200, { 'Content-Type': 'text/xml', 'Content-Length': data.length });
  response.end(data);
}

/** Supervisor's error page; the connection ends, because the rest of the request was not read. */
function refuse(response: ServerResponse, status: number): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const reason = REASONS[status] ?? 'Error';
  const page = [
    '<head>',
    '<title>Error response</title>',
    '</head>',
    '<body>',
    '<h1>Error response</h1>',
    `<p>Error code ${status}.`,
    `<p>Message: ${reason}.`,
    '</body>',
    '',
  ].join('\r\n');
  response.writeHead(status, reason, {
    'Content-Type': 'text/html',
    'Content-Length': Buffer.byteLength(page),
    Connection: 'close',
    ...(status === 401 ? { 'WWW-Authenticate': 'Basic realm="default"' } : {}),
  });
  response.end(page);
}
