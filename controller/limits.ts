// Every number that bounds the fleet, with its default (spec fleet 14): the `[limits]` section of controller.conf.
// Tests shorten times there, never in code.
import {
  readBytes,
  readDuration,
  readIntegerBetween,
  type FieldWorld,
  type Reader,
} from '../common/fields.js';
import { FieldError } from '../common/problems.js';
import { field, type SectionReader, type SectionTable } from '../common/sections.js';

const SECOND_MS = 1000;
const KILO = 1024;
const MEGA = 1024 * KILO;
const COUNT_MAX = 1_000_000_000;

/** At least one of what it counts. */
const readCount = readIntegerBetween(1, COUNT_MAX);

/** Longer than nothing: a limit of zero would switch the thing off by accident. */
function positive(read: Reader<number>): Reader<number> {
  return (text: string, world: FieldWorld) => {
    const value = read(text, world);
    if (value > 0) return value;
    throw new FieldError(`${text} is not above zero`);
  };
}

const time = (seconds: number, shown: string, what: string) =>
  field(positive(readDuration), seconds * SECOND_MS, shown, what);
const size = (bytes: number, shown: string, what: string) =>
  field(positive(readBytes), bytes, shown, what);
const count = (value: number, what: string) => field(readCount, value, String(value), what);

/** The keys of `[limits]`. */
export const LIMITS = {
  heartbeat: time(2, '2s', 'time between heartbeats of a host, in fleets of up to 500 hosts'),
  suspect: time(6, '6s', 'silence after which a host is suspect'),
  down: time(15, '15s', 'silence after which a host is down'),
  keepalive: time(10, '10s', 'time between keepalive pings of a session'),
  keepalive_timeout: time(5, '5s', 'unanswered for this long, a session is closed'),
  hosts: count(5000, 'hosts in a fleet'),
  processes: count(1000, 'processes of one host'),
  message: size(4 * MEGA, '4MB', 'gRPC message, before and after decompression'),
  snapshot_chunk: size(MEGA, '1MB', 'part of a snapshot'),
  http_header: size(16 * KILO, '16KB', 'HTTP header'),
  http_body: size(MEGA, '1MB', 'HTTP body'),
  http_header_time: time(10, '10s', 'time to send an HTTP header'),
  http_request_time: time(30, '30s', 'time to send an HTTP request'),
  http_connections: count(256, 'HTTP connections'),
  http_connections_per_source: count(32, 'HTTP connections from one address'),
  bus_frame: size(256 * KILO, '256KB', 'frame of events on the bus'),
  event_payload: size(16 * KILO, '16KB', 'payload of one event'),
  labels: count(64, 'labels of one host'),
  silences: count(1000, 'silences'),
  tokens: count(10_000, 'user tokens'),
  rollouts: count(100, 'active rollouts'),
  spool: size(64 * MEGA, '64MB', 'events a host keeps while the bus is away'),
  spool_memory: count(10_000, 'events a host keeps when it cannot write'),
  spool_retention: time(600, '10m', 'how long a host keeps acknowledged events'),
  descriptors_reserve: count(64, 'descriptors kept for the control socket'),
  log_line: size(64 * KILO, '64KB', 'one line of a followed log'),
  follower_lag: size(MEGA, '1MB', 'how far a follower may fall behind'),
  log_streams: count(100, 'followed logs at once'),
  command_ids: count(10_000, 'commands a host remembers'),
  command_age: time(86_400, '24h', 'how long a host remembers a command'),
} satisfies SectionTable;

/** The limits in our units. */
export interface Limits {
  readonly heartbeatMs: number;
  /** Above heartbeatMs. */
  readonly suspectMs: number;
  /** Above suspectMs. */
  readonly downMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly hostsMax: number;
  readonly processesPerHostMax: number;
  readonly messageBytesMax: number;
  readonly snapshotChunkBytes: number;
  readonly httpHeaderBytesMax: number;
  readonly httpBodyBytesMax: number;
  readonly httpHeaderMs: number;
  readonly httpRequestMs: number;
  readonly httpConnectionsMax: number;
  readonly httpConnectionsPerSourceMax: number;
  readonly busFrameBytesMax: number;
  readonly eventPayloadBytesMax: number;
  readonly labelsMax: number;
  readonly silencesMax: number;
  readonly tokensMax: number;
  readonly rolloutsMax: number;
  readonly spoolBytesMax: number;
  readonly spoolMemoryEventsMax: number;
  readonly spoolRetentionMs: number;
  readonly descriptorsReserve: number;
  readonly logLineBytesMax: number;
  readonly followerLagBytesMax: number;
  readonly logStreamsMax: number;
  readonly commandIdsMax: number;
  readonly commandAgeMs: number;
}

/** Reads the section; `reader` may be over an empty one, then all defaults hold. */
export function parseLimits(reader: SectionReader<typeof LIMITS>): Limits {
  const limits: Limits = {
    heartbeatMs: reader.get('heartbeat'),
    suspectMs: reader.get('suspect'),
    downMs: reader.get('down'),
    keepaliveMs: reader.get('keepalive'),
    keepaliveTimeoutMs: reader.get('keepalive_timeout'),
    hostsMax: reader.get('hosts'),
    processesPerHostMax: reader.get('processes'),
    messageBytesMax: reader.get('message'),
    snapshotChunkBytes: reader.get('snapshot_chunk'),
    httpHeaderBytesMax: reader.get('http_header'),
    httpBodyBytesMax: reader.get('http_body'),
    httpHeaderMs: reader.get('http_header_time'),
    httpRequestMs: reader.get('http_request_time'),
    httpConnectionsMax: reader.get('http_connections'),
    httpConnectionsPerSourceMax: reader.get('http_connections_per_source'),
    busFrameBytesMax: reader.get('bus_frame'),
    eventPayloadBytesMax: reader.get('event_payload'),
    labelsMax: reader.get('labels'),
    silencesMax: reader.get('silences'),
    tokensMax: reader.get('tokens'),
    rolloutsMax: reader.get('rollouts'),
    spoolBytesMax: reader.get('spool'),
    spoolMemoryEventsMax: reader.get('spool_memory'),
    spoolRetentionMs: reader.get('spool_retention'),
    descriptorsReserve: reader.get('descriptors_reserve'),
    logLineBytesMax: reader.get('log_line'),
    followerLagBytesMax: reader.get('follower_lag'),
    logStreamsMax: reader.get('log_streams'),
    commandIdsMax: reader.get('command_ids'),
    commandAgeMs: reader.get('command_age'),
  };
  if (limits.suspectMs <= limits.heartbeatMs) {
    reader.fail('suspect', 'suspect must be longer than heartbeat', 'e.g. three times as long');
  } else if (limits.downMs <= limits.suspectMs) {
    reader.fail('down', 'down must be longer than suspect', 'e.g. more than twice as long');
  }
  return limits;
}
