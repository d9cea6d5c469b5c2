// Talks XML-RPC to the private agent over its unix socket: is it there, is the broker up, reload, shut down.
import { request } from 'node:http';
import { decodeResponse, encodeCall, type XmlValue } from '../../common/xmlrpc.js';

const REQUEST_MS = 15_000;
const ANSWER_BYTES_MAX = 1024 * 1024;

export class LocalAgent {
  constructor(private readonly socketPath: string) {}

  /** Does a supervisor answer on the socket? */
  async answers(): Promise<boolean> {
    return this.call('supervisor.getState').then(
      () => true,
      () => false,
    );
  }

  /** Rejects with XmlFault for a fault, else with the connection's error. */
  call(method: string, ...params: readonly XmlValue[]): Promise<XmlValue> {
    const body = Buffer.from(encodeCall(method, params));
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.socketPath,
          path: '/RPC2',
          method: 'POST',
          headers: { 'content-type': 'text/xml', 'content-length': body.length },
          timeout: REQUEST_MS,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > ANSWER_BYTES_MAX) response.destroy(new Error('the answer is too long'));
            else chunks.push(chunk);
          });
          response.on('error', reject);
          response.on('end', () => {
            try {
              resolve(decodeResponse(Buffer.concat(chunks)));
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error(`no answer within ${REQUEST_MS / 1000} s`)));
      call.on('error', reject);
      call.end(body);
    });
  }
}
