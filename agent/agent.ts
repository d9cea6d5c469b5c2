// One life of the agent, wired together: state, log, fleet, servers, keeper, supervision; and its end in reverse.
// Invariants: the state is locked before anything is touched; nothing is started before the servers are open;
// an end leaves no child, no socket and no pid file behind.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../common/clock.js';
import { nameKey, type NameSpec } from '../common/names.js';
import type { Random } from '../common/random.js';
import { VERSION } from '../common/version.js';
import { planAdoption, type AdoptionPlan, type Stranger } from './adopt.js';
import { configHash } from './config-hash.js';
import type { AgentConfig, ProcessConfig } from './config/types.js';
import type { FleetLink, OpenLink } from './core.js';
import { countingSink, type EventSink } from './events.js';
import { KeeperConnection } from './keeper/connection.js';
import { nameOf, type LaunchWorld } from './launch.js';
import { openServers } from './local/server.js';
import type { FileActivityLog } from './logs/activity.js';
import { clearAutoLogs, LogFiles } from './logs/files.js';
import type { Syslog } from './logs/syslog.js';
import { ProcessMemory, type Remembered } from './memory.js';
import type { AgentState } from './state.js';
import { stopStrangers } from './strangers.js';
import { Supervision } from './supervision.js';
import { watchDoubtful } from './doubtful.js';

export interface AgentOptions {
  readonly config: AgentConfig;
  /** Opened and locked; released by `stop`, and when the start fails. */
  readonly state: AgentState;
  readonly log: FileActivityLog;
  readonly syslog: Syslog;
  readonly clock: Clock;
  readonly random: Random;
  readonly world: LaunchWorld;
  /** Ends this life, as asked over RPC. */
  readonly onShutdownRequest: () => void;
  /** Ends this life and begins the next. Throws what is wrong with the configuration: then nothing happens. */
  readonly onRestartRequest: () => void;
}

/** A running agent. */
export interface Agent {
  /** Reopens all logs of processes (SIGUSR2). */
  reopenLogs(): void;
  /** Stops every process, then everything else. Idempotent. */
  stop(): Promise<void>;
}

/** How long output of ended children is waited for at the end. */
const LAST_OUTPUT_WAIT_MS = 1_000;

/**
 * Starts an agent. Rejects with ServerOpenError or KeeperError, with nothing left behind: children that were found
 * stay with their keeper.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const ends: (() => void | Promise<void>)[] = [() => options.state.release()];
  try {
    return await start(options, ends);
  } catch (error) {
    for (const end of ends.reverse()) await end();
    throw error;
  }
}

async function start(options: AgentOptions, ends: (() => void | Promise<void>)[]): Promise<Agent> {
  const { config, log, clock, state } = options;
  const { daemon } = config;
  // Servers and keeper speak before supervision exists: they look for it here.
  const present: { core?: Supervision } = {};
  const namespaces = new Set(['system', ...config.rpcInterfaces.map(({ name }) => name)]);
  const servers = await openServers(
    config,
    () =>
      present.core && {
        core: present.core,
        mainLog: log.file,
        shutdown: options.onShutdownRequest,
        restart: options.onRestartRequest,
        namespaces,
        wallMs: () => clock.wallMs(),
      },
    log,
  );
  ends.push(() => servers.close());
  const link = await openFleet(options);
  ends.push(() => link?.close(false));
  const keeper = new KeeperConnection({
    paths: {
      socketPath: join(state.runDir, 'keeper.sock'),
      lockPath: join(state.dir ?? state.runDir, 'keeper.lock'),
      spillDir: join(state.dir ?? state.runDir, 'spill'),
    },
    clock,
    log,
    onNotice: (notice) => present.core?.notice(notice),
    onLost: (lives) =>
      lives ? present.core?.children.close() : present.core?.children.forgetKeeper(),
    onBack: (children) => {
      present.core?.keeperBack(children);
      void connectSyslog(options, keeper);
    },
  });
  const records = await keeper.open();
  await connectSyslog(options, keeper);
  ends.push(() => keeper.close());

  const memory = new ProcessMemory(state.dir, state.bootId, (text) => log.log('warn', text));
  const processes = config.groups.flatMap((group) => group.processes);
  const plan = planAdoption(processes.map(nameOf), records, memory.previous, mayLive);
  const logs = openLogs(options, processes, plan);
  const sink = link?.sink ?? countingSink(daemon.identifier, state.hostUid, state.epoch, clock);
  const core = new Supervision({
    identifier: daemon.identifier,
    version: VERSION,
    configHash: configHash(config),
    clock,
    log,
    sink,
    state,
    memory,
    logs,
    syslog: options.syslog,
    stripAnsi: daemon.stripAnsi,
    world: options.world,
    spawner: () => keeper.spawner(),
    firstSpawn: Math.max(state.firstSpawn, keeper.lastSpawn + 1),
  });
  present.core = core;
  const stopWatching = watchDoubtful(core, clock);
  recordAgent(
    sink,
    'starting',
    plan.adoptions.length > 0 ? 'with children of an earlier life' : '',
  );
  adoptChildren(core, plan, log);
  core.apply(config.groups, plan.adoptions);
  for (const { record, isAdopted } of plan.claimed) {
    if (record.exit === undefined) continue;
    // Drains what it wrote; the engine acknowledges those that it adopted.
    core.children.ended(record.spawn);
    if (!isAdopted) keeper.spawner().acknowledgeExit(record.spawn);
  }
  reportStrangers(plan.strangers, log);
  keeper.release();
  recordAgent(sink, 'running', '');
  link?.start(core);
  log.log('info', `supervisord started with pid ${process.pid}`);
  const removePidFile = writePidFile(daemon.pidfile, log);

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    recordAgent(sink, 'stopping', '');
    await core.shutdown();
    stopWatching();
    await stopStrangers(keeper.spawner(), plan.strangers, clock, log);
    await lastOutput(core, clock);
    await link?.close(true);
    memory.forget();
    memory.close();
    core.close();
    if (!(await keeper.shutdown()))
      log.log('warn', `the keeper (pid ${keeper.pid}) goes on: it still has children`);
    await servers.close();
    removePidFile();
    state.release();
  };
  return {
    reopenLogs: () =>
      logs.reopenAll((path, error) =>
        log.log('error', `could not reopen ${path}: ${error.message}`),
      ),
    stop: () => (stopping ??= stop()),
  };
}

/** Opens the way to syslog where something is to be logged there. A machine without syslog is no reason to stop. */
async function connectSyslog(
  { config, log, syslog }: AgentOptions,
  keeper: KeeperConnection,
): Promise<void> {
  const streams = config.groups.flatMap((group) =>
    group.processes.flatMap((process) => [process.stdout, process.stderr]),
  );
  if (config.daemon.logfile.kind !== 'syslog' && !streams.some((stream) => stream.syslog)) return;
  try {
    syslog.connect(await keeper.openDatagrams('syslog', SYSLOG_SOCKET));
  } catch (error) {
    log.log('error', `could not reach syslog at ${SYSLOG_SOCKET}: ${(error as Error).message}`);
  }
}

