// A real agent for one test, run from source on a configuration in a folder of its own under /tmp.
// Whatever the test does, agent, keeper and children are gone afterwards.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { decodeResponse, encodeCall, type XmlValue } from '../../common/xmlrpc.js';
import { MARK, endMarked, listMarked } from '../../tools/marked.mjs';
import { buildKeeper } from '../../tools/build-keeper.mjs';
import { type Cleanup, temporaryFolder } from './folders.js';
import { ROOT } from './sources.js';
import { until } from './wait.js';

/** `command=` of the fake program; its acts are in fakeproc.mjs. */
export const FAKE = `${process.execPath} ${join(ROOT, 'test/support/fakeproc.mjs')}`;

export type Info = Readonly<Record<string, XmlValue>>;

/** What a finished agent left. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface TestAgent {
  readonly dir: string;
  readonly conf: string;
  readonly socket: string;
  /** pid of the agent itself. */
  pid(): number;
  /** Starts it (again) on the same files and waits until it answers. */
  start(): Promise<void>;
  /** Sends a signal to the agent alone and waits for its end. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
  /** Calls a method; rejects with XmlFault. */
  call(method: string, ...params: XmlValue[]): Promise<XmlValue>;
  info(name: string): Promise<Info>;
  /** Waits until a process is in a state, and answers its info. */
  reaches(name: string, state: string): Promise<Info>;
  /** The activity log. */
  log(): string;
  /** A file of the test's folder; empty while it does not exist. */
  file(name: string): string;
  /** Everything the agent has brought into the world that still lives, itself included, as command lines. */
  leftovers(): Promise<string[]>;
}

/**
 * Writes the configuration and starts the agent. `programs` are the sections after [supervisord]; DIR in them stands
 * for the test's folder. `daemon` are further lines of [supervisord].
 */
export async function startAgent(
  context: Cleanup,
  programs: string,
  daemon = '',
): Promise<TestAgent> {
  await buildKeeper(join(ROOT, 'dist', 'bin'));
  let child: ChildProcess | undefined;
  // Registered before the folder's removal, so that it runs first.
  context.after(async () => {
    child?.kill('SIGKILL');
    await endMarked(dir);
  });
  const dir = await temporaryFolder(context);
  const conf = join(dir, 's.conf');
  const socket = join(dir, 's.sock');
  const head = [
    '[supervisord]',
    `logfile=${dir}/s.log`,
    `pidfile=${dir}/s.pid`,
    `childlogdir=${dir}`,
    'user=root',
    daemon,
    '[unix_http_server]',
    `file=${socket}`,
    '[rpcinterface:supervisor]',
    'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface',
    '[supervisorctl]',
    `serverurl=unix://${socket}`,
    '',
  ].join('\n');
  const isRoot = process.getuid?.() === 0;
  const text = isRoot ? head : head.replace('user=root\n', '');
  writeFileSync(conf, text + programs.replaceAll('DIR', dir));
  const env = { ...process.env, STATE_DIRECTORY: join(dir, 'state'), [MARK]: dir };
  let ended: Promise<Ended> | undefined;

  const agent: TestAgent = {
    dir,
    conf,
    socket,
    pid: () => child?.pid ?? 0,
    async start() {
      const args = ['--import', 'tsx', join(ROOT, 'agent/main.ts'), '-n', '-s', '-c', conf];
      const started = spawn(process.execPath, args, { env, stdio: 'ignore', cwd: ROOT });
      child = started;
      ended = new Promise((resolve) => {
        started.once('exit', (code, signal) => resolve({ code, signal }));
      });
      await until('the agent to answer', async () => {
        if (started.exitCode !== null) throw new Error(`the agent ended: ${agent.log()}`);
        return agent.call('supervisor.getState').then(
          () => true,
          () => false,
        );
      });
    },
    async kill(signal) {
      child?.kill(signal);
      return (await ended) ?? { code: null, signal: null };
    },
    call: (method, ...params) => callSocket(socket, method, params),
    info: async (name) => (await agent.call('supervisor.getProcessInfo', name)) as Info,
    async reaches(name, state) {
      let last: Info | undefined;
      return until(
        `${name} to be ${state}`,
        async () => {
          last = await agent.info(name);
          return last['statename'] === state ? last : undefined;
        },
        { seen: () => JSON.stringify(last) },
      );
    },
    log: () => agent.file('s.log'),
    file(name) {
      const path = join(dir, name);
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    },
    leftovers: async () => (await listMarked(dir)).map(({ command }) => command),
  };
  await agent.start();
  return agent;
}

/** One XML-RPC call over a unix socket. */
export function callSocket(
  socketPath: string,
  method: string,
  params: readonly XmlValue[],
): Promise<XmlValue> {
  const body = Buffer.from(encodeCall(method, params));
  const headers = { 'Content-Type': 'text/xml', 'Content-Length': body.length };
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: '/RPC2', method: 'POST', headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          try {
            if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}`);
            resolve(decodeResponse(Buffer.concat(chunks)));
          } catch (error) {
            reject(error as Error);
          }
        });
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

/** Runs supervisorctl of Debian's package against an agent. */
export function supervisorctl(agent: TestAgent, ...args: string[]): { code: number; out: string } {
  const run = spawnSync('supervisorctl', ['-c', agent.conf, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: run.status ?? -1, out: run.stdout + run.stderr };
}

/** The AUTO log of a process's channel in the test's folder. */
export function autoLog(agent: TestAgent, process: string, channel: 'stdout' | 'stderr'): string {
  const names = readdirSync(agent.dir).filter((name) =>
    name.startsWith(`${process}-${channel}---supervisor-`),
  );
  if (names.length !== 1)
    throw new Error(`${names.length} AUTO logs of ${process}: ${names.join()}`);
  return names[0] as string;
}

/** Whether a pid is there and no zombie. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}
