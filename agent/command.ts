// Finds the program behind `command=` when a process starts, with Supervisor's texts (spec config 8).
// Pure but for the injected probe; argv[0] stays the word as written, only the path that is executed is looked up.
import { quoteText } from '../common/text.js';
import type { CommandWords } from './config/types.js';

/** What is asked of the file system. */
export interface CommandProbe {
  /** undefined: nothing there. `mode` are the permission bits. */
  look(path: string): { readonly isDirectory: boolean; readonly mode: number } | undefined;
  /** May the daemon's own user execute it? */
  canExecute(path: string): boolean;
}

/** A program that can be executed, or why not. */
export type CommandResult =
  | { readonly kind: 'found'; readonly path: string }
  | {
      readonly kind: 'fault';
      readonly fault: 'NO_FILE' | 'NOT_EXECUTABLE';
      readonly text: string;
    };

/** Searched where neither the program nor the daemon has a PATH. */
const DEFAULT_PATH = '/bin:/usr/bin:/usr/local/bin';

/** Looks up a command; `path` is the PATH in force. A word with a slash is taken as it is. */
export function findCommand(
  command: string,
  words: CommandWords,
  path: string | undefined,
  probe: CommandProbe,
): CommandResult {
  const fault = (kind: 'NO_FILE' | 'NOT_EXECUTABLE', text: string): CommandResult => ({
    kind: 'fault',
    fault: kind,
    text,
  });
  if (words.kind === 'unparsable')
    return fault('NOT_EXECUTABLE', `can't parse command ${quoteText(command)}: ${words.reason}`);
  const [word] = words.argv;
  if (word === undefined) return fault('NOT_EXECUTABLE', 'command is empty');
  const candidates = word.includes('/')
    ? [word]
    : (path ?? DEFAULT_PATH)
        .split(':')
        .map((folder) => (folder === '' ? word : join(folder, word)));
  for (const candidate of candidates) {
    const entry = probe.look(candidate);
    if (entry === undefined) continue;
    // The first one that exists decides, whether it can be executed or not.
    const quoted = quoteText(candidate);
    if (entry.isDirectory) return fault('NOT_EXECUTABLE', `command at ${quoted} is a directory`);
    if ((entry.mode & 0o111) === 0)
      return fault('NOT_EXECUTABLE', `command at ${quoted} is not executable`);
    if (!probe.canExecute(candidate))
      return fault('NOT_EXECUTABLE', `no permission to run command ${quoted}`);
    return { kind: 'found', path: candidate };
  }
  return fault('NO_FILE', `can't find command ${quoteText(word)}`);
}

function join(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}
