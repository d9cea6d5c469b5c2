// Signal names and numbers on Linux, as Supervisor accepts and prints them. Imports nothing.

const NAMES: readonly (readonly [name: string, number: number])[] = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGQUIT', 3],
  ['SIGILL', 4],
  ['SIGTRAP', 5],
  ['SIGABRT', 6],
  ['SIGBUS', 7],
  ['SIGFPE', 8],
  ['SIGKILL', 9],
  ['SIGUSR1', 10],
  ['SIGSEGV', 11],
  ['SIGUSR2', 12],
  ['SIGPIPE', 13],
  ['SIGALRM', 14],
  ['SIGTERM', 15],
  ['SIGSTKFLT', 16],
  ['SIGCHLD', 17],
  ['SIGCONT', 18],
  ['SIGSTOP', 19],
  ['SIGTSTP', 20],
  ['SIGTTIN', 21],
  ['SIGTTOU', 22],
  ['SIGURG', 23],
  ['SIGXCPU', 24],
  ['SIGXFSZ', 25],
  ['SIGVTALRM', 26],
  ['SIGPROF', 27],
  ['SIGWINCH', 28],
  ['SIGPOLL', 29],
  ['SIGPWR', 30],
  ['SIGSYS', 31],
  ['SIGRTMIN', 34],
  ['SIGRTMAX', 64],
];

/** Second names, and the three pseudo-names that Supervisor lets through (spec config 5). */
const ALIASES: readonly (readonly [name: string, number: number])[] = [
  ['SIGIOT', 6],
  ['SIGCLD', 17],
  ['SIGIO', 29],
  ['SIG_DFL', 0],
  ['SIG_IGN', 1],
  ['SIG_BLOCK', 0],
  ['SIG_UNBLOCK', 1],
  ['SIG_SETMASK', 2],
];

const BY_NAME: ReadonlyMap<string, number> = new Map([...NAMES, ...ALIASES]);
const BY_NUMBER: ReadonlyMap<number, string> = new Map(
  NAMES.map(([name, number]) => [number, name]),
);

/** The number of `SIGTERM` (full name, upper case), or undefined. */
export function signalNumber(name: string): number | undefined {
  return BY_NAME.get(name);
}

/** The name Supervisor prints for a number, or undefined where it has none (0, 32, 33, 35..63). */
export function signalName(number: number): string | undefined {
  return BY_NUMBER.get(number);
}

/** May this number be configured? 0 (sends nothing), 1..31, 34 and 64. */
export function isSignalNumber(number: number): boolean {
  return number === 0 || BY_NUMBER.has(number);
}
