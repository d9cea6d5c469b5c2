// Says whether a loopback port is free and, where it can be found out, who holds it.
import { readFile, readdir, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';

const COMMAND_CHARS_MAX = 120;

/** Undefined when 127.0.0.1:port can be listened on; else who has it, e.g. `pid 4711 (redis-server *:9500)`. */
export async function portOwner(port) {
  const isFree = await new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
  return isFree
    ? undefined
    : ((await findListener(port)) ?? 'a program that cannot be seen from here');
}

/** Matches the port's socket in /proc/net with the descriptors of the processes we may read. */
async function findListener(port) {
  const inodes = new Set();
  for (const table of ['tcp', 'tcp6']) {
    const text = await readFile(`/proc/net/${table}`, 'utf8').catch(() => '');
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === '0A' && parseInt(local.split(':')[1], 16) === port) inodes.add(inode);
    }
  }
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (!inodes.has(inode)) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return `pid ${pid} (${command.replaceAll('\0', ' ').trim().slice(0, COMMAND_CHARS_MAX)})`;
    }
  }
  return undefined;
}
