// Drives an engine by hand in tests: a clock that only the test moves, and short ways to say what happened.
import { Engine } from '../../agent/engine/engine.js';
import type {
  Adoption,
  Change,
  Effect,
  EngineInput,
  ExitStatus,
  GroupSpec,
  ProcessPolicy,
  ProcessStatus,
  Reply,
  RequestId,
  Until,
} from '../../agent/engine/types.js';
import { parseNameSpec } from '../../common/names.js';
import type { ProcessState } from '../../common/states.js';

export const SIGTERM = { number: 15, name: 'SIGTERM' };
export const SIGHUP = { number: 1, name: 'SIGHUP' };

/** Supervisor's defaults, with `changes`. */
export function policy(changes: Partial<ProcessPolicy> = {}): ProcessPolicy {
  return {
    program: 'app',
    priority: 999,
    autostart: true,
    autorestart: 'unexpected',
    startMs: 1000,
    startRetries: 3,
    exitCodes: [0],
    stopSignal: SIGTERM,
    stopWaitMs: 10_000,
    stopAsGroup: false,
    killAsGroup: false,
    ...changes,
  };
}

/** A group of processes that share a policy. */
export function group(
  name: string,
  processes: readonly string[],
  changes: Partial<ProcessPolicy> = {},
  priority = 999,
): GroupSpec {
  const specs = processes.map((process) => ({ name: process, policy: policy(changes) }));
  return { name, priority, kind: 'group', processes: specs };
}

export const code = (value: number): ExitStatus => ({ kind: 'code', code: value });
export const killed: ExitStatus = {
  kind: 'signal',
  signal: 9,
  name: 'SIGKILL',
  coreDumped: false,
};

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { readonly kind: Kind }>;

export class Driver {
  readonly engine: Engine;
  nowMs: number;
  /** Effects of the last `feed`. */
  effects: Effect[] = [];
  /** Effects since the driver was made. */
  readonly all: Effect[] = [];
  #nextRequest = 1;
  #nextPid = 100;

  constructor(nowMs = 1000, nextSpawn = 1) {
    this.engine = new Engine(nextSpawn);
    this.nowMs = nowMs;
  }

  feed(input: EngineInput): this {
    this.effects = this.engine.handle(input, this.nowMs);
    this.all.push(...this.effects);
    return this;
  }

  config(groups: readonly GroupSpec[], adopt: readonly Adoption[] = []): this {
    return this.feed({ kind: 'apply-config', groups, adopt });
  }

  /** Moves the clock, delivering deadlines at their times. */
  pass(ms: number): this {
    const endMs = this.nowMs + ms;
    const effects: Effect[] = [];
    for (let rounds = 0; rounds < 10_000; rounds++) {
      const dueMs = this.engine.deadlineMs();
      if (dueMs === undefined || dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      effects.push(...this.feed({ kind: 'deadline' }).effects);
    }
    this.nowMs = endMs;
    this.effects = effects;
    return this;
  }

  /** The spawner answers for the process's present spawn. */
  spawned(name = 'app', startedAtMs = this.nowMs): this {
    const pid = this.#nextPid++;
    return this.feed({ kind: 'spawned', spawn: this.spawn(name), pid, startedAtMs });
  }

  spawnFailed(name = 'app', text = 'no such thing'): this {
    return this.feed({ kind: 'spawn-failed', spawn: this.spawn(name), text });
  }

  exited(name = 'app', exit: ExitStatus = code(0), atMs = this.nowMs): this {
    const pid = this.facts(name).pid;
    return this.feed({ kind: 'exited', spawn: this.spawn(name), pid, exit, atMs });
  }

  /** Starts, and lets it become RUNNING. */
  up(name = 'app'): this {
    this.spawned(name);
    return this.pass(this.facts(name).startMs + 1);
  }

  request(
    kind: 'start' | 'stop' | 'restart',
    name = 'app',
    options: { until?: Until; cause?: string; ifSpawn?: number } = {},
  ): RequestId {
    const request = this.#nextRequest++;
    const { until = 'settled', cause = `c${request}`, ifSpawn } = options;
    this.feed({ kind, request, name: parseNameSpec(name), until, cause, ifSpawn });
    return request;
  }

  signal(name = 'app', signal = SIGHUP): RequestId {
    const request = this.#nextRequest++;
    this.feed({
      kind: 'signal',
      request,
      name: parseNameSpec(name),
      cause: '',
      ifSpawn: undefined,
      signal,
    });
    return request;
  }

  /** Answers the last signal that was sent. */
  outcome(outcome: 'delivered' | 'gone' | { readonly error: string }): this {
    const sent = this.of('signal').at(-1);
    return this.feed({ kind: 'signal-outcome', token: sent?.token ?? 0, outcome });
  }

  spawn(name = 'app'): number {
    return this.facts(name).spawn;
  }

  facts(name = 'app') {
    const facts = this.engine.facts(parseNameSpec(name));
    if (facts === undefined) throw new Error(`there is no process ${name}`);
    return facts;
  }

  state(name = 'app'): ProcessState {
    return this.facts(name).state;
  }

  status(name = 'app'): ProcessStatus | undefined {
    return this.engine.status(parseNameSpec(name));
  }

  /** All effects of one kind since the beginning. */
  of<Kind extends Effect['kind']>(kind: Kind): EffectOf<Kind>[] {
    return this.all.filter((effect): effect is EffectOf<Kind> => effect.kind === kind);
  }

  replies(request: RequestId): Reply[] {
    return this.of('reply').filter((reply) => reply.request === request);
  }

  /** `ok`, or `failed SPAWN_ERROR`; empty while there is no reply. */
  result(request: RequestId): string {
    return this.replies(request)
      .map((reply) => [reply.outcome, reply.fault].filter(Boolean).join(' '))
      .join(', ');
  }

  /** Names of spawned processes in order. */
  spawns(): string[] {
    return this.of('spawn').map(({ name }) => `${name.group}:${name.process}`);
  }

  /** `app SIGTERM process` for each signal sent. */
  signals(): string[] {
    return this.of('signal').map(
      ({ name, signal, target }) => `${name.process} ${signal.name} ${target}`,
    );
  }

  logs(): string[] {
    return this.of('log').map(({ level, text }) => `${level}: ${text}`);
  }

  changes(): Change[] {
    return this.of('emit').map(({ change }) => change);
  }

  /** The states a process entered, as others were told. */
  path(name = 'app'): ProcessState[] {
    const wanted = parseNameSpec(name);
    const path: ProcessState[] = [];
    for (const change of this.changes()) {
      if (change.kind !== 'process') continue;
      const { group: inGroup, process } = change.facts.name;
      if (inGroup === wanted.group && process === wanted.process) path.push(change.to);
    }
    return path;
  }
}

/** A driver with one program `app`, configured with `changes`. */
export function driveOne(changes: Partial<ProcessPolicy> = {}): Driver {
  return new Driver().config([group('app', ['app'], changes)]);
}
