// A raw XML-RPC client for timing a server: one kept connection, one write a request, nothing parsed but the length.
import { type Socket, connect } from 'node:net';
import { nowMs } from './clock.js';

/** Where a server listens. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

export interface Answer {
  /** From the write to the last byte of the body. */
  readonly ms: number;
  readonly body: string;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Calls one at a time; `close` it. */
export class RawClient {
  private socket: Socket | undefined;

  constructor(
    private readonly address: Address,
    private readonly patienceMs = 60_000,
  ) {}

  /** `params` are integers, booleans and strings without markup. Rejects on HTTP errors and faults. */
  async call(method: string, ...params: readonly (string | number | boolean)[]): Promise<Answer> {
    const body =
      `<?xml version='1.0'?><methodCall><methodName>${method}</methodName><params>` +
      `${params.map((param) => `<param>${valueOf(param)}</param>`).join('')}</params></methodCall>`;
    const head =
      `POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n` +
      `Content-Length: ${body.length}\r\n\r\n`;
    const socket = this.socket ?? (await this.open());
    const sentMs = nowMs();
    const received = readResponse(socket, this.patienceMs);
    socket.write(head + body);
    const { status, body: answer, isKept } = await received;
    const ms = nowMs() - sentMs;
    if (!isKept) this.close();
    if (status !== 200) throw new Error(`${method}: HTTP ${status}`);
    if (answer.includes('<fault>')) throw new Error(`${method}: ${answer.slice(0, 500)}`);
    return { ms, body: answer };
  }

  close(): void {
    this.socket?.destroy();
    this.socket = undefined;
  }

  private open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...this.address, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        // A server that goes away ends the pending call, or the next one opens anew.
        socket.on('error', () => undefined);
        socket.once('close', () => {
          if (this.socket === socket) this.socket = undefined;
        });
        this.socket = socket;
        resolve(socket);
      });
    });
  }
}

function valueOf(param: string | number | boolean): string {
  if (typeof param === 'string') return `<value><string>${param}</string></value>`;
  if (typeof param === 'boolean') return `<value><boolean>${param ? 1 : 0}</boolean></value>`;
  return `<value><int>${param}</int></value>`;
}

interface Response {
  readonly status: number;
  readonly body: string;
  readonly isKept: boolean;
}

function readResponse(socket: Socket, patienceMs: number): Promise<Response> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let head: { text: string; bodyAt: number; end: number } | undefined;
    const timer = setTimeout(() => done(new Error('no answer in time')), patienceMs);
    const onClose = (): void => done(new Error('the server closed the connection'));
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      head ??= parseHead(Buffer.concat(chunks));
      if (head !== undefined && size >= head.end) done(undefined);
    };
    const done = (error: Error | undefined): void => {
      clearTimeout(timer);
      socket.removeListener('data', onData);
      socket.removeListener('close', onClose);
      if (error !== undefined || head === undefined) {
        reject(error ?? new Error('no head'));
        return;
      }
      resolve({
        status: Number(/^HTTP\/1\.\d (\d+)/.exec(head.text)?.[1]),
        body: Buffer.concat(chunks).subarray(head.bodyAt, head.end).toString(),
        isKept: /^HTTP\/1\.1/.test(head.text) && !/^connection: close/im.test(head.text),
      });
    };
    socket.on('data', onData);
    socket.on('close', onClose);
  });
}

function parseHead(data: Buffer): { text: string; bodyAt: number; end: number } | undefined {
  const at = data.indexOf(HEAD_END);
  if (at < 0) return undefined;
  const text = data.subarray(0, at).toString('latin1');
  const length = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0);
  return { text, bodyAt: at + HEAD_END.length, end: at + HEAD_END.length + length };
}
