// What tests of the fleet's command line share: two controllers that answer what they are told, a ctl, and rows.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach } from 'node:test';
import type { ProcessRow } from '../../common/rows.js';
import { HostHeader } from '../../proto/gen/fleetvisor/v1/control.js';
import { makeTestFleet, type TestFleet } from './certificates.js';
import {
  runCtl,
  serveFakeControl,
  type CtlOptions,
  type CtlRun,
  type FakeControl,
} from './fake-control.js';

/** Made anew for each test file; answers are cleared before each test. */
export interface CtlBench {
  readonly fleet: TestFleet;
  readonly control: FakeControl;
  readonly other: FakeControl;
  /** A ctl.conf with a user's certificate. */
  writeConf(name: string, controllers: string, more?: string): Promise<string>;
  /** Runs `ctl -C ctl.conf WORDS`. */
  ctl(line: string, options?: Partial<CtlOptions> & { conf?: string }): Promise<CtlRun>;
}

/** An environment that knows no controller. */
export const EMPTY_ENV = { HOME: '/nonexistent' };

/** Call once at the top of a test file; the bench is there when the tests run. */
export function useCtlBench(): CtlBench {
  const bench: { -readonly [Key in keyof CtlBench]?: CtlBench[Key] } = {};
  let conf = '';
  before(async () => {
    const fleet = await makeTestFleet();
    bench.fleet = fleet;
    bench.control = await serveFakeControl(await fleet.tls('controller', 'c1'));
    bench.other = await serveFakeControl(await fleet.tls('controller', 'c2'));
    bench.writeConf = async (name, controllers, more = '') => {
      const { ca, cert, key } = await fleet.files('user', 'ann');
      const path = join(fleet.dir, name);
      const access = `ca=${ca}\ncert=${cert}\nkey=${key}\n`;
      writeFileSync(path, `[ctl]\ncontrollers=${controllers}\n${access}${more}`);
      return path;
    };
    bench.ctl = (line, options = {}) => {
      const words = line.split(' ').filter(Boolean);
      return runCtl(['-C', options.conf ?? conf, ...words], { env: EMPTY_ENV, ...options });
    };
    conf = await bench.writeConf('ctl.conf', bench.control.address);
  });
  after(async () => {
    await bench.control?.close();
    await bench.other?.close();
    bench.fleet?.remove();
  });
  beforeEach(() => {
    for (const fake of [bench.control, bench.other]) {
      if (fake === undefined) continue;
      fake.answers = {};
      fake.calls.length = 0;
    }
  });
  return bench as CtlBench;
}

/** The objects of `--json` output. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A running process of group app. */
export function row(process: string, more: Partial<ProcessRow> = {}): ProcessRow {
  return {
    ...{ group: 'app', process, program: 'app', state: 'RUNNING', pid: 42, spawn: 3 },
    ...{
      startedMonoMs: 94_000,
      startedWallMs: 1_000,
      stoppedWallMs: 0,
      exit: undefined,
      reason: '',
    },
    ...{ attempts: 0, seq: 5, groupPriority: 999, priority: 999, autostart: true, startMs: 1000 },
    ...{ stopWaitMs: 10_000, cause: '' },
    ...more,
  };
}

/** A host that is up, or suspect for 36 s. */
export const header = (host: string, freshness = 'fresh'): HostHeader =>
  HostHeader.fromPartial({
    host,
    freshness,
    state: freshness === 'fresh' ? 'up' : 'suspect',
    ageMs: freshness === 'fresh' ? 100 : 42_000,
    monoNowMs: 100_000,
    stateAgeMs: 36_000,
    agentVersion: '0.1.0',
    processCount: 1,
  });
