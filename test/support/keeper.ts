// Real keepers for tests: built, started in a folder of their own under /tmp, ended and removed afterwards.
// A recorder keeps every notice, so that a test waits for facts instead of sleeping.
import { type ChildProcess, spawn as spawnProcess } from 'node:child_process';
import { openSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connectKeeper, type KeeperClient } from '../../agent/keeper/client.js';
import type { Datagram } from '../../agent/keeper/sockets.js';
import type { ChildRecord, SpawnNotice, SpawnRequest } from '../../agent/spawner.js';
import { buildKeeper, compileKeeper } from '../../tools/build-keeper.mjs';

/** Longer than anything here takes on a busy machine; reaching it fails the test. */
const PATIENCE_MS = 30_000;
const POLL_MS = 5;

/** `checked` has sanitizers and the fault points; `unstripped` is for valgrind. */
export type KeeperVariant = 'plain' | 'unstripped' | 'checked';

// Keepers that a failed test left behind would keep the test process, and their children, alive.
const running = new Set<ChildProcess>();
after(() => {
  for (const keeper of running) {
    const children = readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8');
    for (const pid of children.split(' ').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
    keeper.kill('SIGKILL');
  }
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const built = new Map<KeeperVariant, Promise<string>>();

/** The keeper program of a variant, compiled once per test file. */
export async function keeperVariant(variant: KeeperVariant): Promise<string> {
  const known = built.get(variant) ?? compileVariant(variant);
  built.set(variant, known);
  return await known;
}

async function compileVariant(variant: KeeperVariant): Promise<string> {
  if (variant === 'plain') return await buildKeeper(path.join(ROOT, 'dist', 'bin'));
  const dir = await mkdtemp(path.join(tmpdir(), 'fv-keeper-build-'));
  process.on('exit', () => {
    rmSync(dir, { recursive: true, force: true });
  });
  const program = path.join(dir, 'fleetvisor-keeper');
  const flags = {
    unstripped: ['-g'],
    checked: ['-DKEEPER_FAULTS', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  }[variant];
  await compileKeeper(program, [], flags);
  return program;
}

/** Collects notices and hands them out by kind and spawn number, waiting where they are still to come. */
export class Recorder {
  readonly notices: SpawnNotice[] = [];
  readonly datagrams: Datagram[] = [];
  #wake: (() => void)[] = [];

  readonly onNotice = (notice: SpawnNotice): void => {
    this.notices.push(notice);
    for (const wake of this.#wake.splice(0)) wake();
  };

  readonly onDatagram = (datagram: Datagram): void => {
    this.datagrams.push(datagram);
    for (const wake of this.#wake.splice(0)) wake();
  };

  /** The first notice of this kind (about `spawn`, if given). Rejects after PATIENCE_MS. */
  async next<Kind extends SpawnNotice['kind']>(
    kind: Kind,
    spawn?: number,
  ): Promise<Extract<SpawnNotice, { kind: Kind }>> {
    return await this.until(
      () => {
        const found = this.notices.find(
          (notice) => notice.kind === kind && (spawn === undefined || spawnOf(notice) === spawn),
        );
        return found as Extract<SpawnNotice, { kind: Kind }> | undefined;
      },
      `${kind} of spawn ${spawn ?? 'any'}`,
    );
  }

  async until<Value>(find: () => Value | undefined, what: string): Promise<Value> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) {
        throw new Error(`never came: ${what}; seen: ${JSON.stringify(this.notices.slice(-10))}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}

function spawnOf(notice: SpawnNotice): number | undefined {
  if (notice.kind === 'spawned') return notice.child.spawn;
  return 'spawn' in notice ? notice.spawn : undefined;
}

export interface TestKeeperOptions {
  readonly variant?: KeeperVariant;
  /** A program that runs the keeper, e.g. valgrind with its flags. */
  readonly wrapper?: readonly string[];
  /** `point:nth:errno`, for the `checked` variant. */
  readonly fault?: string;
  readonly idleMs?: number;
}

/** A keeper in the foreground of the test, so that its own messages and exit status are seen. */
export class TestKeeper {
  private constructor(
    readonly dir: string,
    readonly process: ChildProcess,
    readonly ended: Promise<{ code: number | null; stderr: string }>,
  ) {}

  static async start(options: TestKeeperOptions = {}): Promise<TestKeeper> {
    const program = await keeperVariant(options.variant ?? 'plain');
    const dir = await mkdtemp(path.join(tmpdir(), 'fv-keeper-'));
    const words = [...(options.wrapper ?? []), program, '--foreground', ...keeperFlags(dir)];
    if (options.idleMs !== undefined) words.push('--idle-ms', String(options.idleMs));
    const env = { ...process.env, KEEPER_FAULT: options.fault ?? '' };
    const child = spawnProcess(words[0] ?? '', words.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env,
      detached: true,
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
      child.on('close', (code) => {
        resolve({ code, stderr });
      });
    });
    running.add(child);
    void ended.then(() => running.delete(child));
    return new TestKeeper(dir, child, ended);
  }

  get socketPath(): string {
    return path.join(this.dir, 'k.sock');
  }

  /** Connects as the agent; retries while the keeper is still starting. */
  async connect(recorder: Recorder = new Recorder()): Promise<KeeperClient> {
    return await eventually(async () => {
      try {
        return await connectKeeper({ socketPath: this.socketPath, ...recorder });
      } catch (error) {
        if (this.process.exitCode !== null || this.process.signalCode !== null) throw error;
        return undefined;
      }
    }, 'a connection to the keeper');
  }

  /** Kills every child, ends the keeper, removes the folder; gives its exit code and messages. */
  async stop(): Promise<{ code: number | null; stderr: string }> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const client = await this.connect();
      for (const child of await client.list()) {
        if (child.exit === undefined) await client.signal(child.spawn, 9, 'tree');
      }
      await eventually(async () => {
        try {
          await client.shutdown();
          return true;
        } catch {
          return undefined;
        }
      }, 'the end of all children');
    }
    const end = await this.ended;
    await rm(this.dir, { recursive: true, force: true });
    return end;
  }
}

/** The flags of a keeper whose files all lie in `dir`. */
export function keeperFlags(dir: string): string[] {
  const file = (name: string): string => path.join(dir, name);
  return ['--socket', file('k.sock'), '--lock', file('k.lock'), '--spill', file('spill')];
}

/** Polls until `probe` gives a value; for facts that nobody announces. */
export async function eventually<Value>(
  probe: () => Promise<Value | undefined> | Value | undefined,
  what: string,
): Promise<Value> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadlineMs) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A spawn request with pipes for stdin and stdout, stderr going to stdout, and nothing special. */
export function request(
  spawn: number,
  argv: readonly string[],
  more: Partial<SpawnRequest> = {},
): SpawnRequest {
  return {
    spawn,
    tag: `tag ${spawn}`,
    path: argv[0] ?? '',
    argv,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    cwd: '/',
    credentials: undefined,
    umask: undefined,
    rlimits: [],
    stdin: { kind: 'pipe' },
    stdout: { kind: 'pipe' },
    stderr: { kind: 'stdout' },
    ...more,
  };
}

/** A request that runs a shell script. */
export function shell(
  spawn: number,
  script: string,
  more: Partial<SpawnRequest> = {},
): SpawnRequest {
  return request(spawn, ['/bin/sh', '-c', script], more);
}

/** Everything a child wrote to stdout, read through the keeper's descriptor until the end. */
export async function readOutput(child: ChildRecord): Promise<string> {
  const file = child.pipes.stdout;
  if (file === undefined) throw new Error(`spawn ${child.spawn} has no stdout pipe`);
  return await new Promise((resolve, reject) => {
    const socket = new Socket({ fd: openSync(file, 'r'), readable: true, writable: false });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('end', () => {
      resolve(text);
    });
  });
}
