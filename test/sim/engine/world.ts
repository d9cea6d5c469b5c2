// One host in virtual time: the engine, a spawner full of trouble, operators who ask at random, configurations that
// change, agents that die and adopt, a shutdown. Everything follows from the seed.
import { Engine } from '../../../agent/engine/engine.js';
import type {
  Adoption,
  Effect,
  EngineInput,
  GroupSpec,
  ProcessFacts,
  ProcessPolicy,
} from '../../../agent/engine/types.js';
import { nameKey, type NameSpec } from '../../../common/names.js';
import { Dice } from '../random.js';
import { Timeline } from '../timeline.js';
import { SimSpawner } from './spawner.js';
import { Watch } from './watch.js';

/** How late the agent may be with a deadline. */
const LATE_MS_MAX = 700;
/** How long the host is troubled; then it is left to come to rest. */
const TROUBLE_MS = 120_000;
const REST_MS = 400_000;
/** More inputs than this in one world is a loop that does not end. */
const INPUTS_MAX = 50_000;

const REQUEST_KINDS = ['start', 'start', 'stop', 'stop', 'restart', 'restart', 'signal'] as const;

export interface WorldReport {
  readonly inputs: number;
  readonly spawns: number;
  readonly requests: number;
  readonly restarts: number;
}

export class World {
  readonly #dice: Dice;
  readonly #timeline = new Timeline();
  readonly #spawner: SimSpawner;
  readonly #watch: Watch;
  #engine = new Engine(1);
  /** The life of the agent that notices are meant for. */
  #life = 0;
  #groups: GroupSpec[] = [];
  /** What the agent had on disk about each process. */
  readonly #remembered = new Map<string, ProcessFacts>();
  #armed = 0;
  #lastNoticeAtMs = 0;
  #nextRequest = 1;
  #isShutdown = false;
  #inputs = 0;
  #restarts = 0;

  constructor(seed: number) {
    this.#dice = new Dice(seed);
    const tell = (notice: EngineInput): void => this.#deliver(notice);
    this.#spawner = new SimSpawner(this.#timeline, this.#dice, tell);
    this.#watch = new Watch(this.#spawner);
  }

  /** Lives through the world of this seed. Throws what a checker found. */
  run(): WorldReport {
    this.#configure(this.#randomGroups());
    for (let atMs = this.#dice.int(0, 3000); atMs < TROUBLE_MS; atMs += this.#dice.int(1, 4000)) {
      this.#timeline.at(atMs, () => this.#trouble());
    }
    this.#until(TROUBLE_MS);
    this.#spawner.calm = true;
    if (this.#dice.chance(50)) this.#shutDown();
    this.#until(TROUBLE_MS + REST_MS);
    this.#watch.atRest(this.#engine, this.#isShutdown);
    const { spawns, requests } = this.#watch.counts;
    return { inputs: this.#inputs, spawns, requests, restarts: this.#restarts };
  }

  #until(endMs: number): void {
    for (;;) {
      const nextMs = this.#timeline.nextAtMs();
      if (nextMs === undefined || nextMs > endMs) return;
      this.#timeline.advance();
    }
  }

  #feed(input: EngineInput): void {
    this.#inputs += 1;
    if (this.#inputs > INPUTS_MAX) throw new Error(`more than ${INPUTS_MAX} inputs: a loop`);
    const { nowMs } = this.#timeline;
    this.#watch.input(input);
    const effects = this.#engine.handle(input, nowMs);
    this.#watch.effects(input, effects, nowMs, this.#engine);
    for (const effect of effects) this.#perform(effect);
    this.#arm();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'spawn':
        return this.#spawner.spawn(effect.name, effect.spawn, this.#startMsOf(effect.name));
      case 'signal':
        return this.#spawner.signal(effect.spawn, effect.token, effect.signal);
      case 'acknowledge-exit':
        return this.#spawner.acknowledge(effect.spawn);
      case 'emit': {
        const { change } = effect;
        const rows = change.kind === 'process' ? [change.facts] : [];
        for (const facts of rows) this.#remembered.set(nameKey(facts.name), facts);
        return;
      }
      case 'log':
      case 'reply':
      case 'shutdown-complete':
        return;
    }
  }

