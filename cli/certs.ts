// The fleet's private authority and the certificates it issues: ECDSA P-256, one URI name each (design 7, Identity).
// The one importer of @peculiar/x509. Invariants: keys are written 0600, nothing is ever overwritten.
import { webcrypto } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
// Must come first: x509's dependency injection refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { FleetError } from '../common/errors.js';
import { makeFolder } from '../common/folders.js';
import {
  formatIdentity,
  identityFromAltNames,
  isFleetName,
  isIdentityName,
  type Identity,
  type IdentityKind,
} from '../common/identity.js';

export const CA_DAYS = 3650;
export const LEAF_DAYS = 365;
const DAY_MS = 86_400_000;
/** Hosts' clocks differ; a certificate is good from a little before it was made. */
const BACKDATE_MS = 5 * 60_000;
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface CertFiles {
  readonly cert: string;
  readonly key: string;
}

/** What `ctl certs show` prints. Times are milliseconds since 1970. */
export interface CertInfo {
  readonly subject: string;
  /** The fleet name it proves; undefined for an authority or a stranger's certificate. */
  readonly identity: Identity | undefined;
  readonly authority: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serial: string;
  readonly fingerprint: string;
  readonly altNames: string;
}

/** Makes `ca.crt` and `ca.key` in `dir`. Throws FleetError USAGE when they exist or the name is unusable. */
export async function initAuthority(
  dir: string,
  fleet: string,
  wallMs: number,
): Promise<CertFiles> {
  if (!isFleetName(fleet)) {
    throw new FleetError('USAGE', `'${fleet}' cannot be the name of a fleet`, {
      hint: 'use lower-case letters, digits, dots and dashes',
    });
  }
  const files = { cert: join(dir, 'ca.crt'), key: join(dir, 'ca.key') };
  const keys = await generateKeys();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=Fleetvisor ${fleet} authority`,
    notBefore: new Date(wallMs - BACKDATE_MS),
    notAfter: new Date(wallMs + CA_DAYS * DAY_MS),
    signingAlgorithm: KEY_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${fleet}` }]),
    ],
  });
  await writePair(files, cert, keys.privateKey);
  return files;
}

export interface IssueOptions {
  readonly dir: string;
  readonly kind: IdentityKind;
  readonly name: string;
  /** Further DNS names and IP addresses; peers of the fleet do not look at them. */
  readonly altNames: readonly string[];
  readonly days: number;
  readonly wallMs: number;
}

/** Makes `KIND-NAME.crt` and `.key`, signed by the authority in `dir`. Throws FleetError USAGE. */
export async function issueCertificate(options: IssueOptions): Promise<CertFiles> {
  const { dir, kind, name, wallMs } = options;
  if (!isIdentityName(name)) {
    throw new FleetError('USAGE', `'${name}' cannot be the name of a ${kind}`, {
      hint: 'use lower-case letters, digits, dots, dashes and underscores, at most 63',
    });
  }
  if (!Number.isInteger(options.days) || options.days < 1 || options.days > CA_DAYS) {
    throw new FleetError('USAGE', `--days must be between 1 and ${CA_DAYS}`);
  }
  const authority = await readAuthority(dir);
  const identity = { fleet: authority.fleet, kind, name };
  const keys = await generateKeys();
  const notAfterMs = Math.min(wallMs + options.days * DAY_MS, authority.cert.notAfter.getTime());
  const names: x509.JsonGeneralNames = [
    { type: 'url', value: formatIdentity(identity) },
    ...options.altNames.map((value): x509.JsonGeneralName =>
      isIP(value) === 0 ? { type: 'dns', value } : { type: 'ip', value },
    ),
  ];
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${kind} ${name}`,
    issuer: authority.cert.subject,
    notBefore: new Date(wallMs - BACKDATE_MS),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // Each may dial or be dialled: controllers serve agents and are clients of the bus.
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(authority.cert, false),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false),
    ],
  });
  const files = { cert: join(dir, `${kind}-${name}.crt`), key: join(dir, `${kind}-${name}.key`) };
  await writePair(files, cert, keys.privateKey);
  return files;
}

/** Reads a certificate for display. Throws FleetError USAGE. */
export async function showCertificate(path: string): Promise<CertInfo> {
  const cert = parseCertificate(path, readText(path));
  const names = cert.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const altNames = names.map(({ type, value }) => `${type === 'url' ? 'URI' : type}:${value}`);
  const fingerprint = Buffer.from(await cert.getThumbprint('SHA-256'));
  return {
    subject: cert.subject,
    identity: identityFromAltNames(altNames.join(', ')),
    authority: cert.getExtension(x509.BasicConstraintsExtension)?.ca === true,
    notBeforeMs: cert.notBefore.getTime(),
    notAfterMs: cert.notAfter.getTime(),
    serial: cert.serialNumber,
    fingerprint: fingerprint.toString('hex'),
    altNames: altNames.join(', '),
  };
}

async function readAuthority(
  dir: string,
): Promise<{ fleet: string; cert: x509.X509Certificate; key: webcrypto.CryptoKey }> {
  const path = join(dir, 'ca.crt');
  const cert = parseCertificate(path, readText(path));
  const names = cert.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const uri = names.find(({ type }) => type === 'url')?.value ?? '';
  const fleet = /^spiffe:\/\/([^/]+)\/?$/.exec(uri)?.[1];
  if (fleet === undefined || !isFleetName(fleet)) {
    throw new FleetError('USAGE', `${path} is not the authority of a fleet`, {
      hint: `'ctl certs init --dir ${dir}' makes one`,
    });
  }
  const pem = readText(join(dir, 'ca.key'));
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const key = await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
  return { fleet, cert, key };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FleetError('USAGE', `cannot read ${path}: ${reason}`, {
      hint: "'ctl certs init --dir DIR' makes an authority first",
    });
  }
}

function parseCertificate(path: string, text: string): x509.X509Certificate {
  try {
    return new x509.X509Certificate(text);
  } catch {
    throw new FleetError('USAGE', `${path} is not a certificate in PEM form`);
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

/** 127 random bits: positive, and unique without a register. */
function randomSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
}

async function writePair(
  files: CertFiles,
  cert: x509.X509Certificate,
  privateKey: webcrypto.CryptoKey,
): Promise<void> {
  for (const path of [files.key, files.cert]) {
    if (existsSync(path)) {
      throw new FleetError('USAGE', `${path} exists already and is not overwritten`, {
        hint: 'move it away first, or choose another --dir',
      });
    }
  }
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey));
  const pem = x509.PemConverter.encode(der, 'PRIVATE KEY');
  try {
    makeFolder(dirname(files.key), 0o700);
    writeFileSync(files.key, `${pem}\n`, { mode: 0o600, flag: 'wx' });
    try {
      writeFileSync(files.cert, `${cert.toString('pem')}\n`, { mode: 0o644, flag: 'wx' });
    } catch (error) {
      rmSync(files.key, { force: true });
      throw error;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FleetError('USAGE', `cannot write ${files.cert}: ${reason}`);
  }
}
