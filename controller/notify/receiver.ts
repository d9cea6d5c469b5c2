// What a receiver of notices is: one method. Its queue retries, so a slow one never delays another (queue.ts).
import type { Notice } from '../alerts/groups.js';

/** A notice as receivers get it: with the id that lets them drop a second copy (spec fleet D46). */
export interface OutgoingNotice extends Notice {
  /** Hex of SHA-256 over the notice's identity. */
  readonly id: string;
  readonly fleet: string;
  /** Wall milliseconds for each alert, by key: when it began and when it ended. */
  readonly times: ReadonlyMap<
    string,
    { readonly startsAt: number; readonly endsAt: number | undefined }
  >;
}

/** `permanent`: trying again cannot help. `retryAfterMs`: the receiver asked for that pause. */
export type SendResult =
  | { readonly kind: 'sent' }
  | {
      readonly kind: 'failed';
      readonly permanent: boolean;
      readonly reason: string;
      readonly retryAfterMs?: number;
    };

export interface Receiver {
  readonly name: string;
  /** Never rejects; gives up by itself after 10 s. */
  send(notice: OutgoingNotice): Promise<SendResult>;
}
