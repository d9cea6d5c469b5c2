// supervisorctl's usage and help texts for the actions we have (spec ctl 1 and 6).

/** Help of an action, one string a line. */
export const HELP: Readonly<Record<string, readonly string[]>> = {
  help: ['help\t\tPrint a list of available actions', 'help <action>\tPrint help for <action>'],
  pid: [
    'pid\t\t\tGet the PID of supervisord.',
    'pid <name>\t\tGet the PID of a single child process by name.',
    'pid all\t\t\tGet the PID of every child process, one per line.',
  ],
  restart: [
    'restart <name>\t\tRestart a process',
    'restart <gname>:*\tRestart all processes in a group',
    'restart <name> <name>\tRestart multiple processes or groups',
    'restart all\t\tRestart all processes',
    'Note: restart does not reread config files. For that, see reread and update.',
  ],
  signal: [
    'signal <signal name> <name>\t\tSignal a process',
    'signal <signal name> <gname>:*\t\tSignal all processes in a group',
    'signal <signal name> <name> <name>\tSignal multiple processes or groups',
    'signal <signal name> all\t\tSignal all processes',
  ],
  start: [
    'start <name>\t\tStart a process',
    'start <gname>:*\t\tStart all processes in a group',
    'start <name> <name>\tStart multiple processes or groups',
    'start all\t\tStart all processes',
  ],
  status: [
    'status <name>\t\tGet status for a single process',
    'status <gname>:*\tGet status for all processes in a group',
    'status <name> <name>\tGet status for multiple named processes',
    'status\t\t\tGet all process status info',
  ],
  stop: [
    'stop <name>\t\tStop a process',
    'stop <gname>:*\t\tStop all processes in a group',
    'stop <name> <name>\tStop multiple processes or groups',
    'stop all\t\tStop all processes',
  ],
  tail: [
    'tail [-f] <name> [stdout|stderr] (default stdout)',
    'Ex:',
    'tail -f <name>\t\tContinuous tail of named process stdout',
    '\t\t\tCtrl-C to exit.',
    'tail -100 <name>\tlast 100 *bytes* of process stdout',
    'tail <name> stderr\tlast 1600 *bytes* of process stderr',
  ],
  version: ['version\t\t\tShow the version of the remote supervisord process'],
};

/** `-h`. */
export function usage(program: string): string {
  return `ctl -- control applications run by supervisord or fleetvisor-agent on one host.

Usage: ${program} [options] [action [arguments]]

Options:
-c/--configuration FILENAME -- configuration file path (searches if not given)
-h/--help -- print usage message and exit
-s/--serverurl URL -- URL on which supervisord server is listening
     (default "http://localhost:9001").
-u/--username USERNAME -- username to use for authentication with server
-p/--password PASSWORD -- password to use for authentication with server
--local -- one host, although a controller is configured

action [arguments] -- see below

Actions are commands like "tail" or "stop".  Use the action "help" to find out
about available actions.
`;
}

/** The list of actions as `help` prints it: in columns for a width of 80, filled downwards. */
export function listActions(): string[] {
  const names = Object.keys(HELP).sort();
  const columns = Math.min(names.length, 8);
  const rows = Math.ceil(names.length / columns);
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...names.slice(column * rows, (column + 1) * rows).map((name) => name.length)),
  );
  const title = 'default commands (type help <topic>):';
  const lines = Array.from({ length: rows }, (_, row) =>
    widths.map((width, column) => (names[column * rows + row] ?? '').padEnd(width)).join('  '),
  );
  return ['', title, '='.repeat(title.length), ...lines, ''];
}
