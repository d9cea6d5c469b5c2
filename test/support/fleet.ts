// A whole fleet for one test: certificates, controller with its own NATS, agents, ctl; everything in a folder
// under /tmp on loopback ports. Uses the programs of dist/bin, so `npm run build` (or npm test) comes first.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { MARK, endMarked, listMarked } from '../../tools/marked.mjs';
import { type Cleanup, temporaryFolder } from './folders.js';
import { findProgram } from './need.js';
import { freePorts } from './ports.js';
import { ROOT } from './sources.js';
import { until } from './wait.js';

const BIN = join(ROOT, 'dist/bin');
const CTL_PATIENCE_MS = 60_000;

export interface FleetPlan {
  /** Host name -> its programs, as the text of a supervisord.conf without [supervisord] and [fleet]. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Host name -> `labels=` of its [fleet] section. */
  readonly labels?: Readonly<Record<string, string>>;
  /** More sections of controller.conf: receivers, alerts, limits. */
  readonly controllerConf?: string;
}

/** What a finished program left. */
export interface Finished {
  /** Exit code; -1 after a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of `ctl --json`, e.g. kind `process`, `host`, `result`, `event`, `alert`, `summary`. */
export type JsonLine = Readonly<Record<string, unknown>> & { readonly kind: string };

/** One program of the fleet (the controller or an agent) that a test may end and start again. */
export interface Daemon {
  readonly name: string;
  readonly logFile: string;
  pid(): number;
  /** Sends a signal and waits until the program itself is gone; its children are not its own. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it (again) on the same files. */
  start(): void;
}

export interface Fleet {
  readonly dir: string;
  readonly ctlConf: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly busPort: number;
  readonly controller: Daemon;
  agent(host: string): Daemon;
  /** Runs ctl in fleet mode to its end. */
  ctl(...argv: string[]): Promise<Finished>;
  /** Runs `ctl --json` and answers its lines; the exit code is in the summary line. */
  json(...argv: string[]): Promise<JsonLine[]>;
  /** Starts ctl and leaves it running (`events -f`, `tail -f`); ended with the fleet. */
  follow(...argv: string[]): Following;
  /** Ends everything; answers the command lines of processes that had outlived their agent. */
  stop(): Promise<string[]>;
}

/** A ctl that runs on; what it printed so far, and a way to wait for more. */
export interface Following {
  readonly child: ChildProcess;
  lines(): string[];
  /** The first line that `isWanted`, from the beginning of the output. */
  line(what: string, isWanted: (line: string) => boolean): Promise<string>;
  end(): Promise<void>;
}

/** Starts a fleet and waits until every host is up and on the bus. It ends with the test, whatever happens. */
export async function startFleet(context: Cleanup, plan: FleetPlan): Promise<Fleet> {
  const dir = await temporaryFolder(context);
  const [grpcPort = 0, httpPort = 0, busPort = 0] = await freePorts(3);
  const places = { dir, grpcPort, httpPort, busPort };
  const hosts = Object.keys(plan.hosts);
  const natsServer = findProgram('nats-server');
  const natsDir = natsServer === undefined ? '' : dirname(natsServer);
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${natsDir}`, [MARK]: dir };
  // Inside a test Node's runner leaves a variable that makes a child node report instead of run.
  delete env['NODE_TEST_CONTEXT'];

  writeFiles(places, plan);
  await makeCertificates(dir, hosts, env);
  const ctlConf = join(dir, 'ctl.conf');
  const controller = new RealDaemon('controller', 'fleetvisor-controller', dir, env, [
    '-c',
    join(dir, 'controller.conf'),
  ]);
  const agents = new Map(
    hosts.map((host) => {
      const argv = ['-n', '-c', join(dir, host, 'supervisord.conf')];
      return [host, new RealDaemon(host, 'fleetvisor-agent', dir, env, argv)];
    }),
  );
  const followers: Following[] = [];
  let ending: Promise<string[]> | undefined;

  const fleet: Fleet = {
    ...places,
    ctlConf,
    controller,
    agent(host) {
      const found = agents.get(host);
      if (found === undefined) throw new Error(`the test's fleet has no host ${host}`);
      return found;
    },
    ctl: (...argv) => runToEnd(join(BIN, 'ctl'), ['-C', ctlConf, ...argv], env),
    async json(...argv) {
      const { stdout, stderr } = await fleet.ctl('--json', ...argv);
      const lines = stdout.split('\n').filter((line) => line !== '');
      if (lines.length === 0) throw new Error(`ctl ${argv.join(' ')} printed nothing: ${stderr}`);
      return lines.map((line) => JSON.parse(line) as JsonLine);
    },
    follow(...argv) {
      const follower = follow(join(BIN, 'ctl'), ['-C', ctlConf, ...argv], env);
      followers.push(follower);
      return follower;
    },
    stop: () => (ending ??= stopAll()),
  };

  async function stopAll(): Promise<string[]> {
    for (const follower of followers) await follower.end();
    await Promise.all([...agents.values()].map((agent) => agent.kill('SIGTERM')));
    await controller.kill('SIGTERM');
    const rest = await endMarked(dir);
    // The bus outlives its controller by design, with the private agent and keeper it runs under.
    return rest.map(({ command }) => command).filter((text) => !text.includes(`${dir}/controller`));
  }

  context.after(async () => {
    await fleet.stop();
  });
  controller.start();
  await controller.untilListening(grpcPort);
  for (const agent of agents.values()) agent.start();
  await untilUp(fleet, hosts, agents);
  return fleet;
}

