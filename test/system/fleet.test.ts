// A fleet of three hosts as an operator drives it: status, commands and their exit codes, events, a lost agent.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Fleet, type JsonLine, livingProcesses, startFleet } from '../support/fleet.js';
import { needs } from '../support/need.js';
import { until } from '../support/wait.js';

const STEADY = `
[program:app]
command=/bin/sleep 100000
process_name=%(program_name)s_%(process_num)d
numprocs=2
startsecs=0
[program:cache]
command=/bin/sleep 100000
startsecs=1
`;

const skip = needs('nats-server', 'cc');

describe('a fleet of three hosts', { skip }, () => {
  let fleet: Fleet;
  const cleaners: (() => Promise<void>)[] = [];

  before(async () => {
    fleet = await startFleet(
      { after: (clean) => void cleaners.push(clean) },
      {
        hosts: { web1: STEADY, web2: STEADY, db1: STEADY },
        labels: { web1: 'role=web', web2: 'role=web', db1: 'role=db' },
      },
    );
    await allRunning();
  });

  after(async () => {
    for (const clean of cleaners.reverse()) await clean();
  });

  async function processes(...argv: string[]): Promise<JsonLine[]> {
    const lines = await fleet.json('status', ...argv);
    return lines.filter(({ kind }) => kind === 'process');
  }

  const key = (line: JsonLine): string =>
    `${String(line['host'])}:${String(line['group'])}:${String(line['process'])}`;

  async function pids(): Promise<Map<string, number>> {
    return new Map(
      (await processes('--all-hosts')).map((line) => [key(line), Number(line['pid'])]),
    );
  }

  async function allRunning(): Promise<void> {
    let seen: JsonLine[] = [];
    await until(
      'nine RUNNING processes',
      async () => {
        seen = await processes('--all-hosts');
        const good = seen.filter((l) => l['state'] === 'RUNNING' && l['freshness'] === 'fresh');
        return good.length === 9 || undefined;
      },
      { seen: () => JSON.stringify(seen) },
    );
  }

  it('lists every process of every host with state, pid and uptime', async () => {
    const { code, stdout } = await fleet.ctl('status', '--all-hosts');
    assert.equal(code, 0, stdout);
    for (const host of ['web1', 'web2', 'db1']) {
      for (const name of ['app:app_0', 'app:app_1', 'cache']) {
        const line = stdout.split('\n').find((l) => l.includes(host) && l.includes(name));
        assert.ok(line, `${host} ${name} in\n${stdout}`);
        assert.match(line, /RUNNING/);
        assert.match(line, /\d+:\d\d:\d\d/);
      }
    }
    for (const pid of (await pids()).values()) assert.doesNotThrow(() => process.kill(pid, 0));
  });

  it('restarts exactly what the selector names', async () => {
    const earlier = await pids();
    const { code, stdout } = await fleet.ctl('restart', 'web*:*:*');
    assert.equal(code, 0, stdout);
    const later = await pids();
    for (const [name, pid] of earlier) {
      if (name.startsWith('web')) assert.notEqual(later.get(name), pid, `${name} kept its pid`);
      else assert.equal(later.get(name), pid, `${name} was touched`);
    }
  });

  it('gives one result per target and a summary with the exit code', async () => {
    const lines = await fleet.json('restart', '@role=db:cache:cache');
    const results = lines.filter(({ kind }) => kind === 'result');
    assert.deepEqual(
      results.map((line) => [key(line), line['result'] ?? line['outcome']]),
      [['db1:cache:cache', 'ok']],
    );
    const summary = lines.at(-1);
    assert.equal(summary?.kind, 'summary');
    assert.deepEqual(summary?.['results'], { ok: 1 });
    assert.equal(summary?.['exit'], 0);
  });

  it('refuses a change without a host scope and names the flag', async () => {
    const earlier = await pids();
    const { code, stderr, stdout } = await fleet.ctl('stop', 'app');
    assert.equal(code, 2);
    assert.match(stderr + stdout, /--all-hosts/);
    assert.deepEqual(await pids(), earlier);
  });

  it('says that a selector matches nothing, and that a host is unknown', async () => {
    const nothing = await fleet.ctl('restart', 'web1:nope:*');
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr + nothing.stdout, /nope/);
    const unknown = await fleet.ctl('status', '-H', 'web99');
    assert.notEqual(unknown.code, 0);
    assert.match(unknown.stderr + unknown.stdout, /web99/);
  });

  it('stops, shows exit code 3, and starts again', async () => {
    assert.equal((await fleet.ctl('stop', 'web1:cache:cache')).code, 0);
    const stopped = await fleet.ctl('status', 'web1:cache:cache');
    assert.equal(stopped.code, 3);
    assert.match(stopped.stdout, /STOPPED/);
    const again = await fleet.json('stop', 'web1:cache:cache');
    assert.equal((again[0]?.['result'] ?? again[0]?.['outcome']) as string, 'already');
    assert.equal((await fleet.ctl('start', 'web1:cache:cache')).code, 0);
    assert.equal((await fleet.ctl('status', 'web1:cache:cache')).code, 0);
  });

  it('shows a crash and the restart after it as events while they happen', async () => {
    const following = fleet.follow('--json', 'events', '-f');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const name = 'web1:cache:cache';
    const pid = (await pids()).get(name) as number;
    process.kill(pid, 'SIGKILL');
    const wanted = ['EXITED', 'STARTING', 'RUNNING'];
    for (const state of wanted) {
      const line = await following.line(
        `${name} ${state}`,
        (text) => text.includes(`"to":"${state}"`) && text.includes('"cache"'),
      );
      const event = JSON.parse(line) as JsonLine;
      assert.equal(event.kind, 'event');
      assert.equal(key(event), name);
    }
    const states = following
      .lines()
      .map((line) => JSON.parse(line) as JsonLine)
      .filter((event) => event['process'] === 'cache' && event['host'] === 'web1')
      .map((event) => event['to'] ?? event['to_state'] ?? event['state']);
    assert.deepEqual(states, wanted);
    await following.end();
  });

  it('keeps programs through a killed agent, never shows old as fresh, and adopts them again', async () => {
    const earlier = await pids();
    await fleet.agent('web2').kill('SIGKILL');
    const hostState = async (): Promise<unknown> =>
      (await fleet.json('hosts')).find((line) => line['host'] === 'web2')?.['state'];
    await until('web2 to be suspect', async () => (await hostState()) === 'suspect');

    const restarted = await fleet.ctl('restart', 'web*:cache:cache');
    assert.equal(restarted.code, 20, restarted.stdout);
    assert.match(restarted.stdout, /web2.*unreachable/);
    const [web1] = await processes('web1:cache:cache');
    assert.equal(web1?.['state'], 'RUNNING');

    const status = await fleet.ctl('status', '-H', 'web2');
    assert.equal(status.code, 4, status.stdout);
    for (const line of status.stdout.split('\n').filter((text) => text.includes('app_'))) {
      assert.match(line, /RUNNING\?/);
      assert.match(line, /ago/);
    }
    await until('web2 to be down', async () => (await hostState()) === 'down');

    fleet.agent('web2').start();
    await until('web2 to be up', async () => (await hostState()) === 'up', { patienceMs: 30_000 });
    const later = await pids();
    for (const [name, pid] of earlier) {
      if (name.startsWith('web2')) assert.equal(later.get(name), pid, `${name} was not adopted`);
    }
    const living = await livingProcesses(fleet);
    const sleeps = living.filter(({ command }) => command.includes('sleep 100000'));
    assert.equal(sleeps.length, 9, 'no program was started twice');
    await allRunning();
  });

  it('walks over the fleet batch by batch when asked for a rolling restart', async () => {
    const earlier = await pids();
    const { code, stdout, stderr } = await fleet.ctl(
      'restart',
      '*:cache:cache',
      '--rolling',
      '--batch',
      '1',
      '--soak',
      '1',
    );
    assert.equal(code, 0, stdout + stderr);
    const later = await pids();
    for (const host of ['web1', 'web2', 'db1']) {
      assert.notEqual(later.get(`${host}:cache:cache`), earlier.get(`${host}:cache:cache`));
      assert.equal(later.get(`${host}:app:app_0`), earlier.get(`${host}:app:app_0`));
    }
  });

  it('finds what happened before in the history', async () => {
    const events = (await fleet.json('events', '--since', '10m', '--host', 'web1')).filter(
      ({ kind }) => kind === 'event',
    );
    assert.ok(events.length > 3);
    const seqs = events
      .filter((event) => event['seq'] !== undefined && event['type'] === 'process.state')
      .map((event) => [Number(event['epoch']), Number(event['seq'])] as const);
    const sorted = [...seqs].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    assert.deepEqual(seqs, sorted, 'in the order of the host');
    assert.equal(new Set(seqs.map(String)).size, seqs.length, 'each once');
  });

  it('survives a controller that is killed: agents come back, nothing restarts', async () => {
    const earlier = await pids();
    await fleet.controller.kill('SIGKILL');
    fleet.controller.start();
    await until('all hosts again', async () => {
      const { stdout } = await fleet.ctl('--json', 'hosts');
      const lines = stdout.split('\n').filter((line) => line.includes('"kind":"host"'));
      return lines.filter((line) => line.includes('"state":"up"')).length === 3;
    });
    await allRunning();
    assert.deepEqual(await pids(), earlier);
  });

  it('leaves no process behind', async () => {
    assert.deepEqual(await fleet.stop(), []);
    assert.deepEqual(await livingProcesses(fleet), []);
  });
});
