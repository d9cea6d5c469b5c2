// The fleet's command line: options, actions, help. The one importer of commander.
// Invariant: options before the action are for all actions; scope options may also stand after it.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Clock } from '../common/clock.js';
import { FleetError } from '../common/errors.js';
import type { Random } from '../common/random.js';
import { VERSION } from '../common/version.js';
import { FleetClient } from './client.js';
import type { Context } from './context.js';
import { parseCount, parseDuration, parseInstant } from './durations.js';
import { EXIT } from './exit.js';
import {
  collect,
  conditions,
  configurationOf,
  controllersOf,
  oldTail,
  refuseStray,
  runRollout,
  scopeOf,
  wantsJson,
  type Options,
  unpack,
} from './options.js';
import { asksForJson, type Output } from './output.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the program is run with; tests give their own. */
export interface World {
  readonly out: Output;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Turns our usage errors into commander's, so that they carry the option's name once. */
function reading<T>(read: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return read(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}
const count = (flag: string, min: number): ((text: string) => number) =>
  reading((text) => parseCount(text, flag, min));
const duration = (flag: string): ((text: string) => number) =>
  reading((text) => parseDuration(text, flag));

/** Options that every action takes, before or after it. */
function addShared(command: Command): Command {
  return command
    .option('-H, --host <pattern>', 'hosts meant by selectors without a host part', collect)
    .option('-l, --label <expr>', 'hosts with these labels, e.g. role=web&env!=prod', collect)
    .option('--all-hosts', 'all hosts')
    .option('-x, --exclude <selector>', 'take these away again', collect)
    .option('--expect <n>', 'refuse unless exactly n processes match', count('--expect', 0))
    .option('--max-targets <n>', 'allow more than 10000', count('--max-targets', 1))
    .option('--timeout <time>', 'give up waiting, e.g. 30s', duration('--timeout'))
    .option('--json', 'one JSON object a line')
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']));
}

function addChange(command: Command): Command {
  return command
    .option('--id <id>', 'id of the command; the same id never acts twice')
    .option('--if-epoch <n>', "only if this is still the host's epoch", count('--if-epoch', 1))
    .option('--if-rev <seq>', 'only if the process has not changed since', count('--if-rev', 1))
    .option('--if-spawn <n>', 'only if this child still runs', count('--if-spawn', 1));
}

/** Runs ctl in fleet mode and returns its exit code. Never throws for what a user can cause. */
export async function runFleet(argv: readonly string[], world: World): Promise<number> {
  const run = new Run(world);
  const program = run.build();
  try {
    await program.parseAsync([...oldTail(argv)], { from: 'user' });
    return run.exit;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.ok;
    await refuse(error, argv, world.out);
    return EXIT.usage;
  } finally {
    run.close();
  }
}

/** Options that stand before the action only. */
const FIRST_ONLY = /'(-C|--config|--controller|--ca|--cert|--key)(?:[ =,'])/;

/** Adds to commander's own words what it does not know: where an option belongs, and the summary of --json. */
async function refuse(error: CommanderError, argv: readonly string[], out: Output): Promise<void> {
  const misplaced = FIRST_ONLY.exec(error.message)?.[1];
  if (error.code === 'commander.unknownOption' && misplaced !== undefined) {
    out.complain(`${misplaced} stands before the action: ctl ${misplaced} … ACTION`);
  }
  if (!asksForJson(argv)) return;
  const message = error.message.replace(/^error: /, '');
  const detail = { code: 'USAGE', message };
  await out.json({ kind: 'summary', targets: 0, results: {}, exit: EXIT.usage, error: detail });
}

