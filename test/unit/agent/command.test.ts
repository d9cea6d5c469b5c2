// How a command's program is found, and what is said when it is not (spec config 8).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCommand, type CommandProbe } from '../../../agent/command.js';

const files: Readonly<Record<string, { readonly isDirectory: boolean; readonly mode: number }>> = {
  '/bin/cat': { isDirectory: false, mode: 0o755 },
  '/usr/bin/tool': { isDirectory: false, mode: 0o644 },
  '/opt/tool': { isDirectory: false, mode: 0o755 },
  '/opt/dir': { isDirectory: true, mode: 0o755 },
  '/opt/secret': { isDirectory: false, mode: 0o700 },
};
const probe: CommandProbe = {
  look: (path) => files[path],
  canExecute: (path) => path !== '/opt/secret',
};
const find = (word: string, path?: string): string => {
  const result = findCommand(word, { kind: 'words', argv: [word] }, path, probe);
  return result.kind === 'found' ? result.path : `${result.fault}: ${result.text}`;
};

test('a word without slash is searched in PATH, where the first that exists decides', () => {
  assert.equal(find('cat'), '/bin/cat');
  assert.equal(find('tool', '/opt:/usr/bin'), '/opt/tool');
  assert.equal(
    find('tool', '/usr/bin:/opt'),
    "NOT_EXECUTABLE: command at '/usr/bin/tool' is not executable",
  );
  assert.equal(find('nope'), "NO_FILE: can't find command 'nope'");
});

test('a word with a slash is taken as it is', () => {
  assert.equal(find('/opt/tool'), '/opt/tool');
  assert.equal(find('/opt/dir'), "NOT_EXECUTABLE: command at '/opt/dir' is a directory");
  assert.equal(find('/opt/secret'), "NOT_EXECUTABLE: no permission to run command '/opt/secret'");
  assert.equal(find('./none'), "NO_FILE: can't find command './none'");
});

test('a command that is empty or does not parse says so', () => {
  const text = (words: Parameters<typeof findCommand>[1]): string => {
    const result = findCommand("a 'b", words, undefined, probe);
    return result.kind === 'found' ? '' : result.text;
  };
  assert.equal(text({ kind: 'words', argv: [] }), 'command is empty');
  const reason = 'No closing quotation';
  assert.equal(
    text({ kind: 'unparsable', reason }),
    `can't parse command "a 'b": No closing quotation`,
  );
});
