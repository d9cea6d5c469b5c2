// Builds the three programs and the keeper into dist/. Each program is a launcher (dist/bin/NAME, what one
// starts) and a bundle (dist/lib/NAME.js). Does nothing when the sources are those of the last build.
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ToolError, isMain, root, run, runScript, since } from './command.mjs';
import { launcher } from './launcher.mjs';

/** Sources, launcher and flags of each program. A supervisor idles: small heap, one worker thread. */
const PROGRAMS = [
  {
    name: 'fleetvisor-agent',
    entry: 'agent/main.ts',
    // A pool of 0 would mean one thread a core less one: 63 on a machine of 64.
    nodeFlags: ['--max-semi-space-size=1', '--v8-pool-size=1'],
    extraCaCerts: false,
  },
  // The controller calls webhooks by HTTPS, so it alone needs the company's certificates.
  { name: 'fleetvisor-controller', entry: 'controller/main.ts', nodeFlags: [], extraCaCerts: true },
  { name: 'ctl', entry: 'cli/main.ts', nodeFlags: [], extraCaCerts: false },
];

const SOURCES = ['agent', 'common', 'controller', 'cli', 'proto/gen', 'tools', 'package.json'];
const STAMP = 'dist/.stamp';

/** Builds what is out of date. Throws a ToolError with esbuild's or cc's own message. */
export async function build() {
  const fingerprint = await fingerprintSources();
  if ((await readStamp()) === fingerprint && (await isComplete())) return;
  const startedMs = performance.now();
  console.log('Building dist/bin ...');
  await mkdir(join(root, 'dist/bin'), { recursive: true });
  await mkdir(join(root, 'dist/lib'), { recursive: true });
  // A stamp beside half-built files would call them done.
  await rm(join(root, STAMP), { force: true });
  // Without this the launchers, which have no suffix, would be read as ES modules.
  await replace('dist/package.json', '{ "type": "commonjs" }\n');
  const { buildKeeper } = await import('./build-keeper.mjs');
  await Promise.all([bundleAll(), buildKeeper(join(root, 'dist/bin')).catch(asToolError)]);
  await Promise.all(PROGRAMS.map(cacheCode));
  await replace(STAMP, fingerprint);
  console.log(`Built in ${since(startedMs)}.`);
}

async function bundleAll() {
  const { build: bundle } = await import('esbuild');
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await Promise.all(
    PROGRAMS.map(async (program) => {
      const result = await bundle({
        absWorkingDir: root,
        entryPoints: [program.entry],
        bundle: true,
        write: false,
        platform: 'node',
        target: 'node20.19',
        format: 'cjs',
        minifySyntax: true,
        // V8 keeps the source in memory: without comments, some with letters beyond Latin-1 that double it,
        // an agent weighs 14 MB instead of 20. Names stay, for stack traces.
        minifyWhitespace: true,
        lineLimit: 200,
        keepNames: true,
        legalComments: 'none',
        logLevel: 'silent',
        // In a bundle "here" is the launcher, so that siblings of dist/bin are found.
        define: { FLEETVISOR_VERSION: JSON.stringify(version), 'import.meta.url': 'launcherUrl' },
        // The bundle runs as a script, where only require exists.
        supported: { 'dynamic-import': false },
      }).catch((error) => {
        throw new ToolError(`${program.entry} does not bundle:\n${describe(error)}`);
      });
      // V8 tells a cache from another by the length of its source alone.
      await rm(join(root, `dist/lib/${program.name}.cache`), { force: true });
      await replace(`dist/lib/${program.name}.js`, result.outputFiles[0].text);
      await replace(`dist/bin/${program.name}`, launcher(program), 0o755);
    }),
  );
}

/** Lets each program write V8's code cache once; without it a start only takes some 10-40 ms longer. */
async function cacheCode(program) {
  const env = { ...process.env, FLEETVISOR_WRITE_CODE_CACHE: '1' };
  const result = await run(join(root, 'dist/bin', program.name), ['--version'], {
    quiet: true,
    env,
  });
  if (result.code !== 0) {
    throw new ToolError(`${program.name} --version fails after the build:\n${result.output}`);
  }
}

function describe(error) {
  const lines = (error.errors ?? []).map(({ text, location }) =>
    location ? `  ${location.file}:${location.line}: ${text}` : `  ${text}`,
  );
  return lines.length > 0 ? lines.join('\n') : String(error.message ?? error);
}

function asToolError(error) {
  throw new ToolError(error instanceof Error ? error.message : String(error));
}

/** Writes beside and renames: a program that starts meanwhile sees the old file or the new one. */
async function replace(path, text, mode = 0o644) {
  const target = join(root, path);
  const draft = `${target}.${process.pid}.tmp`;
  await writeFile(draft, text, { mode });
  await chmod(draft, mode);
  await rename(draft, target);
}

async function readStamp() {
  return readFile(join(root, STAMP), 'utf8').catch(() => undefined);
}

async function isComplete() {
  const files = PROGRAMS.flatMap(({ name }) => [`dist/bin/${name}`, `dist/lib/${name}.js`]);
  const found = await Promise.all(
    [...files, 'dist/bin/fleetvisor-keeper'].map((file) =>
      stat(join(root, file)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.every(Boolean);
}

/** Changes with the content of any source, the locked packages, Node's version and where we stand. */
async function fingerprintSources() {
  const hash = createHash('sha256').update(`${process.version} ${root}\n`);
  for (const path of SOURCES) await addToHash(hash, path);
  await addToHash(hash, 'package-lock.json');
  return hash.digest('hex');
}

async function addToHash(hash, path) {
  const info = await stat(join(root, path)).catch(() => undefined);
  if (info === undefined) return;
  if (info.isDirectory()) {
    const names = (await readdir(join(root, path))).sort();
    for (const name of names) await addToHash(hash, `${path}/${name}`);
    return;
  }
  hash.update(`${path}\n`).update(await readFile(join(root, path)));
}

if (isMain(import.meta.url)) {
  await runScript('build', async () => {
    const { install } = await import('./install.mjs');
    await install();
    await build();
    return 0;
  });
}
