// Operating errors: the ones that are expected. One table from code to gRPC status, exit code and Supervisor's fault.
// Imports nothing, so that the pure folders may use it. docs/errors.md lists the same rows; a test compares them.

/** Names of gRPC statuses, as in its specification. */
export type StatusName =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED';

interface ErrorRow {
  readonly status: StatusName;
  /** Exit code of ctl in fleet mode when the whole command ends with this error (spec fleet 8). */
  readonly exit: number;
  /** XML-RPC fault code where Supervisor has this word (spec xmlrpc 4). */
  readonly fault?: number;
}

/** Code -> gRPC status -> exit code -> fault code. The only such table. */
export const ERRORS = {
  UNKNOWN_METHOD: { status: 'UNIMPLEMENTED', exit: 5, fault: 1 },
  INCORRECT_PARAMETERS: { status: 'INVALID_ARGUMENT', exit: 2, fault: 2 },
  BAD_ARGUMENTS: { status: 'INVALID_ARGUMENT', exit: 2, fault: 3 },
  SIGNATURE_UNSUPPORTED: { status: 'UNIMPLEMENTED', exit: 5, fault: 4 },
  SHUTDOWN_STATE: { status: 'FAILED_PRECONDITION', exit: 1, fault: 6 },
  BAD_NAME: { status: 'NOT_FOUND', exit: 2, fault: 10 },
  BAD_SIGNAL: { status: 'INVALID_ARGUMENT', exit: 2, fault: 11 },
  NO_FILE: { status: 'NOT_FOUND', exit: 1, fault: 20 },
  NOT_EXECUTABLE: { status: 'FAILED_PRECONDITION', exit: 1, fault: 21 },
  FAILED: { status: 'UNKNOWN', exit: 1, fault: 30 },
  ABNORMAL_TERMINATION: { status: 'ABORTED', exit: 1, fault: 40 },
  SPAWN_ERROR: { status: 'FAILED_PRECONDITION', exit: 1, fault: 50 },
  ALREADY_STARTED: { status: 'ALREADY_EXISTS', exit: 1, fault: 60 },
  NOT_RUNNING: { status: 'FAILED_PRECONDITION', exit: 7, fault: 70 },
  ALREADY_ADDED: { status: 'ALREADY_EXISTS', exit: 1, fault: 90 },
  STILL_RUNNING: { status: 'FAILED_PRECONDITION', exit: 1, fault: 91 },
  CANT_REREAD: { status: 'FAILED_PRECONDITION', exit: 1, fault: 92 },
  USAGE: { status: 'INVALID_ARGUMENT', exit: 2 },
  BAD_SELECTOR: { status: 'INVALID_ARGUMENT', exit: 2 },
  SCOPE_MISSING: { status: 'INVALID_ARGUMENT', exit: 2 },
  NO_MATCH: { status: 'NOT_FOUND', exit: 2 },
  EXPECTATION_UNMET: { status: 'FAILED_PRECONDITION', exit: 2 },
  TOO_MANY_TARGETS: { status: 'FAILED_PRECONDITION', exit: 2 },
  CONFIG_INVALID: { status: 'INVALID_ARGUMENT', exit: 2 },
  NO_SUCH_ROLLOUT: { status: 'NOT_FOUND', exit: 2 },
  DENIED: { status: 'PERMISSION_DENIED', exit: 4 },
  IDENTITY_REJECTED: { status: 'UNAUTHENTICATED', exit: 4 },
  LOCKED: { status: 'ABORTED', exit: 24 },
  COORDINATION_LOST: { status: 'FAILED_PRECONDITION', exit: 24 },
  CONFLICT: { status: 'ABORTED', exit: 1 },
  BUSY: { status: 'RESOURCE_EXHAUSTED', exit: 1 },
  LIMIT_EXCEEDED: { status: 'RESOURCE_EXHAUSTED', exit: 1 },
  UNREACHABLE: { status: 'UNAVAILABLE', exit: 1 },
  CONTROLLER_UNREACHABLE: { status: 'UNAVAILABLE', exit: 25 },
  TIMEOUT: { status: 'DEADLINE_EXCEEDED', exit: 21 },
  INTERRUPTED: { status: 'CANCELLED', exit: 21 },
  UNSUPPORTED: { status: 'UNIMPLEMENTED', exit: 5 },
  INTERNAL: { status: 'INTERNAL', exit: 1 },
} as const satisfies Readonly<Record<string, ErrorRow>>;

export type ErrorCode = keyof typeof ERRORS;

/** Exit code for an error that ends a whole fleet command. */
export function exitCodeOf(code: ErrorCode): number {
  return ERRORS[code].exit;
}

/** gRPC status name for a code. */
export function statusOf(code: ErrorCode): StatusName {
  return ERRORS[code].status;
}

type Faulty = {
  [Code in ErrorCode]: (typeof ERRORS)[Code] extends { readonly fault: number } ? Code : never;
}[ErrorCode];

/** Supervisor's word for what came of a call: a code that has a fault number, or SUCCESS in the rows of group calls. */
export type FaultName = Faulty | 'SUCCESS';

/** Fault numbers on the wire by name, e.g. 10 for BAD_NAME (spec xmlrpc 4). */
export const FAULTS: Readonly<Record<FaultName, number>> = {
  ...(Object.fromEntries(
    Object.entries<ErrorRow>(ERRORS).flatMap(([code, { fault }]) =>
      fault === undefined ? [] : [[code, fault] as const],
    ),
  ) as Record<Faulty, number>),
  SUCCESS: 80,
};

/** Is this text one of the codes? Used where a code arrives from another program. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** What a code becomes when only the gRPC status arrived, from a proxy or an older program. */
const CODE_OF_STATUS: Readonly<Record<StatusName, ErrorCode>> = {
  CANCELLED: 'INTERRUPTED',
  UNKNOWN: 'INTERNAL',
  INVALID_ARGUMENT: 'USAGE',
  DEADLINE_EXCEEDED: 'TIMEOUT',
  NOT_FOUND: 'NO_MATCH',
  ALREADY_EXISTS: 'CONFLICT',
  PERMISSION_DENIED: 'DENIED',
  RESOURCE_EXHAUSTED: 'LIMIT_EXCEEDED',
  FAILED_PRECONDITION: 'FAILED',
  ABORTED: 'CONFLICT',
  UNIMPLEMENTED: 'UNSUPPORTED',
  INTERNAL: 'INTERNAL',
  UNAVAILABLE: 'CONTROLLER_UNREACHABLE',
  UNAUTHENTICATED: 'IDENTITY_REJECTED',
};

/** The nearest code for a bare gRPC status. */
export function codeOfStatus(status: StatusName): ErrorCode {
  return CODE_OF_STATUS[status];
}

/** An expected failure. `message`: what was tried, on what, why it failed; `hint`: what to do about it. */
export class FleetError extends Error {
  readonly code: ErrorCode;
  /** One line telling what to do next; empty: nothing useful to say. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FleetError';
    this.code = code;
    this.hint = options.hint ?? '';
  }
}
