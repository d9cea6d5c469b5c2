// Finds nats-server for the demo: on PATH, where Debian puts it, or from Debian's package unpacked beside the
// demo's state. Nothing is installed into the system, so this needs no root and leaves no service behind.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { ToolError, run } from './command.mjs';

/** Folders that a user's PATH often lacks. */
const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/sbin'];

const ADVICE =
  'install it (Debian, Ubuntu: `sudo apt-get install nats-server`; others: https://nats.io/download) ' +
  'and run this again';

/** The folder that holds nats-server; `folder` receives Debian's package when it has to be fetched. */
export async function findNatsServer(folder) {
  const unpacked = join(folder, 'unpacked/usr/sbin');
  const places = [...(process.env.PATH ?? '').split(delimiter), ...MORE_FOLDERS, unpacked];
  const found = await firstWith('nats-server', places);
  if (found !== undefined) return found;
  console.log("nats-server is not installed: fetching Debian's package ...");
  await unpackDebianPackage(folder);
  if ((await firstWith('nats-server', [unpacked])) === undefined) {
    throw new ToolError(`Debian's nats-server package holds no /usr/sbin/nats-server; ${ADVICE}`);
  }
  return unpacked;
}

async function firstWith(program, folders) {
  for (const folder of folders.filter(Boolean)) {
    const info = await stat(join(folder, program)).catch(() => undefined);
    if (info?.isFile() && (info.mode & 0o111) !== 0) return folder;
  }
  return undefined;
}

async function unpackDebianPackage(folder) {
  const hasApt = await run('apt-get', ['--version'], { quiet: true });
  if (hasApt.code !== 0) {
    throw new ToolError(`nats-server is not on PATH and there is no apt-get here; ${ADVICE}`);
  }
  await mkdir(join(folder, 'lists/partial'), { recursive: true });
  await mkdir(join(folder, 'cache/archives/partial'), { recursive: true });
  const download = async (options) =>
    run('apt-get', [...options, 'download', 'nats-server'], { quiet: true, cwd: folder });
  const first = await download([]);
  // A fresh container has no package lists, and a user may not write the system's: keep our own.
  const own = [
    ['-o', `Dir::State::Lists=${join(folder, 'lists')}`],
    ['-o', `Dir::Cache=${join(folder, 'cache')}`],
    ['-o', 'APT::Sandbox::User='],
  ].flat();
  if (first.code !== 0) {
    const update = await run('apt-get', [...own, 'update'], { quiet: true });
    const second = await download(own);
    if (second.code !== 0) {
      throw new ToolError(
        `nats-server is not on PATH and its package cannot be fetched; ${ADVICE}.\n` +
          `${lastLines(update.output)}\n${lastLines(second.output)}`,
      );
    }
  }
  const names = (await readdir(folder)).filter((name) => /^nats-server_.*\.deb$/.test(name));
  const unpack = await run('dpkg-deb', ['-x', names[0] ?? 'nats-server.deb', 'unpacked'], {
    quiet: true,
    cwd: folder,
  });
  if (unpack.code !== 0) {
    throw new ToolError(`dpkg-deb cannot unpack nats-server; ${ADVICE}.\n${unpack.output}`);
  }
}

function lastLines(text) {
  return text.trim().split('\n').slice(-3).join('\n');
}
