// A controller in this process for a test: real gRPC on a free port, no bus unless the test names one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../common/clock.js';
import type { Daemon } from '../../common/daemon.js';
import { silentLogger } from '../../common/log.js';
import { systemRandom } from '../../common/random.js';
import { dial } from '../../common/rpc.js';
import { ControlClient, type Target } from '../../proto/gen/fleetvisor/v1/control.js';
import { loadControllerConfig } from '../../controller/config.js';
import { startController } from '../../controller/controller.js';
import { makeTestFleet, type TestFleet } from './certificates.js';
import { freePorts } from './ports.js';

export interface TestController {
  readonly fleet: TestFleet;
  readonly address: string;
  readonly httpPort: number;
  /** A client with the certificate of `user`. */
  control(user?: string): Promise<ControlClient>;
  stop(): Promise<void>;
}

/** Everything, as `ctl status --all-hosts` asks for it; a test changes what it is about. */
export function targetOf(part: Partial<Target> = {}): Target {
  return {
    selectors: [],
    hosts: [],
    labels: [],
    allHosts: true,
    exclude: [],
    hasExpect: false,
    expect: 0,
    maxTargets: 0,
    ...part,
  };
}

/** `conf`: more sections of controller.conf. */
export async function startTestController(conf = ''): Promise<TestController> {
  const fleet = await makeTestFleet();
  const dir = mkdtempSync(join(tmpdir(), 'fleetvisor-controller-'));
  const [port = 0, httpPort = 0, busPort = 0] = await freePorts(3);
  const files = await fleet.files('controller', 'c1');
  const file = join(dir, 'controller.conf');
  writeFileSync(
    file,
    [
      `[controller]\nlisten=127.0.0.1:${port}\nhttp_listen=127.0.0.1:${httpPort}\nstate_dir=${dir}/state`,
      `[tls]\nca=${files.ca}\ncert=${files.cert}\nkey=${files.key}`,
      // Nothing listens there: the bus is away for the whole test.
      `[nats]\nservers=tls://127.0.0.1:${busPort}`,
      conf,
    ].join('\n'),
  );
  const loaded = loadControllerConfig(file, {});
  if (!loaded.ok) throw new Error(loaded.problems.map(({ text }) => text).join('; '));
  const stop = new AbortController();
  const ends: (() => void | Promise<void>)[] = [];
  const daemon: Daemon = {
    signal: stop.signal,
    onExit: (_what, end) => void ends.push(end),
    fail: (what, error) => {
      throw new Error(what, { cause: error });
    },
  };
  const clients: ControlClient[] = [];
  await startController(
    {
      config: loaded.config,
      stateDir: join(dir, 'state'),
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      agentCommand: [],
      env: {},
    },
    daemon,
  );
  return {
    fleet,
    address: `127.0.0.1:${port}`,
    httpPort,
    async control(user = 'anna') {
      const tls = await fleet.tls('user', user);
      const client = dial(ControlClient, { address: `127.0.0.1:${port}`, tls });
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.close();
      stop.abort();
      for (const end of ends.reverse()) await end();
      fleet.remove();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