async function untilUp(
  fleet: Fleet,
  hosts: readonly string[],
  agents: ReadonlyMap<string, RealDaemon>,
): Promise<void> {
  let seen = '';
  await until(
    `the hosts ${hosts.join(', ')} to be up and on the bus`,
    async () => {
      for (const agent of agents.values()) agent.assertRunning();
      const { stdout, stderr } = await fleet.ctl('--json', 'hosts');
      seen = stdout + stderr;
      const lines = stdout.split('\n').filter((line) => line !== '');
      const joined = lines
        .map((line) => JSON.parse(line) as JsonLine)
        .filter(({ kind, state, path }) => kind === 'host' && state === 'up' && path === 'both');
      return hosts.every((host) => joined.some((line) => line['host'] === host));
    },
    { patienceMs: CTL_PATIENCE_MS, seen: () => seen },
  );
}

class RealDaemon implements Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly #start: () => ChildProcess;
  #child: ChildProcess | undefined;

  constructor(
    name: string,
    program: string,
    dir: string,
    env: NodeJS.ProcessEnv,
    argv: readonly string[],
  ) {
    this.name = name;
    this.logFile = join(dir, `${name}.log`);
    this.#start = () => {
      const log = openSync(this.logFile, 'a');
      const stdio = ['ignore', log, log] as const;
      const child = spawn(join(BIN, program), argv, { cwd: dir, env, stdio: [...stdio] });
      closeSync(log);
      return child;
    };
  }

  start(): void {
    this.#child = this.#start();
  }

  pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await until(
      `${this.name} to end after ${signal}`,
      () => child.exitCode !== null || child.signalCode !== null,
      { seen: () => this.#logTail() },
    );
  }

  assertRunning(): void {
    const child = this.#child;
    if (child === undefined || (child.exitCode === null && child.signalCode === null)) return;
    const how = child.signalCode ?? `exit code ${child.exitCode}`;
    throw new Error(`${this.name} ended by itself (${how}):\n${this.#logTail()}`);
  }

  async untilListening(port: number): Promise<void> {
    await until(
      `${this.name} to listen on port ${port}`,
      () => {
        this.assertRunning();
        return accepts(port);
      },
      { seen: () => this.#logTail() },
    );
  }

  #logTail(): string {
    return readFileSync(this.logFile, 'utf8').trim().split('\n').slice(-30).join('\n');
  }
}

/** Processes of this fleet that live now, with their command lines. */
export function livingProcesses(fleet: Fleet): Promise<{ pid: number; command: string }[]> {
  return listMarked(fleet.dir);
}

function writeFiles(
  { dir, grpcPort, httpPort, busPort }: Pick<Fleet, 'dir' | 'grpcPort' | 'httpPort' | 'busPort'>,
  plan: FleetPlan,
): void {
  const tls = (name: string): string =>
    `ca=${dir}/certs/ca.crt\ncert=${dir}/certs/${name}.crt\nkey=${dir}/certs/${name}.key\n`;
  writeFileSync(
    join(dir, 'controller.conf'),
    `[controller]
listen=127.0.0.1:${grpcPort}
http_listen=127.0.0.1:${httpPort}
state_dir=${dir}/controller
[tls]
${tls('controller-test')}
[nats]
port=${busPort}
[user:test]
grant=admin on *:*:*
${plan.controllerConf ?? ''}
`,
  );
  writeFileSync(
    join(dir, 'ctl.conf'),
    `[ctl]\ncontrollers=127.0.0.1:${grpcPort}\n${tls('user-test')}`,
  );
  for (const [host, programs] of Object.entries(plan.hosts)) {
    mkdirSync(join(dir, host));
    writeFileSync(
      join(dir, host, 'supervisord.conf'),
      `[unix_http_server]
file=${dir}/${host}.sock
[supervisord]
identifier=${host}
logfile=${dir}/${host}/agent.log
pidfile=${dir}/${host}/agent.pid
childlogdir=${dir}/${host}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${dir}/${host}.sock
[fleet]
controllers=127.0.0.1:${grpcPort}
${tls(`host-${host}`)}labels=${plan.labels?.[host] ?? ''}
state_dir=${dir}/${host}/state
${programs}
`,
    );
  }
}

async function makeCertificates(
  dir: string,
  hosts: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const certs = join(dir, 'certs');
  const calls = [
    ['init', '--fleet', 'test'],
    ...hosts.map((host) => ['issue', 'host', host]),
    ['issue', 'controller', 'test', '--san', '127.0.0.1'],
    ['issue', 'user', 'test'],
  ];
  for (const call of calls) {
    const argv = ['certs', ...call, '--dir', certs];
    const { code, stdout, stderr } = await runToEnd(join(BIN, 'ctl'), argv, env);
    if (code !== 0) throw new Error(`ctl ${argv.join(' ')} failed: ${stdout}${stderr}`);
  }
}

function runToEnd(
  program: string,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: CTL_PATIENCE_MS,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

function follow(program: string, argv: readonly string[], env: NodeJS.ProcessEnv): Following {
  const child = spawn(program, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const lines = (): string[] => output.split('\n').filter((line) => line !== '');
  return {
    child,
    lines,
    line: (what, isWanted) =>
      until(`ctl ${argv.slice(2).join(' ')} to print ${what}`, () => lines().find(isWanted), {
        seen: () => output,
      }),
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await until('ctl to end', () => child.exitCode !== null || child.signalCode !== null);
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
