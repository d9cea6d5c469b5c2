// Every NATS subject, stream and bucket name is made here (spec fleet 2, design 2), never typed inline.

/** Bytes outside A-Za-z0-9_- become =XX, because names may hold `.`, `*` and `>`. */
export function subjectToken(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      if (/[A-Za-z0-9_-]/.test(char)) return char;
      return `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

/** The text behind a token; undefined when it is not one that `subjectToken` makes. */
export function parseSubjectToken(token: string): string | undefined {
  const bytes: number[] = [];
  for (let i = 0; i < token.length; i++) {
    const char = token[i] as string;
    if (char === '=') {
      const hex = token.slice(i + 1, i + 3);
      if (!/^[0-9A-F]{2}$/.test(hex)) return undefined;
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else if (/[A-Za-z0-9_-]/.test(char)) bytes.push(char.charCodeAt(0));
    else return undefined;
  }
  return Buffer.from(bytes).toString('utf8');
}

export const EVENTS_STREAM = 'EVENTS';
export const AUDIT_STREAM = 'AUDIT';
export const COORD_BUCKET = 'COORD';
export const META_BUCKET = 'META';

/** Where a host publishes frames of its events. */
export const eventSubject = (fleet: string, host: string): string =>
  `fv.${subjectToken(fleet)}.event.${subjectToken(host)}.frame`;
/** All hosts' frames. */
export const allEventsSubject = (fleet: string): string =>
  `fv.${subjectToken(fleet)}.event.*.frame`;
/** A host's heartbeats, not stored. */
export const beatSubject = (fleet: string, host: string): string =>
  `fv.${subjectToken(fleet)}.beat.${subjectToken(host)}`;
export const allBeatsSubject = (fleet: string): string => `fv.${subjectToken(fleet)}.beat.*`;
/** Every change and refusal, by who recorded it. */
export const allAuditSubject = (fleet: string): string => `fv.${subjectToken(fleet)}.audit.*`;
/** What replicas tell each other. */
export const peerSubject = (fleet: string): string => `fv.${subjectToken(fleet)}.peer`;

/** Reply subjects of one identity, so that none can read another's answers. */
export const inboxPrefix = (kind: 'host' | 'controller', name: string): string =>
  `_INBOX_${kind}_${subjectToken(name)}`;

/** The host that a beat or event subject belongs to; undefined: not such a subject. */
export function hostOfSubject(subject: string): string | undefined {
  const [, , kind, host] = subject.split('.');
  if ((kind !== 'event' && kind !== 'beat') || host === undefined) return undefined;
  return parseSubjectToken(host);
}
