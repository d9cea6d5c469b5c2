// One-host mode from the command line to the exit code: options, configuration, one action. Loads no gRPC.
import { accessSync, constants, existsSync } from 'node:fs';
import { LOCAL_DEFAULTS, loadLocalConfig, type LocalConfig } from '../config.js';
import type { Output } from '../output.js';
import { LocalCommands } from './commands.js';
import { Connection } from './connection.js';
import { usage } from './help.js';
import { findConfiguration, LocalUsageError, parseLocalOptions } from './options.js';

export interface LocalWorld {
  readonly out: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path the program was started as. */
  readonly program: string;
  readonly cwd: string;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Runs ctl as supervisorctl and returns its exit code. */
export async function runLocal(argv: readonly string[], world: LocalWorld): Promise<number> {
  try {
    return await run(argv, world);
  } catch (error) {
    if (!(error instanceof LocalUsageError)) throw error;
    world.out.complain(`Error: ${error.message}\nFor help, use ${world.program} -h`);
    return 2;
  }
}

async function run(argv: readonly string[], world: LocalWorld): Promise<number> {
  const options = parseLocalOptions(argv);
  if (options.help) {
    await world.out.line(usage(world.program));
    return 0;
  }
  const config = configuration(options.configFile, world);
  if (options.words.length === 0) {
    throw new LocalUsageError("no action is given; the action 'help' lists them");
  }
  const connection = new Connection({
    url: options.serverUrl ?? config.serverUrl,
    username: options.username ?? config.username,
    password: options.password ?? config.password,
  });
  const commands = new LocalCommands(connection, world.out, world.signal);
  try {
    await commands.run(options.words);
  } finally {
    connection.close();
  }
  return commands.exit;
}

function configuration(explicit: string | undefined, world: LocalWorld): LocalConfig {
  if (explicit !== undefined && !existsSync(explicit)) {
    throw new LocalUsageError(`could not find config file ${explicit}`);
  }
  const file = explicit ?? findConfiguration(world.program, world.cwd);
  if (file === undefined) return LOCAL_DEFAULTS;
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new LocalUsageError(`could not read config file ${file}`);
  }
  const env = Object.fromEntries(
    Object.entries(world.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const loaded = loadLocalConfig(file, env);
  if (loaded.ok) return loaded.config;
  throw new LocalUsageError(loaded.problems[0]?.text ?? `could not read config file ${file}`);
}
