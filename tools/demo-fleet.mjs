// The demo's fleet on this machine: writes its files below .demo/, starts it, waits until it is up, ends it.
// Every process it starts carries a mark (tools/marked.mjs), so that ending it leaves nothing behind.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { cp, mkdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ToolError, root, run } from './command.mjs';
import { MARK, endMarked, listMarked, send, waitUntil } from './marked.mjs';
import { portOwner } from './port-owner.mjs';

export const HOSTS = ['web1', 'web2', 'db1'];
export const CONTROLLER_PORT = 9500;
const PORTS = [CONTROLLER_PORT, 9580, 9522, 8081, 8082, 8083, 8084, 8085, 8086];

export const demoDir = join(root, '.demo');
/** Where what must outlive a run is kept: the downloaded nats-server. */
export const toolsDir = join(demoDir, 'tools');
const pidFile = join(demoDir, 'run/pids.json');
/** Held by the controller that lives; begins with its pid. */
const CONTROLLER_LOCK = join(demoDir, 'controller/controller.lock');
export const ctl = join(root, 'dist/bin/ctl');
export const ctlConf = join(demoDir, 'ctl.conf');

const CONTROLLER_UP_MS = 30_000;
const HOSTS_UP_MS = 60_000;
/** An agent ends its programs first: stopwaitsecs of the slowest, and a margin. */
const AGENTS_STOP_MS = 20_000;
const CONTROLLER_STOP_MS = 10_000;

/** Unix socket names are limited to 107 bytes, so a deep clone keeps its sockets elsewhere. */
function socketDir() {
  if (demoDir.length < 80) return join(demoDir, 'run');
  const id = createHash('sha256').update(demoDir).digest('hex').slice(0, 12);
  return join(tmpdir(), `fleetvisor-demo-${id}`);
}

/** The processes of this demo that live now, with the agents and controllers that a reader started again by hand. */
export async function livingProcesses() {
  const marked = await listMarked(demoDir);
  const known = new Set(marked.map(({ pid }) => pid));
  const byHand = await Promise.all((await startedByHand()).map(describe));
  return [...marked, ...byHand.filter((entry) => entry !== undefined && !known.has(entry.pid))];
}

/** A pid from a file may have gone to somebody else since; ours was started with a file of our folder. */
async function describe(pid) {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const words = text.split('\0');
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  const file = words[words.indexOf('-c') + 1];
  if (cwd === undefined || !file || !/fleetvisor-(agent|controller)/.test(text)) return undefined;
  const isOurs = resolve(cwd, file).startsWith(`${demoDir}/`);
  return isOurs ? { pid, command: words.join(' ').trim() } : undefined;
}

/** Throws a ToolError that names the first port in use and its owner. */
export async function requirePorts() {
  for (const port of PORTS) {
    const owner = await portOwner(port);
    if (owner === undefined) continue;
    throw new ToolError(
      `port ${port} of 127.0.0.1, which the demo needs, is taken by ${owner}: end that and run this again`,
    );
  }
}

/** Makes .demo/ anew: configuration from deploy/dev/, certificates from `ctl certs`. */
export async function writeFiles() {
  const kept = `${demoDir}.kept`;
  await rename(toolsDir, kept).catch(() => undefined);
  await rm(demoDir, { recursive: true, force: true });
  await mkdir(join(demoDir, 'run'), { recursive: true });
  await mkdir(socketDir(), { recursive: true, mode: 0o700 });
  await rename(kept, toolsDir).catch(() => undefined);
  for (const host of HOSTS) await mkdir(join(demoDir, host));
  const files = ['controller.conf', 'ctl.conf', ...HOSTS.map((host) => `${host}/supervisord.conf`)];
  for (const file of files) {
    const text = await readFile(join(root, 'deploy/dev', file), 'utf8');
    await writeFile(join(demoDir, file), fill(text, file.endsWith('supervisord.conf')));
  }
  // Copied, so that a reader of .demo/ has in one place all that runs.
  await cp(join(root, 'deploy/dev/programs'), join(demoDir, 'programs'), { recursive: true });
}

/** Puts the places in; `%` begins an expansion in a supervisord.conf and is doubled there. */
function fill(text, doublesPercent) {
  const places = {
    '@DEMO@': demoDir,
    '@RUN@': socketDir(),
    '@PROGRAMS@': join(demoDir, 'programs'),
  };
  return text.replace(/@(DEMO|RUN|PROGRAMS)@/g, (name) =>
    doublesPercent ? places[name].replaceAll('%', '%%') : places[name],
  );
}

/** A private CA and one certificate for each program, with our own ctl. */
export async function makeCertificates() {
  const dir = join(demoDir, 'certs');
  await ctlCerts(['init', '--fleet', 'demo', '--dir', dir]);
  for (const host of HOSTS) await ctlCerts(['issue', 'host', host, '--dir', dir]);
  // The controller's certificate is also its embedded bus's, which clients reach by this address.
  await ctlCerts(['issue', 'controller', 'demo', '--san', '127.0.0.1', '--dir', dir]);
  await ctlCerts(['issue', 'user', 'demo', '--dir', dir]);
}

async function ctlCerts(argv) {
  const result = await run(ctl, ['certs', ...argv], { quiet: true });
  if (result.code !== 0) {
    throw new ToolError(`ctl certs ${argv.join(' ')} failed:\n${result.output.trimEnd()}`);
  }
}