class Run {
  exit: number = EXIT.ok;
  readonly #world: World;
  #client: FleetClient | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  close(): void {
    this.#client?.close();
  }

  build(): Command {
    const { out } = this.#world;
    const program = new Command('ctl')
      .description(
        'Runs the processes of a fleet. A SELECTOR is process, group:process or host:group:process, with patterns;\n' +
          "on one host: ctl -c supervisord.conf ACTION, see 'ctl --local help'.",
      )
      .version(VERSION, '-V, --version')
      .enablePositionalOptions()
      .exitOverride()
      .showHelpAfterError("run 'ctl help ACTION' for its options")
      .showSuggestionAfterError()
      .configureOutput({
        writeOut: (text) => void out.write(text),
        writeErr: (text) => out.complain(text.replace(/\n$/, '')),
      })
      .option('-C, --config <file>', 'ctl.conf (default: ~/.config/fleetvisor/ctl.conf)')
      .option('--controller <host:port>', 'controllers to ask, commas allowed', collect)
      .option('--ca <file>', "certificate of the fleet's authority")
      .option('--cert <file>', 'your certificate')
      .option('--key <file>', 'its private key');
    addShared(program);
    addChange(program);
    this.#reading(program);
    this.#changing(program);
    this.#rollouts(program);
    this.#certs(program);
    return program;
  }

  #reading(program: Command): void {
    this.#action(program, 'status [selector...]', 'state of processes', async (context, args) => {
      const { runStatus } = await import('./commands/status.js');
      return runStatus(context, args);
    });
    this.#action(program, 'hosts [pattern...]', 'state of hosts', async (context, args) => {
      const { runHosts } = await import('./commands/hosts.js');
      return runHosts(context, args);
    });
    this.#action(
      program,
      'events [selector...]',
      'what happened',
      async (context, args, options) => {
        const { runEvents } = await import('./commands/events.js');
        const nowMs = context.clock.wallMs();
        const { since, until } = options;
        return runEvents(context, {
          follow: options.follow === true,
          sinceWallMs: since === undefined ? 0 : parseInstant(since, '--since', nowMs),
          untilWallMs: until === undefined ? 0 : parseInstant(until, '--until', nowMs),
          types: options.type ?? [],
          selectors: args,
          limit: options.limit ?? 0,
        });
      },
    )
      .option('-f, --follow', 'go on with what happens')
      .option('--since <time>', 'from then on: 10m (ago) or an ISO time')
      .option('--until <time>', 'up to then')
      .option('--type <prefix>', 'only these types, e.g. process.', collect)
      .option('--limit <n>', 'at most n', count('--limit', 1));
    this.#action(
      program,
      'tail <selector...>',
      'logs; the last word may be stdout or stderr',
      async (context, args, options) => {
        const { runTail } = await import('./commands/tail.js');
        const last = args.at(-1);
        const named = args.length > 1 && (last === 'stdout' || last === 'stderr');
        return runTail(context, {
          selectors: named ? args.slice(0, -1) : args,
          channel: named && last === 'stderr' ? 'stderr' : 'stdout',
          follow: options.follow === true,
          lines: options.lines ?? 20,
          bytes: options.bytes ?? 0,
          prefix: options.prefix,
          raw: options.raw === true,
        });
      },
    )
      .option('-f, --follow', 'go on with what is written')
      .option('-n, --lines <n>', 'begin n lines before the end (default: 20)', count('-n', 0))
      .option('-c, --bytes <n>', 'begin n bytes before the end', count('-c', 1))
      .addOption(
        new Option('--prefix <what>', 'what stands before each line').choices([
          ...['none', 'host', 'full'],
        ]),
      )
      .option('--raw', 'do not show control characters as \\xHH on a terminal');
    this.#action(program, 'alerts', 'what is wrong', async (context, _args, options) => {
      const { runAlerts } = await import('./commands/alerts.js');
      return runAlerts(context, options.all === true);
    }).option('--all', 'also what was resolved lately');
    this.#action(program, 'version', 'versions of ctl and the agents', async (context) => {
      const { runVersion } = await import('./commands/hosts.js');
      return runVersion(context);
    });
  }

  #changing(program: Command): void {
    for (const action of ['start', 'stop'] as const) {
      const what = `${action} processes`;
      addChange(
        this.#action(program, `${action} <selector...>`, what, async (context, args, options) => {
          const { runAct } = await import('./commands/act.js');
          return runAct(context, { action, selectors: args, signal: '', ...conditions(options) });
        }),
      );
    }
    addChange(
      this.#action(
        program,
        'signal <signal> <selector...>',
        'send a signal',
        async (context, args, options) => {
          const { runAct } = await import('./commands/act.js');
          const [signal = '', ...selectors] = args;
          return runAct(context, { action: 'signal', selectors, signal, ...conditions(options) });
        },
      ),
    );
    addRolling(
      addChange(
        this.#action(
          program,
          'restart <selector...>',
          'stop and start processes',
          async (context, args, options) => {
            if (options.rolling === true) return runRollout(context, args, options);
            refuseStray(options);
            const { runAct } = await import('./commands/act.js');
            return runAct(context, {
              action: 'restart',
              selectors: args,
              signal: '',
              ...conditions(options),
            });
          },
        ).option('--rolling', 'batch by batch, run by the controller'),
      ),
    );
  }

  #rollouts(program: Command): void {
    const rollout = program.command('rollout').description('changes that walk over the fleet');
    rollout.enablePositionalOptions();
    this.#action(rollout, 'list', 'rollouts and how far they are', async (context) => {
      const { runList } = await import('./commands/rollout.js');
      return runList(context);
    });
    this.#action(
      rollout,
      'watch <id>',
      'follow one; Ctrl-C only detaches',
      async (context, [id = '']) => {
        const { runWatch } = await import('./commands/rollout.js');
        return runWatch(context, id);
      },
    );
    this.#action(
      rollout,
      'abort <id> [reason...]',
      'finish the open batch, then stop',
      async (context, args) => {
        const { runAbort } = await import('./commands/rollout.js');
        const [id = '', ...reason] = args;
        return runAbort(context, id, reason.join(' '));
      },
    );
    addRolling(
      addChange(
        this.#action(
          rollout,
          'start <action> <selector...>',
          'restart batch by batch',
          async (context, args, options) => {
            const [action = '', ...selectors] = args;
            if (action !== 'restart') {
              throw new FleetError('USAGE', `a rollout cannot '${action}'`, {
                hint: "write 'ctl rollout start restart SELECTOR'",
              });
            }
            return runRollout(context, selectors, options);
          },
        ),
      ),
    );
  }

  #certs(program: Command): void {
    const certs = program.command('certs').description("the fleet's certificates");
    certs.enablePositionalOptions();
    const add = (
      usage: string,
      about: string,
      work: (
        run: typeof import('./commands/certs.js'),
        context: { out: Output; json: boolean; wallMs: number },
        args: string[],
        options: Options,
      ) => Promise<number>,
    ): Command =>
      certs
        .command(usage)
        .description(about)
        .option('--json', 'one JSON object a line')
        .action(async (...all: unknown[]) => {
          const { args, options } = unpack(all);
          const { out, clock } = this.#world;
          const context = { out, json: wantsJson(options), wallMs: clock.wallMs() };
          this.exit = await work(await import('./commands/certs.js'), context, args, options);
        });
    add('init', 'make the private authority of a new fleet', (run, context, _args, options) =>
      run.runInit(context, options.dir ?? '.', options.fleet ?? 'fleet'),
    )
      .option('--fleet <name>', "the fleet's name (default: fleet)")
      .option('--dir <folder>', 'where to write (default: here)');
    add(
      'issue <kind> <name>',
      'make a certificate: host, controller, user or bus',
      (run, context, args, options) => {
        const [kind = '', name = ''] = args;
        const { days, dir = '.', san = [] } = options;
        return run.runIssue(context, { dir, kind, name, altNames: san, days });
      },
    )
      .option('--dir <folder>', 'where the authority is (default: here)')
      .option('--san <name>', 'a further DNS name or IP address', collect)
      .option('--days <n>', 'how long it is valid (default: 365)');
    add('show <file>', 'whom a certificate names, and until when', (run, context, [file = '']) =>
      run.runShow(context, file),
    );
  }

  #action(
    parent: Command,
    usage: string,
    about: string,
    work: (context: Context, args: string[], options: Options) => Promise<number>,
  ): Command {
    const command = addShared(parent.command(usage).description(about));
    return command.action(async (...all: unknown[]) => {
      const { args, options } = unpack(all);
      this.exit = await work(this.#context(options), args, options);
    });
  }

  #context(options: Options): Context {
    const { out, clock, random, signal } = this.#world;
    const { config, tls } = configurationOf(options, this.#world.env);
    return {
      out,
      json: wantsJson(options),
      clock,
      random,
      signal,
      scope: scopeOf(options),
      defaultHosts: config?.defaultHosts ?? [],
      timeoutMs: options.timeout ?? 0,
      client: () => {
        this.#client ??= new FleetClient({
          controllers: controllersOf(options, config, this.#world.env),
          tls: tls(),
          wallMs: clock.wallMs(),
        });
        return this.#client;
      },
    };
  }
}

function addRolling(command: Command): Command {
  return command
    .option('--batch <n>', 'targets at once, or N% of all (default: 10%)')
    .option('--soak <time>', 'must stay healthy that long (default: 10s)', duration('--soak'))
    .option('--max-failures <n>', 'failed targets that are put up with', count('--max-failures', 0))
    .addOption(
      new Option('--unreachable <what>', 'targets on unreachable hosts').choices(['fail', 'skip']),
    );
}
