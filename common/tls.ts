// A program's certificate: read, checked, and whom it names; and the check that a peer is whom it should be.
// Invariants: whom a certificate names is its one URI, never a DNS name; a bad file is named in the error.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { FleetError } from './errors.js';
import {
  formatIdentity,
  identityFromAltNames,
  type Identity,
  type IdentityKind,
} from './identity.js';
import { reasonOf } from './log.js';

/** A program's own certificate, as PEM, and the authority that vouches for its peers. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Whom `cert` names. */
  readonly identity: Identity;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads and checks a program's certificate. Throws FleetError CONFIG_INVALID naming the file: missing, unreadable,
 * key of another certificate, not issued by `ca`, no or several URI names, expired or not yet valid at `wallMs`.
 */
export function readTls(files: TlsFiles, wallMs: number): TlsMaterial {
  const ca = readPem('certificate authority', files.ca);
  const cert = readPem('certificate', files.cert);
  const key = readPem('private key', files.key);
  const [parsed, ...chain] = parseCertificates(files.cert, cert);
  const authorities = parseCertificates(files.ca, ca);
  try {
    createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
  } catch (error) {
    throw invalid(`${files.cert} and ${files.key} cannot be used together: ${reasonOf(error)}`);
  }
  const identity = identityFromAltNames(parsed.subjectAltName);
  if (identity === undefined) {
    throw invalid(
      `${files.cert} does not carry exactly one name of the form spiffe://FLEET/KIND/NAME`,
    );
  }
  const notAfter = Date.parse(parsed.validTo);
  if (wallMs > notAfter)
    throw invalid(`${files.cert} expired at ${new Date(notAfter).toISOString()}`);
  const notBefore = Date.parse(parsed.validFrom);
  if (wallMs < notBefore) {
    throw invalid(`${files.cert} is valid only from ${new Date(notBefore).toISOString()} on`);
  }
  if (!isVouchedFor(parsed, chain, authorities)) {
    throw invalid(`${files.cert} was not issued by the certificate authority ${files.ca}`);
  }
  return { ca, cert, key, identity };
}

function readPem(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalid(`cannot read the ${what} ${path}: ${reasonOf(error)}`);
  }
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a file, at least one: a bundle of authorities, or a leaf with those that lead to one. */
function parseCertificates(path: string, pem: Buffer): [X509Certificate, ...X509Certificate[]] {
  const [first, ...more] = pem.toString('latin1').match(PEM_BLOCK) ?? [];
  try {
    return [new X509Certificate(first ?? pem), ...more.map((text) => new X509Certificate(text))];
  } catch (error) {
    throw invalid(`${path} is not a certificate in PEM form: ${reasonOf(error)}`);
  }
}

/** Does the chain lead from the leaf to one of the authorities? */
function isVouchedFor(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  let subject: X509Certificate | undefined = leaf;
  for (let step = 0; step <= chain.length && subject !== undefined; step++) {
    if (issuerOf(subject, authorities) !== undefined) return true;
    subject = issuerOf(subject, chain);
  }
  return false;
}

function issuerOf(
  subject: X509Certificate,
  candidates: readonly X509Certificate[],
): X509Certificate | undefined {
  return candidates.find((one) => subject.checkIssued(one) && subject.verify(one.publicKey));
}

function invalid(message: string): FleetError {
  return new FleetError('CONFIG_INVALID', message, {
    hint: "'ctl certs issue' makes certificates, 'ctl certs show FILE' shows one",
  });
}

/** Refuses a server that is not of the wanted kind in the same fleet; for TLS libraries' `checkServerIdentity`. */
export function checkPeer(
  fleet: string,
  kinds: readonly IdentityKind[],
): (certificate: PeerCertificate) => Error | undefined {
  return (certificate) => {
    const peer = identityFromAltNames(certificate.subjectaltname);
    if (peer?.fleet === fleet && kinds.includes(peer.kind)) return undefined;
    const shown = peer === undefined ? 'without a name of a fleet' : formatIdentity(peer);
    const wanted = kinds.map((kind) => `spiffe://${fleet}/${kind}/*`).join(' or ');
    return new Error(`the peer is ${shown}, expected ${wanted}`);
  };
}

/** Whom a caller's certificate names. Throws FleetError IDENTITY_REJECTED unless it is of a wanted kind. */
export function admitPeer(
  certificate: PeerCertificate | undefined,
  fleet: string,
  kinds: readonly IdentityKind[],
): Identity {
  const peer = identityFromAltNames(certificate?.subjectaltname);
  if (peer === undefined) {
    throw new FleetError(
      'IDENTITY_REJECTED',
      'the certificate does not carry exactly one name of a fleet',
    );
  }
  if (peer.fleet !== fleet || !kinds.includes(peer.kind)) {
    throw new FleetError('IDENTITY_REJECTED', `${formatIdentity(peer)} may not call this service`, {
      hint: `it serves ${kinds.join(', ')} certificates of fleet ${fleet}`,
    });
  }
  return peer;
}