const SYSLOG_SOCKET = '/dev/log';

/** The link to the fleet, or undefined with the reason logged: supervision goes on without it (spec fleet D4). */
async function openFleet(options: AgentOptions): Promise<FleetLink | undefined> {
  const { config, log, clock, random, state } = options;
  if (config.fleet === undefined) return undefined;
  try {
    // Loaded only here: gRPC and NATS cost memory that an agent without a fleet must not pay.
    const { openLink }: { readonly openLink: OpenLink } = await import('./link/link.js');
    return await openLink({
      fleet: config.fleet,
      identifier: config.daemon.identifier,
      state,
      log,
      clock,
      random,
    });
  } catch (error) {
    log.log('error', `not joining the fleet: ${(error as Error).message}`);
    return undefined;
  }
}

/** A remembered child that the keeper does not hold: is there a process with its pid and its age? */
function mayLive(remembered: Remembered): boolean {
  try {
    const stat = readFileSync(`/proc/${remembered.pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A hundredth of a second each, whatever the kernel's own tick is.
    const startedAtMs = Number(fields[19]) * 10;
    const isSame = Math.abs(startedAtMs - (remembered.lastStartAtMs ?? 0)) < SAME_START_MS;
    return fields[0] !== 'Z' && isSame;
  } catch {
    return false;
  }
}

/** How far the kernel's start time of a process and ours may lie apart. */
const SAME_START_MS = 2_000;

function openLogs(
  { config, random, log }: AgentOptions,
  processes: readonly ProcessConfig[],
  plan: AdoptionPlan,
): LogFiles {
  const { daemon } = config;
  const kept = new Map<string, { stdout?: string; stderr?: string }>();
  for (const { name, tag } of plan.claimed)
    kept.set(nameKey(name), {
      ...(tag.stdout === undefined ? {} : { stdout: tag.stdout }),
      ...(tag.stderr === undefined ? {} : { stderr: tag.stderr }),
    });
  const paths = [...kept.values()].flatMap(({ stdout, stderr }) => [stdout, stderr]);
  const keep = new Set(paths.filter((path) => path !== undefined));
  if (!daemon.nocleanup) clearAutoLogs(daemon, keep, (text) => log.log('warn', text));
  const logs = new LogFiles({ ...daemon, random, log });
  for (const process of processes) logs.add(process, kept.get(nameKey(nameOf(process))) ?? {});
  return logs;
}

/** Begins to read the output of the children that were found, before anything else is decided about them. */
function adoptChildren(core: Supervision, plan: AdoptionPlan, log: FileActivityLog): void {
  for (const { name, record, isAdopted } of plan.claimed) {
    core.children.attach(name, record);
    if (!isAdopted) continue;
    const what = record.exit === undefined ? 'still running' : 'ended meanwhile';
    log.log('info', `adopted: '${nameText(name)}' with pid ${record.pid} (${what})`);
  }
}

function reportStrangers(strangers: readonly Stranger[], log: FileActivityLog): void {
  for (const { record, name } of strangers) {
    if (record.exit !== undefined) continue;
    const whose = name === undefined ? 'of an unknown process' : `of '${nameText(name)}'`;
    log.log(
      'warn',
      `left alone: pid ${record.pid} ${whose}, which is not configured; it is stopped when the agent shuts down`,
    );
  }
}

const nameText = (name: NameSpec): string => name.process;

function recordAgent(sink: EventSink, state: string, detail: string): void {
  const body = { kind: 'agent-changed', state, detail } as const;
  sink.record({ type: `agent.${state}`, class: 'P0', group: '', process: '', cause: '', body });
}

/** Writes the pid file and returns the way to remove it, if this run wrote it. */
function writePidFile(path: string, log: FileActivityLog): () => void {
  const text = `${process.pid}\n`;
  try {
    writeFileSync(path, text);
  } catch {
    log.log('critical', `could not write pidfile ${path}`);
    return () => undefined;
  }
  return () => {
    try {
      if (readFileSync(path, 'utf8') === text) rmSync(path);
    } catch {
      // Removed by somebody else: nothing is left to do.
    }
  };
}

/** What children wrote last; descendants that go on writing are not waited for long. */
async function lastOutput(core: Supervision, clock: Clock): Promise<void> {
  const { done, giveUp } = core.children.idle();
  const cancel = clock.after(LAST_OUTPUT_WAIT_MS, giveUp);
  await done;
  cancel();
}
