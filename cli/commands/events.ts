// `ctl events`: what happened, from the history, and with -f as it happens.
// Invariants: each event is printed once, also over a reconnection; what was lost is said.
import { pause } from '../../common/clock.js';
import { FleetError } from '../../common/errors.js';
import { readStream } from '../../common/rpc.js';
import type { FleetEvent } from '../../common/rows.js';
import { eventFromWire } from '../../common/wire.js';
import { hostPatterns, refuseScope, type Context } from '../context.js';
import { EXIT } from '../exit.js';
import { sortHistory } from '../history.js';
import { eventJson, summaryJson } from '../render/json.js';
import { describeFailure, formatExit } from '../render/process.js';
import { formatInstant, showControls } from '../render/text.js';

/** History that is sorted before it is printed; what is beyond is printed in the order of the bus. */
const HISTORY_MAX = 100_000;
/** Ids of printed events kept to recognise repetitions. */
const SEEN_MAX = 20_000;
const RECONNECT_MS = 1_000;
/** How far back a reconnection looks: events of hosts whose clocks are behind come with older times. */
const OVERLAP_MS = 30_000;

export interface EventsOptions {
  readonly follow: boolean;
  /** 0: from now on with follow, the last 10 minutes without. */
  readonly sinceWallMs: number;
  readonly untilWallMs: number;
  readonly types: readonly string[];
  readonly selectors: readonly string[];
  readonly limit: number;
}

/** Returns the exit code. */
export async function runEvents(context: Context, options: EventsOptions): Promise<number> {
  const { out, json, signal, clock } = context;
  refuseScope(context, 'events', ['hosts', 'labels', 'allHosts']);
  const hosts = hostPatterns(context, 'events');
  const printed = new Printed();
  let resumeWallMs = options.sinceWallMs;
  let connected = false;
  for (;;) {
    const request = {
      hosts,
      types: [...options.types],
      selectors: [...options.selectors],
      sinceWallMs: resumeWallMs,
      untilWallMs: options.untilWallMs,
      follow: options.follow,
      limit: options.limit,
    };
    try {
      await context.client().run(async (client) => {
        const history: FleetEvent[] = [];
        const flush = async (): Promise<void> => {
          for (const event of sortHistory(history.splice(0))) {
            if (printed.add(event)) await printEvent(context, event);
          }
        };
        for await (const reply of readStream(client.events(request), signal)) {
          connected = true;
          resumeWallMs = Math.max(1, clock.wallMs() - OVERLAP_MS);
          if (reply.notice !== '') out.complain(showControls(reply.notice));
          history.push(...reply.events.map(eventFromWire));
          if (reply.live || history.length >= HISTORY_MAX) await flush();
        }
        await flush();
      });
      break;
    } catch (error) {
      const lost = error instanceof FleetError && error.code === 'CONTROLLER_UNREACHABLE';
      if (!lost || !options.follow || !connected) throw error;
      // A controller that restarts must not end a watch over the night.
      out.complain(`connection lost, trying again: ${error.message}`);
      await pause(clock, RECONNECT_MS, signal);
    }
    if (signal.aborted) break;
  }
  if (!json && !options.follow && printed.count === 0) out.complain('no events match');
  if (json && !options.follow) await out.json(summaryJson(printed.count, printed.types, EXIT.ok));
  return EXIT.ok;
}

/** What was printed already; bounded, the oldest forgotten first. */
class Printed {
  readonly types: Record<string, number> = {};
  count = 0;
  readonly #seen = new Set<string>();

  /** False: it was printed before. */
  add(event: FleetEvent): boolean {
    const id = `${event.host}/${event.hostUid}/${event.epoch}/${event.seq}`;
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > SEEN_MAX) {
      const [oldest] = this.#seen;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    this.count++;
    this.types[event.type] = (this.types[event.type] ?? 0) + 1;
    return true;
  }
}

async function printEvent({ out, json }: Context, event: FleetEvent): Promise<void> {
  if (json) await out.json(eventJson(event));
  else await out.line(formatEvent(event));
}

/** `TIME  host:group:process  RUNNING -> EXITED  exit code 1, unexpected`. */
export function formatEvent(event: FleetEvent): string {
  const where = [event.host, event.group, event.process].filter((part) => part !== '').join(':');
  const cause = event.cause === '' ? '' : `  by ${event.cause}`;
  return showControls(
    `${formatInstant(event.wallMs)}  ${where}  ${describeEvent(event)}${cause}`.replaceAll(
      '\n',
      ' ',
    ),
  );
}

function describeEvent({ type, body }: FleetEvent): string {
  switch (body.kind) {
    case 'process-changed': {
      const { row, from, to, expected } = body;
      const details: string[] = [];
      if (to === 'EXITED' && row.exit !== undefined) {
        details.push(formatExit(row.exit), expected ? 'expected' : 'unexpected');
      }
      if (to === 'RUNNING') details.push(`pid ${row.pid}`);
      if (to === 'FATAL' || to === 'BACKOFF') {
        const why = describeFailure(row);
        if (why !== '') details.push(why);
      }
      const more = details.length === 0 ? '' : `  ${details.join(', ')}`;
      return `${from} -> ${to}${more}`;
    }
    case 'group-added':
      return `${type}  ${body.rows.map((row) => row.process).join(' ')}`;
    case 'group-removed':
      return type;
    case 'agent-changed':
      return [type, body.detail].filter((part) => part !== '').join('  ');
    case 'spool-gap':
      return `--- gap: events ${body.firstSeq} to ${body.lastSeq} were lost (${body.reason}) ---`;
    case 'host-changed':
      return [`${body.from} -> ${body.to}`, body.detail].filter((part) => part !== '').join('  ');
    case 'payload':
      return `${type}  ${Buffer.from(body.data).toString('utf8')}`;
  }
}