  /** The one timer of the loop, now and then late. */
  #arm(): void {
    const dueMs = this.#engine.deadlineMs();
    const armed = ++this.#armed;
    if (dueMs === undefined) return;
    const lateMs = this.#dice.chance(5) ? this.#dice.int(1, LATE_MS_MAX) : 0;
    this.#timeline.at(dueMs + lateMs, () => {
      if (armed === this.#armed) this.#feed({ kind: 'deadline' });
    });
  }

  /** News from the spawner, in order, now and then late. */
  #deliver(notice: EngineInput): void {
    const life = this.#life;
    const lateMs = this.#dice.chance(4) ? this.#dice.int(1, 3000) : this.#dice.int(0, 2);
    this.#lastNoticeAtMs = Math.max(this.#lastNoticeAtMs, this.#timeline.nowMs + lateMs);
    this.#timeline.at(this.#lastNoticeAtMs, () => {
      if (life === this.#life) this.#feed(notice);
    });
  }

  #trouble(): void {
    const dice = this.#dice;
    const roll = dice.int(1, 100);
    if (roll <= 75) return this.#request();
    if (roll <= 85) return this.#configure(this.#changedGroups());
    if (roll <= 89) return this.#addOrRemoveGroup();
    if (roll <= 92) return this.#forceUnknown();
    if (roll <= 96) return this.#restartAgent();
    if (roll === 97) return this.#shutDown();
  }

  #request(): void {
    const dice = this.#dice;
    const times = dice.chance(10) ? 6 : 1;
    for (let i = 0; i < times; i++) {
      const facts = dice.pick(this.#engine.snapshot());
      const name = dice.chance(2) || !facts ? { group: 'no', process: 'such' } : facts.name;
      const ifSpawn = dice.chance(10) ? (facts?.spawn ?? 0) - dice.int(0, 1) : undefined;
      const request = this.#nextRequest++;
      const head = { request, name, cause: `c${request}`, ifSpawn };
      const kind = dice.pick(REQUEST_KINDS);
      if (kind === 'signal') {
        const signal = { number: 1, name: 'SIGHUP' };
        this.#feed({ ...head, kind, signal });
      } else {
        this.#feed({ ...head, kind, until: dice.pick(['accepted', 'settled', 'settled']) });
      }
    }
  }

  #configure(groups: GroupSpec[], adopt: readonly Adoption[] = []): void {
    this.#groups = groups;
    this.#feed({ kind: 'apply-config', groups, adopt });
  }

  #addOrRemoveGroup(): void {
    const request = this.#nextRequest++;
    if (this.#dice.chance(50)) {
      const group = this.#randomGroup(`extra${this.#dice.int(0, 2)}`);
      if (!this.#groups.some(({ name }) => name === group.name)) this.#groups.push(group);
      return this.#feed({ kind: 'add-group', request, group });
    }
    const group = this.#dice.pick(this.#engine.groups())?.name ?? 'none';
    this.#feed({ kind: 'remove-group', request, group });
    const left = new Set(this.#engine.groups().map(({ name }) => name));
    this.#groups = this.#groups.filter(({ name }) => left.has(name));
  }

  #forceUnknown(): void {
    const facts = this.#dice.pick(this.#engine.snapshot());
    if (facts === undefined) return;
    this.#feed({ kind: 'force-unknown', name: facts.name, reason: 'the shell cannot tell' });
  }

  #shutDown(): void {
    this.#isShutdown = true;
    this.#feed({ kind: 'shutdown' });
  }

  /** kill -9 of the agent; the next one finds the children and, mostly, what was remembered. */
  #restartAgent(): void {
    if (this.#isShutdown) return;
    this.#restarts += 1;
    this.#life += 1;
    this.#armed += 1;
    this.#spawner.settleAsked((name) => this.#startMsOf(name));
    // What settling told was meant for the dead agent too.
    this.#life += 1;
    const forgotten = this.#dice.chance(15);
    const adoptions = this.#adoptions(forgotten);
    if (forgotten) this.#remembered.clear();
    this.#engine = new Engine(this.#engine.nextSpawn());
    this.#watch.agentRestarted(adoptions);
    const groups = this.#dice.chance(30) ? this.#changedGroups() : this.#groups;
    this.#configure(groups, adoptions);
  }

  #adoptions(forgotten: boolean): Adoption[] {
    const found = new Map<string, Adoption>();
    for (const [key, facts] of this.#remembered) {
      if (forgotten || this.#engine.facts(facts.name) === undefined) continue;
      const { state, spawn, attempts, reason, exit, lastStartAtMs, lastStopAtMs } = facts;
      const previous = { state, spawn, attempts, reason, exit, lastStartAtMs, lastStopAtMs };
      found.set(key, { name: facts.name, child: { kind: 'none' }, previous });
    }
    const newest = [...this.#spawner.children.values()].sort((a, b) => a.spawn - b.spawn);
    for (const { name, spawn, pid, startedAtMs, end } of newest) {
      const previous = found.get(nameKey(name))?.previous;
      const child: Adoption['child'] = end
        ? { kind: 'ended', spawn, pid, startedAtMs, ...end }
        : { kind: 'alive', spawn, pid, startedAtMs };
      found.set(nameKey(name), { name, child, previous });
    }
    return [...found.values()];
  }

  #startMsOf(name: NameSpec): number {
    return this.#engine.facts(name)?.startMs ?? 1000;
  }

  #randomGroups(): GroupSpec[] {
    const count = this.#dice.int(1, 4);
    return Array.from({ length: count }, (_, i) => this.#randomGroup(`g${i}`));
  }

  #randomGroup(name: string): GroupSpec {
    const dice = this.#dice;
    const processes = Array.from({ length: dice.int(1, 3) }, (_, i) => ({
      name: `p${i}`,
      policy: this.#randomPolicy(),
    }));
    return { name, priority: dice.pick([-1, 5, 5, 999]), kind: 'group', processes };
  }

  /** The present configuration with a few changes. */
  #changedGroups(): GroupSpec[] {
    const dice = this.#dice;
    const groups: GroupSpec[] = this.#groups
      .filter(() => !dice.chance(15))
      .map((group) => ({
        ...group,
        priority: dice.chance(10) ? dice.pick([-1, 5, 999]) : group.priority,
        processes: group.processes
          .filter(() => !dice.chance(10))
          .map(({ name, policy }) => ({
            name,
            policy: dice.chance(20) ? this.#randomPolicy() : policy,
          })),
      }));
    const fresh = `g${dice.int(0, 4)}`;
    if (dice.chance(30) && !groups.some(({ name }) => name === fresh)) {
      groups.push(this.#randomGroup(fresh));
    }
    return groups;
  }

  #randomPolicy(): ProcessPolicy {
    const dice = this.#dice;
    const stopAsGroup = dice.chance(30);
    return {
      program: 'app',
      priority: dice.pick([1, 5, 999]),
      autostart: dice.chance(80),
      autorestart: dice.pick(['always', 'never', 'unexpected']),
      startMs: dice.pick([0, 1, 1000, 1000, 3000]),
      startRetries: dice.pick([0, 1, 3]),
      exitCodes: dice.pick([[0], [0, 2], []]),
      stopSignal: dice.pick([
        { number: 15, name: 'SIGTERM' },
        { number: 3, name: 'SIGQUIT' },
      ]),
      stopWaitMs: dice.pick([0, 500, 1000, 5000]),
      stopAsGroup,
      killAsGroup: stopAsGroup || dice.chance(30),
    };
  }
}
