// From a process's configuration to the request that starts its child: command, environment, user, tag.
// Invariant: pure but for the injected world, so that every refusal is known before anything is started.
import type { NameSpec } from '../common/names.js';
import type { CommandResult } from './command.js';
import type { ProcessConfig, UserRef } from './config/types.js';
import type { SpawnRequest } from './spawner.js';
import { encodeTag } from './tag.js';

/** What starting a child needs to know of the machine and the daemon. */
export interface LaunchWorld {
  /** The daemon's environment as it was when it started. */
  readonly env: Readonly<Record<string, string>>;
  /** The daemon's own uid. */
  readonly uid: number;
  readonly rlimits: SpawnRequest['rlimits'];
  /** `[supervisord] serverurl` in effect; undefined: no server. */
  readonly serverUrl: string | undefined;
  /** Finds the program; `path` is the PATH to search. */
  findCommand(config: ProcessConfig, path: string | undefined): CommandResult;
  /** Primary group first, then every group that lists the user. Throws when the user is gone. */
  groupsOf(user: UserRef): readonly number[];
}

/** Where the output of a child goes, remembered in its tag so that the next life of the agent goes on there. */
export interface LaunchLogs {
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
}

export type LaunchResult =
  | { readonly kind: 'ready'; readonly request: SpawnRequest }
  | {
      readonly kind: 'fault';
      readonly fault: 'NO_FILE' | 'NOT_EXECUTABLE' | 'SPAWN_ERROR';
      readonly text: string;
    };

/** The child's environment: daemon's, SUPERVISOR_*, `environment=` (spec config 11, later entries win). */
export function childEnvironment(
  config: ProcessConfig,
  world: Pick<LaunchWorld, 'env' | 'serverUrl'>,
): Record<string, string> {
  const url = config.serverUrl ?? world.serverUrl ?? '';
  return {
    ...world.env,
    SUPERVISOR_ENABLED: '1',
    ...(url === '' ? {} : { SUPERVISOR_SERVER_URL: url }),
    SUPERVISOR_PROCESS_NAME: config.name,
    SUPERVISOR_GROUP_NAME: config.group,
    ...config.environment,
  };
}

/** Whether the program could be started now; undefined: yes. Looks only, starts nothing. */
export function checkCommand(
  config: ProcessConfig,
  world: LaunchWorld,
): { readonly fault: 'NO_FILE' | 'NOT_EXECUTABLE'; readonly text: string } | undefined {
  const found = world.findCommand(config, searchPath(config, world));
  return found.kind === 'fault' ? found : undefined;
}

/** The whole request for one child. */
export function buildLaunch(
  config: ProcessConfig,
  spawn: number,
  logs: LaunchLogs,
  world: LaunchWorld,
): LaunchResult {
  const found = world.findCommand(config, searchPath(config, world));
  if (found.kind === 'fault') return found;
  const argv = config.words.kind === 'words' ? config.words.argv : [];
  let credentials: SpawnRequest['credentials'];
  if (config.user !== undefined && config.user.uid !== world.uid) {
    const { uid, gid } = config.user;
    try {
      credentials = { uid, gid, groups: world.groupsOf(config.user) };
    } catch (error) {
      const text = `couldn't setuid to ${uid}: ${(error as Error).message}`;
      return { kind: 'fault', fault: 'SPAWN_ERROR', text };
    }
  }
  return {
    kind: 'ready',
    request: {
      spawn,
      tag: encodeTag({ group: config.group, process: config.name, ...logs }),
      path: found.path,
      argv,
      env: childEnvironment(config, world),
      cwd: config.directory,
      credentials,
      umask: config.umask,
      rlimits: world.rlimits,
      stdin: { kind: 'pipe' },
      stdout: { kind: 'pipe' },
      stderr: config.redirectStderr ? { kind: 'stdout' } : { kind: 'pipe' },
    },
  };
}

function searchPath(config: ProcessConfig, world: LaunchWorld): string | undefined {
  return config.environment['PATH'] ?? world.env['PATH'];
}

/** What the keeper could not do, in the words of Supervisor's child or parent (spec process 4). */
export function spawnFailureText(config: ProcessConfig, stage: string, errorName: string): string {
  const name = config.name;
  switch (stage) {
    case 'fork':
      return errorName === 'EAGAIN'
        ? `Too many processes in process table to spawn '${name}'`
        : `unknown error during fork for '${name}': ${errorName}`;
    case 'limit':
    case 'pipe':
    case 'descriptors':
      return errorName === 'EMFILE' || errorName === 'ENFILE'
        ? `too many open files to spawn '${name}'`
        : `unknown error making dispatchers for '${name}': ${errorName}`;
    case 'user': {
      const why =
        errorName === 'EPERM'
          ? "Can't drop privilege as nonroot user"
          : `system error ${errorName}`;
      return `couldn't setuid to ${config.user?.uid ?? '?'}: ${why}`;
    }
    case 'chdir':
      return `couldn't chdir to ${config.directory ?? '.'}: ${errorName}`;
    case 'exec': {
      const word = config.words.kind === 'words' ? config.words.argv[0] : undefined;
      return `couldn't exec ${word ?? config.command}: ${errorName}`;
    }
    default:
      return `could not start '${name}': ${stage}: ${errorName}`;
  }
}

/** What Supervisor's child writes to its own stderr when it cannot become the program (spec process 4). */
export function childComplaint(stage: string, text: string): string | undefined {
  if (stage !== 'user' && stage !== 'chdir' && stage !== 'exec') return undefined;
  return `supervisor: ${text}\nsupervisor: child process was not spawned\n`;
}

/** `group:process` of a configuration. */
export const nameOf = (config: ProcessConfig): NameSpec => ({
  group: config.group,
  process: config.name,
});
