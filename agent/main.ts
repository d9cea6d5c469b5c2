// fleetvisor-agent: arguments, the configuration, going to the background, one life after another, exit codes.
// Invariants: the environment is read here and in config/load.ts only; every refusal is printed before exit code 2.
import { accessSync, constants, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import { systemClock } from '../common/clock.js';
import { formatHint, formatProblems } from '../common/problems.js';
import { systemRandom } from '../common/random.js';
import { quoteText } from '../common/text.js';
import { VERSION } from '../common/version.js';
import { startAgent, type Agent } from './agent.js';
import { findCommand, type CommandProbe } from './command.js';
import {
  checkOption,
  findConfigFile,
  loadConfig,
  machineWorld,
  processEnvironment,
} from './config/load.js';
import type { AgentConfig } from './config/types.js';
import { openReport, REPORT_VARIABLE, runInBackground, type Report } from './daemonise.js';
import type { LaunchWorld } from './launch.js';
import { resolveLimits } from './limits.js';
import { ServerOpenError } from './local/server.js';
import { FileActivityLog } from './logs/activity.js';
import { LogFile } from './logs/rotate.js';
import { Syslog } from './logs/syslog.js';
import { parseOptions, usage, type AgentOptions } from './options.js';
import { dropPrivileges } from './privileges.js';
import { listenToSignals } from './signals.js';
import { openState, StateLockedError, type AgentState } from './state.js';
import { openUserDatabase } from './users.js';

const EXIT_REFUSED = 2;
const EXIT_FAILED = 1;
const SEARCHES_AS_ROOT =
  'Supervisord is running as root and it is searching for its configuration file in default locations ' +
  '(including its current working directory); you probably want to specify a "-c" argument specifying an ' +
  'absolute path to a configuration file for improved security.';

/** Thrown where the agent must not start; `text` is printed as it is. */
class Refusal extends Error {
  constructor(
    readonly text: string,
    readonly exitCode: number,
  ) {
    super(text);
  }
}

const program = process.argv[1] ?? 'fleetvisor-agent';
/** Later lives may run without the rights of the first; their places on disk stay the same. */
const startedAsRoot = process.getuid?.() === 0;

function refuse(text: string): Refusal {
  return new Refusal(`Error: ${text}\nFor help, use ${program} -h\n`, EXIT_REFUSED);
}

/** Runs the agent and returns its exit code. */
async function main(): Promise<number> {
  const report = openReport(process.env[REPORT_VARIABLE]);
  // Children inherit the environment as the user gave it.
  delete process.env[REPORT_VARIABLE];
  try {
    return await run(report);
  } catch (error) {
    if (error instanceof Refusal) {
      report.say(error.text);
      return error.exitCode;
    }
    if (error instanceof StateLockedError || error instanceof ServerOpenError) {
      report.say(refuse(error.message).text);
      if (error instanceof ServerOpenError && error.place !== '') report.say(`${error.place}\n`);
      return EXIT_REFUSED;
    }
    report.say(`Error: ${(error as Error).message}\n`);
    return EXIT_FAILED;
  }
}

async function run(report: Report): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2));
  if (!parsed.ok) throw refuse(parsed.text);
  const { options } = parsed;
  if (options.mode === 'help') {
    process.stdout.write(usage(basename(program)));
    return 0;
  }
  if (options.mode === 'version') {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const env = processEnvironment();
  const path = configPath(options, report);
  const configFile = resolve(path);
  let config = readConfig(path, options, env);
  if (options.mode === 'check') return check(config);
  if (!config.daemon.nodaemon && !report.isDaemon) return runInBackground(env);
  for (let life = 1; ; life++) {
    const reread = (): AgentConfig => readConfig(configFile, options, env);
    const next = await live(config, { configFile, env, report, life, reread });
    if (next === undefined) return 0;
    config = next;
  }
}

function configPath(options: AgentOptions, report: Report): string {
  if (options.configPath !== undefined) return options.configPath;
  if (process.getuid?.() === 0 && !report.isDaemon) report.say(`${SEARCHES_AS_ROOT}\n`);
  const found = findConfigFile(program);
  if (!found.ok) throw refuse(found.text);
  return found.path;
}

/** The configuration, or a Refusal with every problem. */
function readConfig(
  path: string,
  { overrides, typed }: AgentOptions,
  env: Readonly<Record<string, string>>,
): AgentConfig {
  for (const { option, key, text } of typed) {
    const problem = checkOption(option, key, text, machineWorld(env));
    if (problem !== undefined) throw refuse(problem);
  }
  const result = loadConfig(path, { env, overrides });
  if (result.ok) return result.config;
  throw new Refusal(formatProblems(result.problems, program), EXIT_REFUSED);
}

/** `--check`: what the file says and what may be wrong with it. */
async function check(config: AgentConfig): Promise<number> {
  for (const hint of config.hints) process.stdout.write(`${formatHint(hint)}\n`);
  if (config.fleet !== undefined) {
    const { checkCertificate, fleetHostName, oneLine } = await import('./link/host.js');
    try {
      const host = fleetHostName(config.daemon.identifier, hostname());
      checkCertificate(config.fleet, host, systemClock.wallMs());
    } catch (error) {
      process.stderr.write(`Error: [fleet] ${oneLine(error)}\n`);
      return EXIT_REFUSED;
    }
  }
  const count = config.groups.reduce((sum, group) => sum + group.processes.length, 0);
  process.stdout.write(
    `${config.file}: ok, ${count} processes in ${config.groups.length} groups\n`,
  );
  return 0;
}

