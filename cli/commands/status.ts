// `ctl status`: every selected process of every host, with its age wherever it is not fresh.
import { deadlineOf, readStream } from '../../common/rpc.js';
import type { HostHeader, ProcessRow } from '../../common/rows.js';
import type { SelectorIssue } from '../../common/selector.js';
import { hostRowsFromWire } from '../../common/wire.js';
import type { StatusSummary } from '../../proto/gen/fleetvisor/v1/control.js';
import {
  complainAbout,
  complainOfWarmUp,
  problemsJson,
  targetOf,
  type Context,
} from '../context.js';
import { exitOfStatus } from '../exit.js';
import { hostJson, processJson, summaryJson } from '../render/json.js';
import { statusCells } from '../render/process.js';
import { renderTable } from '../render/table.js';
import { formatAge } from '../render/text.js';

const TIMEOUT_MS = 10_000;

interface HostStatus {
  readonly header: HostHeader;
  readonly rows: readonly ProcessRow[];
}

interface StatusAnswer {
  readonly hosts: readonly HostStatus[];
  readonly summary: StatusSummary;
}

/** Returns the exit code. */
export async function runStatus(context: Context, selectors: readonly string[]): Promise<number> {
  const { hosts, summary } = await fetchStatus(context, selectors);
  const problems: readonly SelectorIssue[] = summary.problems;
  const exit = exitOfStatus({
    states: hosts.flatMap(({ rows }) => rows.map((row) => row.state)),
    freshness: hosts.map(({ header }) => header.freshness),
    problems: problems.length,
  });
  if (context.json) await printJson(context, hosts, summary, exit);
  else await printTable(context, hosts, summary);
  return exit;
}

async function fetchStatus(context: Context, selectors: readonly string[]): Promise<StatusAnswer> {
  const target = targetOf(context, selectors, false);
  const timeoutMs = context.timeoutMs || TIMEOUT_MS;
  return context.client().run(async (client) => {
    const hosts: HostStatus[] = [];
    let summary: StatusSummary | undefined;
    const call = client.status({ target: wireTarget(target) }, deadlineOf({ timeoutMs }));
    for await (const chunk of readStream(call, context.signal)) {
      for (const host of chunk.hosts) hosts.push(hostRowsFromWire(host));
      summary = chunk.summary ?? summary;
    }
    const none = { replica: '', warmingUp: false, problems: [], rows: 0 };
    return { hosts, summary: summary ?? none };
  });
}

/** The generated type asks for mutable arrays. */
export function wireTarget(target: ReturnType<typeof targetOf>): {
  selectors: string[];
  hosts: string[];
  labels: string[];
  allHosts: boolean;
  exclude: string[];
  hasExpect: boolean;
  expect: number;
  maxTargets: number;
} {
  return {
    ...target,
    selectors: [...target.selectors],
    hosts: [...target.hosts],
    labels: [...target.labels],
    exclude: [...target.exclude],
  };
}

async function printTable(
  context: Context,
  hosts: readonly HostStatus[],
  summary: StatusSummary,
): Promise<void> {
  const { out } = context;
  const headers = hosts.map(({ header }) => header);
  complainOfWarmUp(out, summary, headers);
  complainAbout(context, summary.problems);
  const cells = hosts.flatMap(({ header, rows }) => rows.map((row) => statusCells(row, header)));
  const lines = renderTable(cells, out);
  if (lines.length > 0) await out.write(`${lines.join('\n')}\n`);
  for (const { header, rows } of hosts) {
    if (header.freshness === 'fresh') continue;
    const shown = rows.length === 0 ? 'no process is known' : 'its states are as last heard';
    const age = formatAge(header.stateAgeMs);
    out.complain(`${header.host}: ${header.state} for ${age}; ${shown}`);
  }
  if (cells.length === 0 && summary.problems.length === 0) {
    out.complain(hosts.length === 0 ? 'no host is known yet' : 'no process is selected');
  }
}

async function printJson(
  context: Context,
  hosts: readonly HostStatus[],
  summary: StatusSummary,
  exit: number,
): Promise<void> {
  const { out } = context;
  const states: Record<string, number> = {};
  let targets = 0;
  for (const { header, rows } of hosts) {
    const lines = rows.map((row) => JSON.stringify(processJson(row, header, summary.replica)));
    // A host of which nothing is known must not be missing from the answer.
    if (rows.length === 0) lines.push(JSON.stringify(hostJson(header, summary.replica)));
    await out.write(`${lines.join('\n')}\n`);
    for (const row of rows) states[row.state] = (states[row.state] ?? 0) + 1;
    targets += rows.length;
  }
  const more = {
    replica: summary.replica,
    warming_up: summary.warmingUp,
    not_fresh: hosts.filter(({ header }) => header.freshness !== 'fresh').length,
    problems: problemsJson(summary.problems),
  };
  await out.json(summaryJson(targets, states, exit, more));
}
