// `ctl hosts` and `ctl version`: the hosts as one controller sees them, the unreachable ones included.
import { callUnary } from '../../common/rpc.js';
import { VERSION } from '../../common/version.js';
import type { HostHeader } from '../../common/rows.js';
import { headerFromWire } from '../../common/wire.js';
import { complainOfWarmUp, hostPatterns, refuseScope, type Context } from '../context.js';
import { EXIT } from '../exit.js';
import { hostJson, summaryJson } from '../render/json.js';
import { renderTable, type Cell, type Paint } from '../render/table.js';
import { formatAge, plural } from '../render/text.js';

const TIMEOUT_MS = 10_000;

interface HostsAnswer {
  readonly hosts: readonly HostHeader[];
  readonly replica: string;
  readonly warmingUp: boolean;
  readonly busProblem: string;
}

async function fetchHosts(context: Context, patterns: readonly string[]): Promise<HostsAnswer> {
  const limits = { timeoutMs: context.timeoutMs || TIMEOUT_MS };
  const request = { hosts: [...patterns] };
  const reply = await context
    .client()
    .run((client) => callUnary(client.hosts.bind(client), request, limits));
  return { ...reply, hosts: reply.hosts.map(headerFromWire) };
}

/** Returns the exit code: 4 when a host asked for is not fresh or not there. */
export async function runHosts(context: Context, patterns: readonly string[]): Promise<number> {
  const { out, json } = context;
  refuseScope(context, 'hosts', ['hosts', 'labels', 'allHosts']);
  const wanted = [...patterns, ...hostPatterns(context, 'hosts')];
  const { hosts, replica, warmingUp, busProblem } = await fetchHosts(context, wanted);
  const missing = wanted.length > 0 && hosts.length === 0;
  const doubtful = missing || hosts.some(({ freshness }) => freshness !== 'fresh');
  const exit = doubtful && wanted.length > 0 ? EXIT.doubtful : EXIT.ok;
  if (json) {
    const states: Record<string, number> = {};
    for (const host of hosts) {
      states[host.state] = (states[host.state] ?? 0) + 1;
      await out.json(hostJson(host, replica));
    }
    const more = { replica, warming_up: warmingUp, bus_problem: busProblem };
    await out.json(summaryJson(hosts.length, states, exit, more));
    return exit;
  }
  complainOfWarmUp(out, { replica, warmingUp }, hosts);
  if (busProblem !== '') out.complain(`bus: ${busProblem}`);
  if (missing) out.complain(`${wanted.join(' ')}: ERROR (no such host)`);
  for (const line of renderTable(hosts.map(hostCells), out)) await out.line(line);
  return exit;
}

const PAINTS: Readonly<Partial<Record<HostHeader['state'], Paint>>> = {
  up: 'green',
  joining: 'yellow',
  suspect: 'yellow',
  unknown: 'yellow',
  down: 'red',
};

function hostCells(header: HostHeader): Cell[] {
  const paint = PAINTS[header.state];
  const labels = [...header.labels].map(([key, value]) => `${key}=${value}`).join(',');
  const age = header.freshness === 'fresh' ? '' : `, heard ${formatAge(header.heartbeatAgeMs)} ago`;
  // A path is worth a word only when one of the two ways is missing while the host is heard.
  const oneWay = header.path === 'session-only' || header.path === 'bus-only';
  return [
    { text: header.host },
    { text: header.state, ...(paint === undefined ? {} : { paint }) },
    { text: `for ${formatAge(header.stateAgeMs)}${age}` },
    { text: plural(header.processCount, 'process', 'processes') },
    { text: header.agentVersion },
    { text: oneWay ? `${labels} (${header.path})`.trim() : labels },
  ];
}

/** `ctl version`: our own, and how many agents run which. */
export async function runVersion(context: Context): Promise<number> {
  const { out, json } = context;
  refuseScope(context, 'version', ['hosts', 'labels', 'allHosts']);
  const { hosts, replica } = await fetchHosts(context, hostPatterns(context, 'version'));
  const agents: Record<string, number> = {};
  for (const { agentVersion } of hosts) {
    const version = agentVersion || 'unknown';
    agents[version] = (agents[version] ?? 0) + 1;
  }
  if (json) {
    await out.json(summaryJson(hosts.length, agents, EXIT.ok, { ctl: VERSION, replica }));
    return EXIT.ok;
  }
  await out.line(`ctl ${VERSION}`);
  for (const [version, count] of Object.entries(agents)) {
    await out.line(`agent ${version} on ${plural(count, 'host')}`);
  }
  return EXIT.ok;
}
