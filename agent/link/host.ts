// Under which name this host belongs to its fleet, and whether its certificate says the same.
import { FleetError } from '../../common/errors.js';
import { formatIdentity } from '../../common/identity.js';
import { parseHostId } from '../../common/names.js';
import { readTls, type TlsFiles } from '../../common/tls.js';

/** Supervisor's own default, which says nothing about the host. */
const DEFAULT_IDENTIFIER = 'supervisor';

/**
 * `[supervisord] identifier` unless it is the default, then the system's host name, in lower case (spec fleet 2).
 * Throws FleetError CONFIG_INVALID when that cannot name a host.
 */
export function fleetHostName(identifier: string, systemName: string): string {
  const text = identifier === DEFAULT_IDENTIFIER ? systemName : identifier;
  const host = parseHostId(text);
  if (host !== undefined) return host;
  const from = text === identifier ? '[supervisord] identifier' : "this machine's name";
  throw new FleetError(
    'CONFIG_INVALID',
    `${from} "${text}" cannot be a host name in a fleet (1 to 63 of a-z 0-9 . _ -, beginning and ending with a ` +
      'letter or digit, not all, none, local or self)',
    { hint: 'set identifier= in [supervisord]' },
  );
}

/**
 * The fleet that the certificate belongs to. Throws FleetError CONFIG_INVALID when it cannot be used at `wallMs`
 * or names anything but this host.
 */
export function checkCertificate(files: TlsFiles, host: string, wallMs: number): string {
  const { identity } = readTls(files, wallMs);
  if (identity.kind === 'host' && identity.name === host) return identity.fleet;
  throw new FleetError(
    'CONFIG_INVALID',
    `${files.cert} names ${formatIdentity(identity)}, but this host is ${host}`,
    {
      hint: `'ctl certs issue host ${host}' makes the right one; or set identifier= in [supervisord]`,
    },
  );
}

/** How grpc-js says that nobody listens, around the reason that an operator wants. */
const NO_CONNECTION =
  /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:.*$/s;

/** An error as one line for the activity log. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const message = text.replace(NO_CONNECTION, 'cannot be reached: $1').replaceAll('\n', ' ');
  return error instanceof FleetError && error.hint !== '' ? `${message} (${error.hint})` : message;
}
