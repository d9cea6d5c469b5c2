// Reads the project's pages for tests that hold docs against code: the code in them, the ctl commands it names, and those it knows.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './sources.js';

/** Flags of ctl that take a value as the next word. */
const VALUED: ReadonlySet<string> = new Set([
  ...['-C', '-c', '-s', '-u', '-p', '-r', '-o', '-H', '-l', '-x', '-n'],
  ...['--config', '--controller', '--output', '--host', '--label', '--exclude', '--max-targets'],
  ...['--timeout', '--id', '--if-epoch', '--if-seq', '--if-spawn', '--serverurl'],
]);

/** The code of a Markdown text: fenced blocks and spans, one a line. */
export function codeOf(markdown: string): string {
  const lines: string[] = [];
  const rest = markdown.replace(/^ *```[^\n]*\n([\s\S]*?)^ *```/gm, (_, block: string) => {
    lines.push(block);
    return '';
  });
  for (const [, span = ''] of rest.matchAll(/`([^`]+)`/g)) lines.push(span.replace(/\n/g, ' '));
  return lines.join('\n');
}

/** The action of every line that calls ctl, e.g. `status`; placeholders like ACTION are left out. */
export function ctlActions(code: string): string[] {
  const actions: string[] = [];
  for (const line of code.split('\n')) {
    const call = /^\s*(?:\$ )?(?:\S*\/)?ctl\s+(.+)$/.exec(line)?.[1];
    if (call === undefined) continue;
    const action = firstAction(call.split(/\s+/));
    if (action !== undefined) actions.push(action);
  }
  return actions;
}

/** What ctl itself lists, for the fleet and for one host; subcommands are not told apart from commands. */
export function knownCtlActions(): ReadonlySet<string> {
  const help = (...argv: readonly string[]): string => {
    const env = { ...process.env };
    delete env['NODE_TEST_CONTEXT'];
    const command = ['--import=tsx', join(ROOT, 'cli/main.ts'), ...argv];
    return spawnSync(process.execPath, command, { encoding: 'utf8', env, cwd: ROOT }).stdout;
  };
  const fleet = /\nCommands:\n([\s\S]*)/.exec(help('--help'))?.[1] ?? '';
  const local = /\n=+\n([\s\S]*)/.exec(help('--local', 'help'))?.[1] ?? '';
  const names = [...fleet.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name);
  return new Set(['help', ...names, ...local.split(/\s+/).filter(Boolean)]);
}

function firstAction(words: readonly string[]): string | undefined {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (VALUED.has(word)) i++;
    else if (!word.startsWith('-')) return /^[a-z][a-z-]*$/.test(word) ? word : undefined;
  }
  return undefined;
}
