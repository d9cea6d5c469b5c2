// XML-RPC calls and log streams over a Unix socket or TCP, one kept connection for a whole command.
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http';
import { decodeResponse, encodeCall, type XmlValue } from '../../common/xmlrpc.js';

/** The server answered, but not with 200. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, reason: string, url: string) {
    super(`<ProtocolError for ${url}: ${status} ${reason}>`);
    this.name = 'HttpError';
    this.status = status;
  }
}

export interface Server {
  /** As configured: `http://host:port` or `unix:///path`. */
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export class Connection {
  readonly url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #where: RequestOptions;
  readonly #headers: Readonly<Record<string, string>>;

  /** Throws TypeError for a URL that is neither http nor unix. */
  constructor(server: Server) {
    this.url = server.url;
    this.#where = whereIs(server.url);
    const { username, password } = server;
    const known = username !== undefined && password !== undefined;
    const secret = known ? Buffer.from(`${username}:${password}`).toString('base64') : '';
    this.#headers = known ? { Authorization: `Basic ${secret}` } : {};
  }

  /** Throws XmlFault, HttpError, XmlFormatError, or Node's error for a connection that fails (ECONNREFUSED, ENOENT). */
  async call(method: string, ...params: XmlValue[]): Promise<XmlValue> {
    const body = Buffer.from(encodeCall(method, params));
    const headers = { 'Content-Type': 'text/xml', 'Content-Length': String(body.length) };
    const response = await this.#send('POST', '/RPC2', headers, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    if (response.statusCode !== 200) {
      throw new HttpError(response.statusCode ?? 0, response.statusMessage ?? '', this.url);
    }
    return decodeResponse(Buffer.concat(chunks));
  }

  /** Opens a log stream; the caller reads it. Throws as `call` does. */
  async stream(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await this.#send('GET', path, {}, undefined, signal);
    if (response.statusCode === 200) return response;
    response.resume();
    throw new HttpError(response.statusCode ?? 0, response.statusMessage ?? '', this.url);
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: Buffer | undefined,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...this.#where,
          method,
          path,
          agent: this.#agent,
          headers: { ...this.#headers, ...headers },
          ...(signal === undefined ? {} : { signal }),
        },
        resolve,
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

function whereIs(url: string): RequestOptions {
  if (url.startsWith('unix://')) {
    return { socketPath: url.slice('unix://'.length), host: 'localhost' };
  }
  const parsed = new URL(url);
  if (parsed.protocol !== 'http:') throw new TypeError(`unsupported protocol in ${url}`);
  // An address in brackets is for URLs only; sockets take it bare.
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: parsed.port === '' ? 80 : Number(parsed.port) };
}
