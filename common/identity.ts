// Who a peer is: the one URI name in its certificate, spiffe://FLEET/KIND/NAME (spec fleet D53).
// Invariant: a certificate with no such name, or with more than one URI, identifies nobody.

/** What a certificate may be issued for. */
export type IdentityKind = 'host' | 'controller' | 'user' | 'bus';

export const IDENTITY_KINDS: readonly IdentityKind[] = ['host', 'controller', 'user', 'bus'];

/** A name that a certificate proves. */
export interface Identity {
  readonly fleet: string;
  readonly kind: IdentityKind;
  readonly name: string;
}

const FLEET_NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const IDENTITY_NAME = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

/** Is this text usable as the name of a fleet (the trust domain)? */
export function isFleetName(text: string): boolean {
  return FLEET_NAME.test(text);
}

/** Is this text usable as the name of a host, controller, user or bus server? Lower case only. */
export function isIdentityName(text: string): boolean {
  return IDENTITY_NAME.test(text);
}

/** `spiffe://FLEET/KIND/NAME`. */
export function formatIdentity(identity: Identity): string {
  return `spiffe://${identity.fleet}/${identity.kind}/${identity.name}`;
}

/** The identity behind a URI; undefined when it is not exactly of that shape. */
export function parseIdentity(uri: string): Identity | undefined {
  const match = /^spiffe:\/\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(uri);
  if (match === null) return undefined;
  const [, fleet = '', kind = '', name = ''] = match;
  if (!isFleetName(fleet) || !isIdentityName(name)) return undefined;
  const known = IDENTITY_KINDS.find((candidate) => candidate === kind);
  return known === undefined ? undefined : { fleet, kind: known, name };
}

/**
 * The identity in a certificate's subjectAltName as Node prints it (`URI:spiffe://..., DNS:...`).
 * undefined: no URI, more than one, or not a name of ours.
 */
export function identityFromAltNames(altNames: string | undefined): Identity | undefined {
  if (altNames === undefined) return undefined;
  const uris: string[] = [];
  for (const part of splitAltNames(altNames)) {
    if (part.startsWith('URI:')) uris.push(unquote(part.slice(4)));
  }
  return uris.length === 1 ? parseIdentity(uris[0] as string) : undefined;
}

/** Node puts names with unusual bytes in JSON quotes, so that a comma inside one cannot forge another. */
function splitAltNames(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (quoted && char === '\\') {
      part += char + (text[++i] ?? '');
      continue;
    }
    if (char === '"') quoted = !quoted;
    if (char === ',' && !quoted) {
      parts.push(part.trim());
      part = '';
    } else {
      part += char;
    }
  }
  parts.push(part.trim());
  return parts;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}