/** Starts the controller, waits until its port answers, answers its process. `natsDir` is where nats-server is. */
export async function startController(natsDir) {
  const child = await startProgram(
    'controller',
    join(root, 'dist/bin/fleetvisor-controller'),
    ['-c', join(demoDir, 'controller.conf')],
    { PATH: `${process.env.PATH ?? ''}:${natsDir}` },
  );
  const isUp = await waitUntil(
    async () => child.exitCode !== null || (await answers(CONTROLLER_PORT)),
    CONTROLLER_UP_MS,
  );
  if (child.exitCode !== null || !isUp) await failWithLog('controller', child);
  return child;
}

/** Starts the three agents, waits until every host is up and settled, answers their processes. */
export async function startAgents() {
  const children = new Map();
  for (const host of HOSTS) {
    const argv = ['-n', '-c', join(demoDir, host, 'supervisord.conf')];
    children.set(host, await startProgram(host, join(root, 'dist/bin/fleetvisor-agent'), argv));
  }
  let last = '';
  const ask = async (...argv) => {
    const { output } = await run(ctl, ['-C', ctlConf, '--json', ...argv], { quiet: true });
    last = output;
    return jsonLines(output);
  };
  const isUp = await waitUntil(async () => {
    for (const [host, child] of children) {
      if (child.exitCode !== null) await failWithLog(host, child);
    }
    return areJoined(await ask('hosts')) && areSettled(await ask('status', '--all-hosts'));
  }, HOSTS_UP_MS);
  if (!isUp) throw new ToolError(`the fleet is not up after ${HOSTS_UP_MS / 1000} s:\n${last}`);
  return [...children.values()];
}

function jsonLines(output) {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line));
}

/** Every host is heard over its session and over the bus. */
function areJoined(lines) {
  const joined = lines.filter(({ kind, path }) => kind === 'host' && path === 'both');
  return HOSTS.every((name) => joined.some(({ host }) => host === name));
}

/** Every host has its programs and none of them is on its way. */
function areSettled(lines) {
  const rows = lines.filter(({ kind }) => kind === 'process');
  const isQuiet = rows.every(({ state }) => state !== 'STARTING' && state !== 'STOPPED');
  return isQuiet && HOSTS.every((name) => rows.some(({ host }) => host === name));
}

/** Ends the fleet: agents with their programs, the controller, its bus, then whatever carries the mark. */
export async function stopFleet() {
  const started = await readPids();
  const controller = await pidIn(CONTROLLER_LOCK);
  const agents = [...HOSTS.map((host) => started[host]), ...(await startedByHand())];
  await end(
    agents.filter((pid) => pid !== controller),
    AGENTS_STOP_MS,
  );
  await end([started.controller, controller], CONTROLLER_STOP_MS);
  // The embedded bus outlives its controller on purpose; here it is done too.
  await endMarked(demoDir);
  await rm(pidFile, { force: true });
  if (socketDir() !== join(demoDir, 'run')) await rm(socketDir(), { recursive: true, force: true });
}

/** SIGTERM to those that still are ours, then waits for their end. */
async function end(pids, limitMs) {
  const ours = [];
  for (const pid of pids) if (pid !== undefined && (await isOurs(pid))) ours.push(pid);
  for (const pid of ours) send(pid, 'SIGTERM');
  const areGone = async () => !(await Promise.all(ours.map(isOurs))).includes(true);
  await waitUntil(areGone, limitMs);
}

async function isOurs(pid) {
  return (await livingProcesses()).some((entry) => entry.pid === pid);
}

/** A reader who ends an agent or the controller and starts it again has one without our mark; its files know it. */
async function startedByHand() {
  const files = [...HOSTS.map((host) => join(demoDir, host, 'agent.pid')), CONTROLLER_LOCK];
  return (await Promise.all(files.map(pidIn))).filter((pid) => pid !== undefined);
}

/** The pid that a file begins with; undefined: none. */
async function pidIn(file) {
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
  return pid > 1 ? pid : undefined;
}

/** Names and pids of the programs that a run has started; empty without a run. */
async function readPids() {
  return readFile(pidFile, 'utf8').then(JSON.parse, () => ({}));
}

async function startProgram(name, program, argv, env = {}) {
  const log = openSync(join(demoDir, 'run', `${name}.log`), 'w');
  const child = spawn(program, argv, {
    cwd: demoDir,
    // Its own session: Ctrl-C at the terminal reaches the demo, which then ends the fleet in order.
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env, [MARK]: demoDir },
  });
  closeSync(log);
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new ToolError(`${program}: ${error.message}`)));
  });
  const pids = await readPids();
  await writeFile(pidFile, `${JSON.stringify({ ...pids, [name]: child.pid })}\n`);
  return child;
}

async function failWithLog(name, child) {
  const log = await readFile(join(demoDir, 'run', `${name}.log`), 'utf8').catch(() => '');
  const tail = log.trim().split('\n').slice(-15).join('\n');
  const how =
    child.exitCode === null ? 'does not answer' : `ended with exit code ${child.exitCode}`;
  throw new ToolError(`${name} ${how}; the end of .demo/run/${name}.log:\n${tail}`);
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}
