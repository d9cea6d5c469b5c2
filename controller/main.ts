// fleetvisor-controller: arguments, configuration, then the controller until a signal. The one place that exits.
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setDefaultHighWaterMark } from 'node:stream';
import { parseArgs } from 'node:util';
import { systemClock } from '../common/clock.js';
import { runDaemon } from '../common/daemon.js';
import { FleetError } from '../common/errors.js';
import { createLogger, reasonOf } from '../common/log.js';
import { formatProblems } from '../common/problems.js';
import { systemRandom } from '../common/random.js';
import { VERSION } from '../common/version.js';
import { loadControllerConfig, type ControllerConfig } from './config.js';
import { checkIdentity, startController } from './controller.js';
import { stateDirOf } from './state-dir.js';

const PROGRAM = 'fleetvisor-controller';
const USAGE = `usage: ${PROGRAM} -c FILE [--check] [-v|-q]
  -c, --configuration FILE  controller.conf
      --check               read configuration and certificates, report every problem, exit
  -v, --verbose             log more
  -q, --quiet               log warnings and errors only
      --version             print the version
  -h, --help                print this text
`;
/** Messages that a stream reads ahead: with chunks of 64 KiB a stopped reader holds some 256 KiB a log. */
const READ_AHEAD_MESSAGES = 2;

interface Arguments {
  readonly file: string;
  readonly check: boolean;
  readonly level: 'debug' | 'info' | 'warn';
}

/** What was asked for, or the text to print and the exit code. */
function readArguments(argv: readonly string[]): Arguments | { text: string; code: number } {
  try {
    const { values } = parseArgs({
      args: [...argv],
      strict: true,
      options: {
        configuration: { type: 'string', short: 'c' },
        check: { type: 'boolean' },
        verbose: { type: 'boolean', short: 'v' },
        quiet: { type: 'boolean', short: 'q' },
        version: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return { text: USAGE, code: 0 };
    if (values.version === true) return { text: `${VERSION}\n`, code: 0 };
    if (values.configuration === undefined) {
      return { text: `Error: no configuration is named\n${USAGE}`, code: 2 };
    }
    const level = values.verbose === true ? 'debug' : values.quiet === true ? 'warn' : 'info';
    return { file: values.configuration, check: values.check === true, level };
  } catch (error) {
    return { text: `Error: ${reasonOf(error)}\n${USAGE}`, code: 2 };
  }
}

/** The agent's program: beside this one in a release, the source file when run from source. */
function agentCommand(): readonly string[] {
  const own = realpathSync(process.argv[1] ?? '.');
  if (!own.endsWith('.ts')) return [join(dirname(own), 'fleetvisor-agent')];
  return [process.execPath, ...process.execArgv, join(dirname(own), '..', 'agent', 'main.ts')];
}

function load(file: string): ControllerConfig | undefined {
  if (!existsSync(file)) {
    process.stderr.write(`Error: there is no configuration ${file}\n`);
    return undefined;
  }
  const result = loadControllerConfig(file, process.env as Record<string, string>);
  if (result.ok) return result.config;
  process.stderr.write(`${formatProblems(result.problems, PROGRAM)}\n`);
  return undefined;
}

/** One line: what is wrong and how to mend it. */
function complain(error: unknown): void {
  const hint = error instanceof FleetError && error.hint !== '' ? `; ${error.hint}` : '';
  const text = error instanceof FleetError ? error.message : reasonOf(error);
  process.stderr.write(`Error: ${text.replaceAll('\n', ' ')}${hint}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const wanted = readArguments(argv);
  if ('text' in wanted) {
    (wanted.code === 0 ? process.stdout : process.stderr).write(wanted.text);
    return wanted.code;
  }
  const config = load(wanted.file);
  if (config === undefined) return 2;
  if (wanted.check) {
    checkIdentity(config, systemClock);
    process.stdout.write(`${wanted.file} is in order\n`);
    return 0;
  }
  setDefaultHighWaterMark(true, READ_AHEAD_MESSAGES);
  const log = createLogger({
    level: wanted.level,
    write: (line) => process.stderr.write(line),
    wallMs: () => systemClock.wallMs(),
  });
  const isRoot = process.getuid?.() === 0;
  return runDaemon(log, (daemon) =>
    startController(
      {
        config,
        stateDir: stateDirOf(config.stateDir, wanted.file, process.env, isRoot),
        clock: systemClock,
        random: systemRandom,
        log,
        agentCommand: agentCommand(),
        env: process.env,
      },
      daemon,
    ),
  );
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    complain(error);
    process.exit(1);
  },
);
