// The embedded bus: nats-server under a private agent, so that the broker survives a crash of the controller.
// Invariants: a running broker is taken over, never started twice; a host may connect once `admit` has run;
// `stop` leaves no process behind (design 3.5).
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, openSync, closeSync, renameSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { FleetError } from '../../common/errors.js';
import { makeFolder } from '../../common/folders.js';
import type { Logger } from '../../common/log.js';
import { LocalAgent } from './local-agent.js';
import { natsServerConfig, natsUsersConfig, privateAgentConfig } from './server-config.js';

export interface EmbeddedBusOptions {
  readonly fleet: string;
  /** Name in this controller's certificate. */
  readonly controller: string;
  /** The controller's state directory; the bus lives in `nats/` below it. */
  readonly stateDir: string;
  readonly storeDir: string;
  readonly storeBytesMax: number;
  readonly listen: { readonly host: string; readonly port: number };
  /** Absolute PEM paths. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Program and first arguments that start an agent. */
  readonly agentCommand: readonly string[];
  /** The controller's environment: PATH finds nats-server, the rest is handed on. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** Hosts that were admitted before. */
  readonly hosts: readonly string[];
  readonly log: Logger;
}

/** How long the private agent may take to answer after its start. */
const START_MS = 20_000;
const STOP_MS = 20_000;
const POLL_MS = 50;
/** Where Debian puts servers, which PATH of an ordinary user lacks. */
const SERVER_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin'];

/** nats-server on PATH or in the usual server folders; throws a FleetError that says how to get it. */
export function findNatsServer(path: string): string {
  for (const folder of [...path.split(delimiter), ...SERVER_FOLDERS]) {
    if (folder === '') continue;
    const candidate = join(folder, 'nats-server');
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      continue;
    }
  }
  throw new FleetError('CONFIG_INVALID', 'nats-server was not found on PATH', {
    hint:
      'install it (Debian: `apt-get install nats-server`), or name existing servers with ' +
      '`servers=` in section [nats] of the controller configuration',
  });
}

