// Who may register under a name: the table of spec fleet 3, decided as data. Pure.
import type { HostState } from '../../common/states.js';

/** Versions of the session protocol that this controller speaks (spec fleet D8). */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

export interface Claim {
  /** The identifier it registers under, and the one its certificate proves. */
  readonly host: string;
  readonly provenHost: string;
  readonly hostUid: string;
  readonly epoch: number;
  readonly protocolMin: number;
  readonly protocolMax: number;
}

/** What is known of the name. */
export interface Incumbent {
  readonly hostUid: string;
  /** Epoch of its last registration or snapshot. */
  readonly epoch: number;
  readonly state: HostState;
  /** In that state for this long, milliseconds. */
  readonly stateAgeMs: number;
}

export type Rejection =
  'STALE_EPOCH' | 'IDENTITY_CONFLICT' | 'IDENTITY_MISMATCH' | 'VERSION' | 'RETRY';

export type Admission =
  | {
      readonly kind: 'accepted';
      readonly protocol: number;
      /** `new`: never seen; `again`: the same life reconnects; `restarted`; `rebound`: another machine. */
      readonly how: 'new' | 'again' | 'restarted' | 'rebound';
    }
  | {
      readonly kind: 'rejected';
      readonly reason: Rejection;
      readonly message: string;
      readonly retryAfterMs: number;
    };

export interface RegistrationTimes {
  /** A re-imaged host is taken once the old one has been away for this long. */
  readonly rebindAfterMs: number;
  readonly conflictRetryMs: number;
}

export const REGISTRATION_TIMES: RegistrationTimes = {
  rebindAfterMs: 60_000,
  conflictRetryMs: 30_000,
};

/** Decides a registration against what is known of the name. */
export function admit(
  claim: Claim,
  incumbent: Incumbent | undefined,
  times: RegistrationTimes = REGISTRATION_TIMES,
): Admission {
  if (claim.host !== claim.provenHost) {
    return reject(
      'IDENTITY_MISMATCH',
      `registered as ${claim.host}, but the certificate is for ${claim.provenHost}; issue one for ${claim.host}`,
      times.conflictRetryMs,
    );
  }
  const protocol = Math.min(claim.protocolMax, PROTOCOL_MAX);
  if (protocol < Math.max(claim.protocolMin, PROTOCOL_MIN)) {
    return reject(
      'VERSION',
      `the agent speaks protocol ${claim.protocolMin}..${claim.protocolMax}, this controller ` +
        `${PROTOCOL_MIN}..${PROTOCOL_MAX}; upgrade controllers first, then agents`,
      times.conflictRetryMs,
    );
  }
  if (incumbent === undefined || incumbent.hostUid === '') {
    return { kind: 'accepted', protocol, how: 'new' };
  }
  if (incumbent.hostUid === claim.hostUid) {
    if (claim.epoch < incumbent.epoch) {
      return reject(
        'STALE_EPOCH',
        `epoch ${claim.epoch} of ${claim.host} is over, ${incumbent.epoch} has begun`,
        times.conflictRetryMs,
      );
    }
    const how = claim.epoch === incumbent.epoch ? 'again' : 'restarted';
    return { kind: 'accepted', protocol, how };
  }
  const away = incumbent.state === 'down' || incumbent.state === 'left';
  if (away && incumbent.stateAgeMs >= times.rebindAfterMs) {
    return { kind: 'accepted', protocol, how: 'rebound' };
  }
  const wait = away
    ? Math.min(times.conflictRetryMs, times.rebindAfterMs - incumbent.stateAgeMs)
    : times.conflictRetryMs;
  return reject(
    'IDENTITY_CONFLICT',
    `another machine is ${claim.host} and is ${incumbent.state}; stop its agent or rename one of them`,
    Math.max(1, Math.round(wait)),
  );
}

function reject(reason: Rejection, message: string, retryAfterMs: number): Admission {
  return { kind: 'rejected', reason, message, retryAfterMs };
}
