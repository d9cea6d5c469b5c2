// One host or the fleet: decided from the words before the action and from what is configured (design 2). Pure.

export type Mode = 'local' | 'fleet';

/** What the environment offers: whether a controller is known without any option. */
export interface Known {
  /** FLEETVISOR_CONTROLLER, or a ctl.conf in its usual place. */
  readonly controller: boolean;
}

/** Options of one-host mode: supervisorctl's, and --local. The value tells whether a value follows. */
const LOCAL: Readonly<Record<string, boolean>> = {
  '-c': true,
  '--configuration': true,
  '-s': true,
  '--serverurl': true,
  '-u': true,
  '--username': true,
  '-p': true,
  '--password': true,
  '-r': true,
  '--history_file': true,
  '-i': false,
  '--interactive': false,
  '--local': false,
};
/** Options that only the fleet has. */
const FLEET: ReadonlySet<string> = new Set([
  ...['-C', '--controller', '-H', '--host', '-l', '--label', '--all-hosts', '-x', '--exclude'],
  ...['--ca', '--cert', '--key', '--json', '-o', '--output', '--expect', '--max-targets'],
  ...[
    '--timeout',
    '--id',
    '--if-epoch',
    '--if-rev',
    '--if-spawn',
    '--version',
    '-V',
    '-h',
    '--help',
  ],
]);
/** Of those, the ones that a controller's address comes with. */
const NAMES_CONTROLLER: ReadonlySet<string> = new Set(['-C', '--controller']);
/** Actions that need neither a controller nor a daemon. */
const ALONE: ReadonlySet<string> = new Set(['certs']);

/**
 * `-c -s --local` mean one host, whatever else is configured. Otherwise a known controller means the fleet, and
 * without any the one host that supervisorctl would find.
 */
export function decideMode(argv: readonly string[], known: Known): Mode {
  let fleetOption = false;
  let localOption = false;
  let i = 0;
  for (; i < argv.length; i++) {
    const word = argv[i] as string;
    if (!word.startsWith('-') || word === '-' || word === '--') break;
    const [name = ''] = splitOption(word);
    if (name === '-c' || name === '--configuration' || name === '-s' || name === '--serverurl') {
      return 'local';
    }
    if (name === '--local') return 'local';
    const takesValue = LOCAL[name];
    if (takesValue !== undefined) {
      localOption = true;
      if (takesValue && name === word) i++;
    } else if (FLEET.has(name)) {
      fleetOption = true;
      if (NAMES_CONTROLLER.has(name)) return 'fleet';
      if (FLEET_VALUES.has(name) && name === word) i++;
    }
  }
  const action = argv[i];
  if (action !== undefined && ALONE.has(action)) return 'fleet';
  if (localOption && !fleetOption) return 'local';
  // No words of an action on one host: whoever wrote them means the fleet. Taken for names of processes,
  // `stop all -H web2` would stop everything here.
  const isFleets = (word: string): boolean =>
    FLEET.has(word.startsWith('--') ? splitOption(word)[0] : word);
  if (argv.slice(i).some(isFleets)) return 'fleet';
  return fleetOption || known.controller ? 'fleet' : 'local';
}

const FLEET_VALUES: ReadonlySet<string> = new Set(
  [...FLEET].filter(
    (name) => !['--all-hosts', '--json', '--version', '-V', '-h', '--help'].includes(name),
  ),
);

/** `--host=web1` -> `--host`; `-Hweb1` -> `-H`. */
function splitOption(word: string): [string] {
  if (word.startsWith('--')) return [word.split('=', 1)[0] ?? word];
  return [word.slice(0, 2)];
}
