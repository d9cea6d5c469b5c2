// Events for those who watch: live from whichever path is first, history from the bus, recent ones also without it.
// Invariants: a watcher gets each event once; a slow one loses the oldest and is told how many; memory is bounded.
import type { Bus } from '../common/bus.js';
import type { Clock } from '../common/clock.js';
import { reasonOf, type Logger } from '../common/log.js';
import type { FleetEvent, HostHeader } from '../common/rows.js';
import type { HostState } from '../common/states.js';
import {
  allEventsSubject,
  EVENTS_STREAM,
  eventSubject,
  hostOfSubject,
} from '../common/subjects.js';
import { eventFromWire, eventToWire } from '../common/wire.js';
import { EventFrame } from '../proto/gen/fleetvisor/v1/event.js';
import { Channel } from './channel.js';
import type { Feed } from './feed.js';
import { SeenEvents } from './fleet/seen.js';

const RECENT_MAX = 10_000;
const WATCHER_MAX = 10_000;
/** Frames of history read ahead of a watcher. */
const HISTORY_AHEAD = 8;
const HISTORY_MS = 600_000;
/** Host events waiting for the bus; without it the oldest are given up, the ring still has them. */
const UNSENT_MAX = 1_000;

/** States that make an event of their own. */
const TOLD_STATES: ReadonlySet<HostState> = new Set(['up', 'suspect', 'down', 'left']);

export interface EventQuery {
  /** Wall clock; 0: from now on with `follow`, else the last 10 minutes. */
  readonly sinceWallMs: number;
  /** 0: no end. */
  readonly untilWallMs: number;
  readonly follow: boolean;
  readonly matches: (event: FleetEvent) => boolean;
}

/** A piece of a watcher's answer. */
export interface EventBatch {
  readonly events: readonly FleetEvent[];
  /** History up to here is complete. */
  readonly live: boolean;
  readonly notice: string;
}

export interface EventHubOptions {
  readonly feed: Feed;
  readonly bus: Bus | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fleet: string;
  readonly replica: string;
  readonly signal: AbortSignal;
}

export class EventHub {
  private readonly recent: FleetEvent[] = [];
  private readonly watchers = new Set<(event: FleetEvent) => void>();
  private readonly epoch: number;
  private seq = 0;
  private readonly unsent: FleetEvent[] = [];
  private sending = false;

  constructor(private readonly options: EventHubOptions) {
    this.epoch = Math.floor(options.clock.wallMs());
    options.feed.subscribe({
      onEvent: (event) => this.take(event),
      onHostChange: (header, from, to) => this.hostChanged(header, from, to),
    });
  }

  /** Reads what hosts publish, for the view and for watchers; ends with the controller's signal. */
  async ingest(): Promise<void> {
    const { bus, feed, fleet, log, signal } = this.options;
    if (bus === undefined) return;
    const subjects = [allEventsSubject(fleet)];
    const options = { subjects, sinceWallMs: undefined, follow: true, signal };
    await bus.consume(EVENTS_STREAM, options, (message) => {
      for (const event of framesOf(message, log)) feed.event(event);
    });
  }

  /** What matches, history first, then as it happens; ends with `signal`, or after the history. */
  async *watch(query: EventQuery, signal: AbortSignal): AsyncGenerator<EventBatch, void, void> {
    const live = new Channel<FleetEvent>(WATCHER_MAX);
    const within = (event: FleetEvent): boolean =>
      (query.untilWallMs === 0 || event.wallMs <= query.untilWallMs) && query.matches(event);
    const watcher = (event: FleetEvent): void => {
      if (within(event)) live.push(event);
    };
    // Listening begins before the history is read, so that nothing falls between.
    this.watchers.add(watcher);
    const seen = new SeenEvents();
    const fresh = (event: FleetEvent): boolean =>
      seen.add(`${event.host} ${event.hostUid}`, event.epoch, event.seq);
    try {
      const nowMs = this.options.clock.wallMs();
      const since = query.sinceWallMs || (query.follow ? undefined : nowMs - HISTORY_MS);
      if (since !== undefined) {
        const wanted = (event: FleetEvent): boolean => event.wallMs >= since && within(event);
        for await (const batch of this.history(since, signal)) {
          const events = batch.events.filter((event) => wanted(event) && fresh(event));
          if (events.length > 0 || batch.notice !== '') yield { ...batch, events };
        }
        // What has not reached the bus yet, or cannot.
        const events = this.recent.filter((event) => wanted(event) && fresh(event));
        if (events.length > 0) yield { events, live: false, notice: '' };
      }
      if (!query.follow) return;
      yield { events: [], live: true, notice: '' };
      while (await live.ready(signal)) {
        const lost = live.takeLost();
        const notice = lost === 0 ? '' : `${lost} events were skipped: the reader is too slow`;
        const events = live.drain().filter(fresh);
        if (events.length > 0 || notice !== '') yield { events, live: true, notice };
      }
    } finally {
      this.watchers.delete(watcher);
    }
  }

