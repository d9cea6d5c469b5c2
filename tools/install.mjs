// Brings node_modules to what package-lock.json says, with `npm ci`, only when it differs.
// No install script of any package is run: every tool we use works without.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ToolError, isMain, root, run, runScript, since } from './command.mjs';

const NODE_MIN = [20, 19];

/** Installs the locked packages unless they are there. Throws a ToolError that says what to do. */
export async function install() {
  checkNode();
  const missing = await firstDifference();
  if (missing === undefined) return;
  console.log(`Installing packages (${missing}) ...`);
  const startedMs = performance.now();
  const npm = npmCommand();
  const result = await run(
    npm.program,
    [...npm.argv, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { quiet: true },
  );
  if (result.code !== 0) throw new ToolError(explain(result.output));
  console.log(`Installed in ${since(startedMs)}.`);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  throw new ToolError(
    `Node ${process.versions.node} is too old: install Node ${NODE_MIN.join('.')} or newer`,
  );
}

/** What differs between the lock file and what npm last installed; undefined: nothing. */
async function firstDifference() {
  const wanted = await packagesOf('package-lock.json');
  if (wanted === undefined) throw new ToolError('package-lock.json is missing or not JSON');
  const present = await packagesOf('node_modules/.package-lock.json');
  if (present === undefined) return 'none are installed yet';
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = present[path];
    // Packages for other systems are optional and rightly absent.
    if (found === undefined && entry.optional) continue;
    if (found?.version !== entry.version) return `${path} is not at ${entry.version}`;
  }
  return undefined;
}

async function packagesOf(file) {
  try {
    return JSON.parse(await readFile(join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** The npm that runs us, when one does; else the one on PATH. */
function npmCommand() {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js')
    ? { program: process.execPath, argv: [script] }
    : { program: 'npm', argv: [] };
}

function explain(output) {
  const tail = output.trim().split('\n').slice(-12).join('\n');
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH/.test(output)) {
    return `the npm registry cannot be reached; check the network, the proxy and \`npm config get registry\`, then run this again.\n${tail}`;
  }
  if (/CERT|certificate/i.test(output)) {
    return `the npm registry's certificate is not trusted; behind a company proxy set \`npm config set cafile\`.\n${tail}`;
  }
  return `\`npm ci\` failed:\n${tail}`;
}

if (isMain(import.meta.url)) {
  await runScript('install', async () => {
    await install();
    return 0;
  });
}
