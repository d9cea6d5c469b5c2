// Free ports of 127.0.0.1 for servers that a test starts.
import { createServer } from 'node:net';

/** Below the range the kernel hands to outgoing connections, so that none of those takes our port first. */
const FIRST = 20_000;
const COUNT = 10_000;

const given = new Set<number>();

/** `count` ports that nobody listened on a moment ago; never the same twice in one process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  // Test processes that run side by side begin at different places.
  let next = (process.pid * 37 + given.size) % COUNT;
  for (let tried = 0; ports.length < count; tried++) {
    if (tried === COUNT) throw new Error(`no ${count} free ports from ${FIRST} on`);
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

/** One free port. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
