// What goes wrong with the keeper: its refusals, a lost connection, and the kernel's error names.
import { constants } from 'node:os';
import { Field, type Frame, numberField, requiredNumber, textField } from './protocol.js';

/** Thrown when the keeper refuses a request or cannot be reached; `code` is KeeperErrorCode's value, 0 for a lost connection. */
export class KeeperError extends Error {
  override readonly name = 'KeeperError';
  constructor(
    message: string,
    readonly code: number,
    /** The kernel's error name, e.g. `EACCES`, where a system call failed. */
    readonly errorName: string | undefined,
  ) {
    super(message);
  }
}

/** The refusal in an `error` reply. */
export function decodeError(frame: Frame): KeeperError {
  const errno = numberField(frame, Field.errno);
  const text = textField(frame, Field.text) ?? 'the keeper refused';
  return new KeeperError(
    text,
    requiredNumber(frame, Field.code),
    errno === undefined ? undefined : errnoName(errno),
  );
}

// Node's own getSystemErrorName lacks some, ENOEXEC among them. The first name of a number wins (EAGAIN).
const ERRNO_NAMES = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

/** e.g. `ENOENT` for 2. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
}

/** e.g. 2 for `ENOENT`; 0 for a name that is none. */
export function errnoOf(errorName: string): number {
  return constants.errno[errorName as keyof typeof constants.errno] ?? 0;
}
