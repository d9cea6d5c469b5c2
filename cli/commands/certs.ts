// `ctl certs init|issue|show`: the fleet's private authority. Needs no controller.
import { FleetError } from '../../common/errors.js';
import { formatIdentity, IDENTITY_KINDS } from '../../common/identity.js';
import { initAuthority, issueCertificate, LEAF_DAYS, showCertificate } from '../certs.js';
import { parseCount } from '../durations.js';
import type { Output } from '../output.js';
import { formatInstant } from '../render/text.js';
import { summaryJson } from '../render/json.js';

/** What the certs commands need of the program. */
export interface CertsContext {
  readonly out: Output;
  readonly json: boolean;
  readonly wallMs: number;
}

/** `ctl certs init`. */
export async function runInit(context: CertsContext, dir: string, fleet: string): Promise<number> {
  const files = await initAuthority(dir, fleet, context.wallMs);
  await report(context, { ...files, fleet }, [
    `${files.cert}: authority of fleet ${fleet}`,
    `${files.key}: its private key; keep it off the hosts`,
  ]);
  return 0;
}

export interface IssueArguments {
  readonly dir: string;
  readonly kind: string;
  readonly name: string;
  readonly altNames: readonly string[];
  readonly days: string | undefined;
}

/** `ctl certs issue KIND NAME`. */
export async function runIssue(context: CertsContext, wanted: IssueArguments): Promise<number> {
  const kind = IDENTITY_KINDS.find((known) => known === wanted.kind);
  if (kind === undefined) {
    throw new FleetError('USAGE', `'${wanted.kind}' is not a kind of certificate`, {
      hint: `write one of ${IDENTITY_KINDS.join(', ')}`,
    });
  }
  const { dir, name, altNames } = wanted;
  const days = wanted.days === undefined ? LEAF_DAYS : parseCount(wanted.days, '--days', 1);
  const files = await issueCertificate({ dir, kind, name, altNames, days, wallMs: context.wallMs });
  const info = await showCertificate(files.cert);
  const identity = info.identity === undefined ? '' : formatIdentity(info.identity);
  const until = formatInstant(info.notAfterMs);
  await report(context, { ...files, identity, not_after: until }, [
    `${files.cert}: ${identity}, valid until ${until}`,
    `${files.key}: its private key`,
  ]);
  return 0;
}

/** `ctl certs show FILE`. */
export async function runShow(context: CertsContext, path: string): Promise<number> {
  const info = await showCertificate(path);
  const identity = info.identity === undefined ? '' : formatIdentity(info.identity);
  const valid = info.notBeforeMs <= context.wallMs && context.wallMs <= info.notAfterMs;
  const fields = {
    subject: info.subject,
    identity,
    authority: info.authority,
    alt_names: info.altNames,
    not_before: formatInstant(info.notBeforeMs),
    not_after: formatInstant(info.notAfterMs),
    valid,
    serial: info.serial,
    sha256: info.fingerprint,
  };
  const lines = Object.entries(fields).map(([key, value]) => `${key.padEnd(11)} ${String(value)}`);
  await report(context, fields, lines);
  return 0;
}

async function report(
  { out, json }: CertsContext,
  fields: Readonly<Record<string, unknown>>,
  lines: readonly string[],
): Promise<void> {
  if (json) await out.json(summaryJson(0, {}, 0, fields));
  else for (const line of lines) await out.line(line);
}