export class EmbeddedBus {
  private readonly dir: string;
  private readonly agent: LocalAgent;
  private readonly hosts: Set<string>;
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: EmbeddedBusOptions,
    socket: string,
  ) {
    this.dir = join(options.stateDir, 'nats');
    this.agent = new LocalAgent(socket);
    this.hosts = new Set(options.hosts);
  }

  /** Resolves when nats-server is RUNNING. Rejects with one clear line; then nothing was left running. */
  static async start(options: EmbeddedBusOptions): Promise<EmbeddedBus> {
    const dir = join(options.stateDir, 'nats');
    const natsServer = findNatsServer(options.env['PATH'] ?? '');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    makeFolder(options.storeDir, 0o700);
    const socket = socketPath(dir);
    const bus = new EmbeddedBus(options, socket);
    await bus.writeFiles(natsServer, socket);
    if (await bus.agent.answers()) await bus.reload();
    else await bus.launch();
    await bus.awaitRunning();
    return bus;
  }

  /** Lets the host connect. Cheap when it could already. */
  async admit(host: string): Promise<void> {
    if (this.hosts.has(host)) return;
    this.hosts.add(host);
    this.writing = this.writing.then(async () => {
      await this.writeUsers();
      await this.reload();
    });
    await this.writing;
  }

  /** Stops broker and private agent. */
  async stop(): Promise<void> {
    const pid = await this.agent.call('supervisor.getPID').catch(() => undefined);
    await this.agent.call('supervisor.shutdown').catch(() => undefined);
    if (typeof pid !== 'number') return;
    const deadlineMs = performance.now() + STOP_MS;
    while (isAlive(pid) && performance.now() < deadlineMs) await sleep(POLL_MS);
  }

  private async writeFiles(natsServer: string, socket: string): Promise<void> {
    const { listen, tls, storeDir, storeBytesMax } = this.options;
    await this.writeUsers();
    await writeWhole(
      join(this.dir, 'nats.conf'),
      natsServerConfig({ listen, tls, storeDir, storeBytesMax }),
    );
    const config = privateAgentConfig({
      natsServer,
      natsConfig: join(this.dir, 'nats.conf'),
      socket,
      dir: this.dir,
    });
    await writeWhole(join(this.dir, 'supervisord.conf'), config);
  }

  private writeUsers(): Promise<void> {
    const { fleet, controller } = this.options;
    const text = natsUsersConfig(fleet, [controller], [...this.hosts]);
    return writeWhole(join(this.dir, 'users.conf'), text);
  }

  /** nats-server reads its configuration again on HUP; connected identities stay connected. */
  private async reload(): Promise<void> {
    try {
      await this.agent.call('supervisor.signalProcess', 'nats-server', 'HUP');
    } catch (error) {
      this.options.log.warn('the bus could not be told to reload', { reason: String(error) });
    }
  }

  private async launch(): Promise<void> {
    const [program, ...first] = this.options.agentCommand as [string, ...string[]];
    const log = openSync(join(this.dir, 'agent.out'), 'a', 0o600);
    try {
      const child = spawn(program, [...first, '-n', '-c', join(this.dir, 'supervisord.conf')], {
        detached: true,
        stdio: ['ignore', log, log],
        cwd: this.dir,
        // Its state belongs to ours: a controller's folder that is removed leaves nothing elsewhere.
        env: { ...this.options.env, STATE_DIRECTORY: join(this.dir, 'agent') },
      });
      let failed: string | undefined;
      child.once('error', (error) => (failed = error.message));
      child.once('exit', (code, signal) => (failed = `it ended with ${signal ?? `code ${code}`}`));
      child.unref();
      const deadlineMs = performance.now() + START_MS;
      while (!(await this.agent.answers())) {
        if (failed !== undefined || performance.now() > deadlineMs) {
          const why = failed ?? `no answer within ${START_MS / 1000} s`;
          throw new FleetError('FAILED', `the bus's private agent did not start: ${why}`, {
            hint: `see ${join(this.dir, 'agent.out')} and ${join(this.dir, 'agent.log')}`,
          });
        }
        await sleep(POLL_MS);
      }
      child.removeAllListeners();
    } finally {
      closeSync(log);
    }
  }

  private async awaitRunning(): Promise<void> {
    const deadlineMs = performance.now() + START_MS;
    for (;;) {
      const info = (await this.agent.call('supervisor.getProcessInfo', 'nats-server')) as {
        statename?: string;
        spawnerr?: string;
      };
      if (info.statename === 'RUNNING') return;
      const gone = info.statename === 'FATAL' || info.statename === 'BACKOFF';
      if (gone || performance.now() > deadlineMs) {
        const detail = await lastLines(join(this.dir, 'nats-server.log'));
        await this.stop();
        throw new FleetError(
          'FAILED',
          `nats-server did not start on ${this.options.listen.host}:${this.options.listen.port}: ` +
            (detail || info.spawnerr || String(info.statename)),
          { hint: 'is the port taken? `port=` in section [nats] names another one' },
        );
      }
      await sleep(POLL_MS);
    }
  }
}

/** Unix addresses end at 107 bytes, so a deep state directory gets its socket elsewhere. */
function socketPath(dir: string): string {
  const inside = join(dir, 'agent.sock');
  if (Buffer.byteLength(inside) < 100) return inside;
  const { uid } = userInfo();
  const folder = join(tmpdir(), `fleetvisor-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, `${createHash('sha256').update(dir).digest('hex').slice(0, 12)}.sock`);
}

/** Readers see the old file or the new one, never half of it. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const errors = text.split('\n').filter((line) => /\[(ERR|FTL)\]/.test(line));
  return (errors.at(-1) ?? '').replace(/^.*\[(ERR|FTL)\]\s*/, '');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