  private async *history(since: number, signal: AbortSignal): AsyncGenerator<EventBatch> {
    const { bus, fleet, log } = this.options;
    if (bus === undefined) return;
    const stop = new AbortController();
    const frames = new Channel<readonly FleetEvent[]>();
    const options = {
      subjects: [allEventsSubject(fleet)],
      sinceWallMs: since,
      follow: false,
      signal: AbortSignal.any([signal, stop.signal]),
    };
    bus
      .consume(EVENTS_STREAM, options, async (message) => {
        frames.push(framesOf(message, log));
        await frames.roomBelow(HISTORY_AHEAD, options.signal);
      })
      .then(
        () => frames.close(),
        (error: unknown) => frames.fail(error),
      );
    try {
      for await (const events of frames.take(signal)) yield { events, live: false, notice: '' };
    } catch (error) {
      const notice = `the history is not complete: ${reasonOf(error)}`;
      yield { events: [], live: false, notice };
    } finally {
      stop.abort();
    }
  }

  private take(event: FleetEvent): void {
    this.recent.push(event);
    // In strides, because each cut moves the whole ring.
    if (this.recent.length > RECENT_MAX + 1_000) this.recent.splice(0, 1_000);
    for (const watcher of this.watchers) watcher(event);
  }

  private hostChanged(header: HostHeader, from: HostState, to: HostState): void {
    if (!TOLD_STATES.has(to)) return;
    const { clock, feed, replica } = this.options;
    this.seq += 1;
    const event: FleetEvent = {
      host: header.host,
      // A replica numbers its own events, so they are told apart from the host's by this name.
      hostUid: `replica:${replica}`,
      epoch: this.epoch,
      seq: this.seq,
      prev: 0,
      class: 'P0',
      wallMs: Math.floor(clock.wallMs()),
      monoMs: Math.floor(clock.nowMs()),
      type: `host.${to}`,
      group: '',
      process: '',
      cause: '',
      body: { kind: 'host-changed', from, to, detail: `seen by ${replica}` },
    };
    feed.event(event);
    this.unsent.push(event);
    if (this.unsent.length > UNSENT_MAX) this.unsent.shift();
    void this.flush();
  }

  /** Stores this replica's own events; tried again with the next one when the bus is away. */
  private async flush(): Promise<void> {
    const { bus, fleet, log, replica } = this.options;
    if (bus === undefined || this.sending) return;
    this.sending = true;
    try {
      for (let event = this.unsent[0]; event !== undefined; event = this.unsent[0]) {
        const data = EventFrame.encode({ events: [eventToWire(event)] }).finish();
        const id = `${event.host}/${replica}/${event.epoch}/${event.seq}`;
        await bus.publishStored(eventSubject(fleet, event.host), data, id);
        this.unsent.splice(this.unsent.indexOf(event), 1);
      }
    } catch (error) {
      log.debug('host event not stored yet', { reason: reasonOf(error) });
    } finally {
      this.sending = false;
    }
  }

  /** The bus is back: what waited can go. */
  busIsBack(): void {
    void this.flush();
  }
}

/** The events of one message; those that claim another host, or cannot be read, are dropped and logged. */
function framesOf(message: { subject: string; data: Uint8Array }, log: Logger): FleetEvent[] {
  const host = hostOfSubject(message.subject);
  try {
    return EventFrame.decode(message.data)
      .events.filter((event) => event.host === host)
      .map(eventFromWire);
  } catch (error) {
    log.warn('frame of events cannot be read', { host, reason: reasonOf(error) });
    return [];
  }
}
