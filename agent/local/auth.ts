// Who may ask what over HTTP: Basic credentials per server, and guards against web pages and strangers. Pure but for
// hashing. Invariants: credentials are compared in constant time; a listener anyone can reach answers status only.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Credentials, ServerConfig } from '../config/types.js';

export type AuthVerdict = 'ok' | 'unauthorized' | 'bad-request';

const SHA_PREFIX = '{SHA}';
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

/** Checks an `Authorization` header against a server's credentials (spec xmlrpc 2). */
export function authorize(
  header: string | undefined,
  credentials: Credentials | undefined,
): AuthVerdict {
  if (credentials === undefined || credentials.username === '') return 'ok';
  const match = /^basic\s+(.*)$/i.exec(header ?? '');
  if (match === null) return 'unauthorized';
  const encoded = match[1] as string;
  if (!BASE64.test(encoded)) return 'bad-request';
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return 'unauthorized';
  const isUser = sameText(text.slice(0, colon), credentials.username);
  const isPassword = samePassword(text.slice(colon + 1), credentials.password);
  return isUser && isPassword ? 'ok' : 'unauthorized';
}

function samePassword(given: string, stored: string): boolean {
  if (!stored.startsWith(SHA_PREFIX)) return sameText(given, stored);
  const digest = createHash('sha1').update(given, 'utf8').digest('hex');
  return sameText(`${SHA_PREFIX}${digest}`, stored);
}

function sameText(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(hash(a), hash(b));
}

/** Whether anyone on the network could use this server: TCP beyond loopback without credentials (spec fleet D57). */
export function isOpenToStrangers(server: ServerConfig): boolean {
  if (server.family === 'unix' || server.insecureRemote) return false;
  if (server.credentials !== undefined && server.credentials.username !== '') return false;
  return !(server.host === 'localhost' || /^127(\.\d{1,3}){3}$/.test(server.host));
}

/** The headers that only browsers send, and what goes with them. */
export interface BrowserHeaders {
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  readonly host: string | undefined;
  readonly contentType: string | undefined;
}

/** Whether a web page of somebody else's may be behind this request. Clients that are no browsers pass. */
export function isForeignPage(headers: BrowserHeaders): boolean {
  const { origin, fetchSite, host, contentType } = headers;
  if (origin === undefined && fetchSite === undefined) return false;
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'text/xml' && type !== 'application/xml') return true;
  if (fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none') return true;
  return origin !== undefined && origin !== `http://${host ?? ''}`;
}
