// Logs of many processes in one answer, each as fast as the reader takes it (spec fleet 11).
// Invariants: one chunk per stream waits here, so a reader that stops is felt by the agents; a gap travels on.
import type { TargetName } from '../common/rows.js';
import type { Channel as WireChannel, TailSpec } from '../proto/gen/fleetvisor/v1/session.js';
import type { Agents, Transfer } from './agents.js';
import { Channel } from './channel.js';

export interface TailOrder {
  readonly channel: WireChannel;
  readonly follow: boolean;
  readonly bytes: number;
  readonly lines: number;
}

/** Bytes of one stream in order, or its end with the reason (empty: as asked). */
export type TailPiece =
  | {
      readonly kind: 'data';
      readonly target: TargetName;
      readonly data: Uint8Array;
      readonly gapBytes: number;
      readonly offset: number;
    }
  | { readonly kind: 'end'; readonly target: TargetName; readonly message: string };

/** Relays until every stream has ended, or `signal`. */
export async function* relayTails(
  agents: Pick<Agents, 'openTail'>,
  targets: readonly TargetName[],
  order: TailOrder,
  signal: AbortSignal,
): AsyncGenerator<TailPiece, void, void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const pieces = new Channel<{ piece: TailPiece; taken: () => void }>();
  let open = targets.length;
  if (open === 0) return;
  /** Resolves when the reader wants more of this stream. */
  const offer = (piece: TailPiece): Promise<void> =>
    new Promise((resolve) => {
      const taken = (): void => {
        both.removeEventListener('abort', taken);
        resolve();
      };
      both.addEventListener('abort', taken, { once: true });
      pieces.push({ piece, taken });
    });
  const relay = async (target: TargetName): Promise<void> => {
    const message = await relayOne(agents, target, order, offer, both);
    await offer({ kind: 'end', target, message });
    open -= 1;
    if (open === 0) pieces.close();
  };
  for (const target of targets) relay(target).catch((error: unknown) => pieces.fail(error));
  try {
    for await (const { piece, taken } of pieces.take(both)) {
      yield piece;
      taken();
    }
  } finally {
    stop.abort();
  }
}

/** Returns why it ended; empty: as asked. */
async function relayOne(
  agents: Pick<Agents, 'openTail'>,
  target: TargetName,
  order: TailOrder,
  offer: (piece: TailPiece) => Promise<void>,
  signal: AbortSignal,
): Promise<string> {
  const spec: TailSpec = { group: target.group, process: target.process, ...order };
  const opened = await agents.openTail(target.host, spec, signal);
  if (typeof opened === 'string') return opened;
  try {
    return await readTransfer(opened, target, offer, signal);
  } finally {
    opened.cancel();
  }
}

async function readTransfer(
  transfer: Transfer,
  target: TargetName,
  offer: (piece: TailPiece) => Promise<void>,
  signal: AbortSignal,
): Promise<string> {
  for await (const { body } of transfer.incoming) {
    if (signal.aborted) return '';
    if (body?.$case === 'end') return body.value.message || body.value.fault;
    if (body?.$case !== 'tail') continue;
    const { data, gapBytes, offset } = body.value;
    await offer({ kind: 'data', target, data, gapBytes, offset });
  }
  return 'the connection to the agent was lost';
}
