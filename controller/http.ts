// The controller's HTTP port: /healthz and /metrics, reading only.
// Invariants: GET and HEAD never change anything; headers, time and connections are bounded (spec fleet 14).
import { createServer, type Server } from 'node:http';
import { FleetError } from '../common/errors.js';
import type { HostState } from '../common/states.js';
import type { Address } from './config.js';
import type { Feed } from './feed.js';
import type { Limits } from './limits.js';

export interface HttpOptions {
  readonly listen: Address;
  readonly limits: Limits;
  readonly feed: Feed;
  readonly sessions: () => number;
  /** Empty: the bus answers. */
  readonly busProblem: () => string;
  readonly version: string;
}

export interface HttpSide {
  readonly port: number;
  close(): Promise<void>;
}

const STATES: readonly HostState[] = ['joining', 'up', 'suspect', 'down', 'left', 'unknown'];

/** Listens. Throws FleetError CONFIG_INVALID when the address cannot be had. */
export async function openHttp(options: HttpOptions): Promise<HttpSide> {
  const { limits, listen } = options;
  const server = createServer({ maxHeaderSize: limits.httpHeaderBytesMax }, (request, response) => {
    const reply = (status: number, text: string): void => {
      response.writeHead(status, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') reply(405, 'only GET and HEAD\n');
    else if (request.url === '/healthz') reply(200, 'ok\n');
    else if (request.url === '/metrics') reply(200, metricsText(options));
    else reply(404, 'no such page; there are /healthz and /metrics\n');
  });
  server.maxConnections = limits.httpConnectionsMax;
  server.headersTimeout = limits.httpHeaderMs;
  server.requestTimeout = limits.httpRequestMs;
  await listening(server, listen);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const message = `cannot listen on ${host}:${port} for HTTP: ${error.message}`;
      const hint = 'another program may hold the port; choose another with http_listen=';
      reject(new FleetError('CONFIG_INVALID', message, { hint, cause: error }));
    });
    server.listen({ host, port, exclusive: true }, () => resolve());
  });
}

/** Prometheus's text form. */
function metricsText({ busProblem, feed, sessions, version }: HttpOptions): string {
  const headers = feed.hosts();
  const hosts = STATES.map(
    (state) =>
      `fleetvisor_hosts{state="${state}"} ${headers.filter((one) => one.state === state).length}`,
  );
  const byState = new Map<string, number>();
  for (const { host } of headers) {
    for (const row of feed.rows(host)) byState.set(row.state, (byState.get(row.state) ?? 0) + 1);
  }
  const processes = [...byState].map(
    ([state, count]) => `fleetvisor_processes{state="${state}"} ${count}`,
  );
  const view = Object.entries(feed.counts).map(
    ([verdict, count]) => `fleetvisor_view_events_total{verdict="${verdict}"} ${count}`,
  );
  const gauge = (name: string, help: string, lines: readonly string[], type = 'gauge'): string =>
    [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n');
  return [
    gauge('fleetvisor_build_info', 'The running version.', [
      `fleetvisor_build_info{version="${version}"} 1`,
    ]),
    gauge('fleetvisor_hosts', 'Known hosts by state.', hosts),
    gauge('fleetvisor_processes', 'Processes by state, as last heard.', processes),
    gauge('fleetvisor_sessions', 'Open sessions of agents.', [`fleetvisor_sessions ${sessions()}`]),
    gauge('fleetvisor_bus_connected', '1 while the bus answers.', [
      `fleetvisor_bus_connected ${busProblem() === '' ? 1 : 0}`,
    ]),
    gauge(
      'fleetvisor_view_events_total',
      'State events by what became of them in the view.',
      view,
      'counter',
    ),
    gauge('fleetvisor_resident_memory_bytes', 'Resident memory of the controller.', [
      `fleetvisor_resident_memory_bytes ${process.memoryUsage.rss()}`,
    ]),
    '',
  ].join('\n');
}