/** What stays the same from life to life. */
interface Circumstances {
  /** Absolute. */
  readonly configFile: string;
  readonly env: Readonly<Record<string, string>>;
  readonly report: Report;
  /** From 1. */
  readonly life: number;
  /** Throws a Refusal when the file has become invalid. */
  readonly reread: () => AgentConfig;
}

/**
 * One life: from the configuration to the end of everything that it started. Resolves with the configuration of the
 * next life, or undefined when there is none.
 */
async function live(
  config: AgentConfig,
  { configFile, env, report, life, reread }: Circumstances,
): Promise<AgentConfig | undefined> {
  const { daemon } = config;
  const users = openUserDatabase();
  const groupsOf: LaunchWorld['groupsOf'] = ({ uid, text }) => {
    const entry = users.userById(uid);
    if (entry === undefined) throw new Error(`Can't find uid ${uid} (user=${text})`);
    return users.groupsOf(entry);
  };
  // Before anything else is touched: a second agent on the same file must find the lock and nothing more.
  const early: string[] = [];
  const state = openState({
    configPath: configFile,
    stateDir: config.fleet?.stateDir,
    env,
    owner: daemon.user,
    isRoot: startedAsRoot,
    wallMs: () => systemClock.wallMs(),
    random: systemRandom,
    warn: (text) => early.push(text),
  });
  const dropped = dropPrivileges(daemon.user, groupsOf);
  const limits = resolveLimits(daemon.minfds, daemon.minprocs);
  if (!dropped.ok || !limits.ok) {
    state.release();
    throw refuse(dropped.ok ? (limits.ok ? '' : limits.text) : dropped.text);
  }
  const syslog = new Syslog();
  const log = openLog(config, report, state, syslog);
  if (dropped.level !== undefined) log.log(dropped.level, dropped.text);
  for (const text of [...early, ...config.warnings]) log.log('warn', text);
  for (const text of [...config.infos, ...limits.infos]) log.log('info', text);
  for (const hint of config.hints) log.log('warn', formatHint(hint));
  if (report.isDaemon && life === 1) becomeDaemon(config, log);

  let agent: Agent | undefined;
  let finish = (_next: AgentConfig | undefined): void => undefined;
  const ended = new Promise<AgentConfig | undefined>((settle) => (finish = settle));
  const unlisten = listenToSignals(log, {
    shutdown: () => finish(undefined),
    restart: () => finish(reread()),
    reopenLogs() {
      log.file?.reopen();
      log.log('info', 'supervisord logreopen');
      agent?.reopenLogs();
    },
  });
  try {
    agent = await startAgent({
      config,
      state,
      log,
      syslog,
      clock: systemClock,
      random: systemRandom,
      onShutdownRequest: () => finish(undefined),
      onRestartRequest: () => finish(reread()),
      world: {
        env,
        uid: process.getuid?.() ?? 0,
        rlimits: limits.rlimits,
        serverUrl: daemon.serverUrl,
        findCommand: (each, searchPath) =>
          findCommand(each.command, each.words, searchPath, machineProbe),
        groupsOf,
      },
    });
    report.ready();
    const next = await ended;
    await agent.stop();
    return next;
  } catch (error) {
    log.log('critical', (error as Error).message);
    throw error;
  } finally {
    unlisten();
    log.file?.close();
  }
}

/** What only a daemon does: its mask and its directory. Descriptors and session are its parent's work. */
function becomeDaemon({ daemon }: AgentConfig, log: FileActivityLog): void {
  log.log('info', 'daemonizing the supervisord process');
  process.umask(daemon.umask);
  if (daemon.directory === undefined) return;
  try {
    process.chdir(daemon.directory);
    log.log('info', `set current directory: ${quoteText(daemon.directory)}`);
  } catch (error) {
    const why = (error as Error).message;
    log.log('critical', `can't chdir into ${quoteText(daemon.directory)}: ${why}`);
  }
}

function openLog(
  { daemon }: AgentConfig,
  report: Report,
  state: AgentState,
  syslog: Syslog,
): FileActivityLog {
  const { logfile, logBytesMax, logBackups } = daemon;
  let file: LogFile | undefined;
  if (logfile.kind === 'file') {
    file = new LogFile({
      path: logfile.path,
      bytesMax: logBytesMax,
      backups: logBackups,
      mode: 0o666,
    });
    try {
      file.open();
    } catch (error) {
      state.release();
      const text = `could not open the activity log ${logfile.path}: ${(error as Error).message}\n`;
      throw new Refusal(`Error: ${text}`, EXIT_FAILED);
    }
  }
  return new FileActivityLog({
    level: daemon.loglevel,
    file,
    syslog: logfile.kind === 'syslog' ? syslog : undefined,
    stdout: !report.isDaemon && !daemon.silent,
    wallMs: () => systemClock.wallMs(),
  });
}

const machineProbe: CommandProbe = {
  look(path) {
    try {
      const stat = statSync(path);
      return { isDirectory: stat.isDirectory(), mode: stat.mode };
    } catch {
      return undefined;
    }
  },
  canExecute(path) {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  },
};

// Sockets of clients that never close must not keep a stopped agent alive. Not awaited: the bundle is a script.
void main().then((code) => process.exit(code));
