// Reads the project's pages for tests that hold docs against code: the code in them, the ctl commands it names.
import { listFiles, readText } from './sources.js';

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

/** The commands that the sources of ctl define. */
export function knownCtlActions(): ReadonlySet<string> {
  const known = new Set<string>();
  for (const path of listFiles('cli', ['.ts'])) {
    for (const [, name = ''] of readText(path).matchAll(/\.command\(\s*['"`]([a-z-]+)/g)) {
      known.add(name);
    }
  }
  return known;
}

function firstAction(words: readonly string[]): string | undefined {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (VALUED.has(word)) i++;
    else if (!word.startsWith('-')) return /^[a-z][a-z-]*$/.test(word) ? word : undefined;
  }
  return undefined;
}
