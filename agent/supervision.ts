// Supervision put together: the engine, its loop, children, logs and rows, behind the seam of core.ts.
// Invariants: every request gets one result; every change is numbered before anyone can see it in a row.
import type { Clock } from '../common/clock.js';
import { formatNameSpec, nameKey, type NameSpec } from '../common/names.js';
import type { ProcessRow } from '../common/rows.js';
import { Announcer } from './announcer.js';
import { Children } from './children.js';
import type { GroupConfig, ProcessConfig } from './config/types.js';
import type {
  AgentCore,
  CoreRequest,
  CoreResult,
  LogChannel,
  LogFault,
  LogFollower,
  LogStart,
} from './core.js';
import { parseSignal, toExitStatus } from './engine-words.js';
import { Engine } from './engine/engine.js';
import type { Adoption, Change, Effect, EngineInput, GroupSpec, Reply } from './engine/types.js';
import type { EventSink } from './events.js';
import { toGroupSpec } from './group-spec.js';
import { buildLaunch, checkCommand, childComplaint, nameOf, spawnFailureText } from './launch.js';
import type { LaunchWorld } from './launch.js';
import type { ActivityLog } from './logs/activity.js';
import type { LogFiles, ProcessLogs } from './logs/files.js';
import type { Syslog } from './logs/syslog.js';
import { followLog } from './logs/tail.js';
import { Loop } from './loop.js';
import type { ProcessMemory } from './memory.js';
import type { ChildRecord, SpawnNotice, Spawner } from './spawner.js';
import type { AgentState } from './state.js';

export interface SupervisionOptions {
  readonly identifier: string;
  readonly version: string;
  readonly configHash: string;
  readonly clock: Clock;
  readonly log: ActivityLog;
  readonly sink: EventSink;
  readonly state: AgentState;
  readonly memory: ProcessMemory;
  readonly logs: LogFiles;
  readonly syslog: Syslog;
  readonly stripAnsi: boolean;
  readonly world: LaunchWorld;
  /** The keeper's connection of the moment. */
  readonly spawner: () => Spawner;
  /** The first spawn number to use. */
  readonly firstSpawn: number;
}

type NoticeOf<Kind extends SpawnNotice['kind']> = Extract<SpawnNotice, { readonly kind: Kind }>;

/** One host's supervision. Start it with `apply`, feed it with `notice`. */
export class Supervision implements AgentCore {
  readonly identifier: string;
  readonly version: string;
  readonly configHash: string;
  readonly children: Children;
  readonly #options: SupervisionOptions;
  readonly #engine: Engine;
  readonly #loop: Loop;
  readonly #announcer: Announcer;
  readonly #configs = new Map<string, ProcessConfig>();
  readonly #names = new Map<number, NameSpec>();
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  /** Processes whose facts may have changed without a change of state (a pid became known). */
  readonly #touched = new Map<string, NameSpec>();
  #nextRequest = 1;
  #onDoubt = (): void => undefined;
  #stopping: { readonly done: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(options: SupervisionOptions) {
    this.#options = options;
    this.identifier = options.identifier;
    this.version = options.version;
    this.configHash = options.configHash;
    this.children = new Children({
      ...options,
      wantsSyslog: (name, channel) => this.config(name)?.[channel].syslog ?? false,
    });
    this.#announcer = new Announcer(options.sink, options.memory, options.clock);
    this.#engine = new Engine(options.firstSpawn);
    this.#loop = new Loop(
      this.#engine,
      options.clock,
      {
        spawn: (effect) => this.#spawn(effect),
        signal: (effect) => this.#signal(effect),
        emit: (effect) => this.#emit(effect.change),
        log: (effect) => options.log.log(effect.level, effect.text),
        reply: (effect) => this.#reply(effect),
        'acknowledge-exit': (effect) => options.spawner().acknowledgeExit(effect.spawn),
        'shutdown-complete': () => this.#stopping?.resolve(),
      },
      () => this.#announceTouched(),
    );
  }

  nowMs(): number {
    return this.#options.clock.nowMs();
  }

  rows(): readonly ProcessRow[] {
    return this.#announcer.rows();
  }

  row(name: NameSpec): ProcessRow | undefined {
    return this.#announcer.row(name);
  }

  isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** What is configured for a process; undefined: no such process. */
  config(name: NameSpec): ProcessConfig | undefined {
    return this.#configs.get(nameKey(name));
  }

  /** The groups in start order, each with its processes by priority (spec xmlrpc 6). */
  groups(): readonly GroupSpec[] {
    return this.#engine.groups();
  }

  /** The files of a process; undefined: no such process. */
  logsOf(name: NameSpec): ProcessLogs | undefined {
    return this.#options.logs.get(name);
  }

  /** Puts a configuration into force. `adopt` matters the first time only. Log files are prepared by the caller. */
  apply(groups: readonly GroupConfig[], adopt: readonly Adoption[]): void {
    this.#configs.clear();
    for (const group of groups)
      for (const config of group.processes) this.#configs.set(nameKey(nameOf(config)), config);
    for (const { name, child } of adopt)
      if (child.kind !== 'none') this.#names.set(child.spawn, name);
    this.#loop.push({ kind: 'apply-config', groups: groups.map(toGroupSpec), adopt });
    // Adopted processes may enter without an event of their own; their rows stand as of now.
    for (const facts of this.#engine.snapshot()) this.#announcer.refresh(facts);
  }

  /** A fact from the keeper. Children found at the start come through `apply` instead. */
  notice(notice: SpawnNotice): void {
    switch (notice.kind) {
      case 'spawned':
        return this.#spawned(notice);
      case 'spawn-failed':
        return this.#spawnFailed(notice);
      case 'exited':
        return this.#exited(notice);
      case 'orphan':
        this.#options.log.log('info', `reaped unknown pid ${notice.pid}`);
        return;
      case 'lost':
        // The owner of the connection deals with it.
        return;
    }
  }

  async execute(request: CoreRequest): Promise<CoreResult> {
    const config = this.config(request.name);
    const row = this.row(request.name);
    if (config === undefined || row === undefined)
      return { outcome: 'failed', fault: 'BAD_NAME', text: formatNameSpec(request.name), row };
    if (request.ifSeq !== undefined && request.ifSeq !== 0 && request.ifSeq !== row.seq) {
      const text = `the process is at revision ${row.seq}, not ${request.ifSeq}`;
      return { outcome: 'conflict', fault: 'FAILED', text, row };
    }
    if (request.action === 'start' || request.action === 'restart') {
      // Before anything is stopped, too: a restart that cannot start again only does harm.
      const problem = checkCommand(config, this.#options.world);
      if (problem !== undefined) return { outcome: 'failed', ...problem, row };
    }
    const head = {
      request: this.#nextRequest++,
      name: request.name,
      cause: request.cause,
      ifSpawn: request.ifSpawn === 0 ? undefined : request.ifSpawn,
    };
    if (request.action !== 'signal')
      return this.#ask({ ...head, kind: request.action, until: request.until });
    const signal = parseSignal(request.signal ?? '');
    if (signal === undefined)
      return { outcome: 'failed', fault: 'BAD_SIGNAL', text: request.signal ?? '', row };
    return this.#ask({ ...head, kind: 'signal', signal });
  }

  openLog(name: NameSpec, channel: LogChannel, start: LogStart): LogFollower | LogFault {
    const logs = this.logsOf(name);
    if (logs === undefined) return { fault: 'BAD_NAME', text: formatNameSpec(name) };
    const file = logs[channel];
    if (file === undefined) return { fault: 'NO_FILE', text: '' };
    return followLog(file, start);
  }

  /** Text for a live child's stdin. */
  writeStdin(name: NameSpec, text: string): 'ok' | 'closed' | 'full' {
    const spawn = this.row(name)?.spawn ?? 0;
    return this.children.writeStdin(spawn, text);
  }

  /** Stops every process in Supervisor's order; resolves when nothing of ours lives. A repeat joins the first. */
  shutdown(): Promise<void> {
    if (this.#stopping === undefined) {
      let resolve = (): void => undefined;
      const done = new Promise<void>((settle) => (resolve = settle));
      this.#stopping = { done, resolve };
      this.#loop.push({ kind: 'shutdown' });
    }
    return this.#stopping.done;
  }

  /** The keeper (or a new one) is back: what it holds goes on, the rest is in doubt or never came to be. */
  keeperBack(records: readonly ChildRecord[]): void {
    const held = new Set(records.map((record) => record.spawn));
    for (const record of records) {
      const name = this.#names.get(record.spawn);
      if (name === undefined) continue;
      if (!this.children.has(record.spawn)) this.children.attach(name, record);
      if (this.#isSpawning(name)) {
        const { spawn, pid, startedAtMs } = record;
        this.#loop.push({ kind: 'spawned', spawn, pid, startedAtMs });
      }
      if (record.exit === undefined || record.exit.acknowledged === true) continue;
      const { status, atMs } = record.exit;
      this.#exited({ kind: 'exited', spawn: record.spawn, pid: record.pid, status, atMs });
    }
    for (const facts of this.#engine.snapshot()) {
      const status = this.#engine.status(facts.name);
      if (status === undefined || !('child' in status) || status.child === undefined) continue;
      const { child } = status;
      if (held.has(child.spawn)) continue;
      if (child.kind === 'spawning') {
        this.#loop.push({ kind: 'spawn-failed', spawn: child.spawn, text: 'the keeper died' });
        continue;
      }
      const reason = `its parent, the keeper, died; pid ${child.pid} is left alone until it ends`;
      this.#loop.push({ kind: 'force-unknown', name: facts.name, reason });
    }
    this.#onDoubt();
  }

  /** Children in UNKNOWN, whose end nobody may tell. */
  doubtful(): readonly { readonly spawn: number; readonly pid: number }[] {
    return this.rows().filter((row) => row.state === 'UNKNOWN' && row.pid !== 0);
  }

  /** Calls back when there may be something doubtful. */
  onDoubt(callback: () => void): void {
    this.#onDoubt = callback;
  }

  /** A doubtful child is gone; nobody saw how. */
  endUnobserved(spawn: number, pid: number): void {
    this.children.ended(spawn);
    this.#names.delete(spawn);
    const atMs = this.nowMs();
    this.#loop.push({ kind: 'exited', spawn, pid, exit: { kind: 'unobserved' }, atMs });
  }

  /** Takes no more inputs; children live on. */
  close(): void {
    this.#loop.close();
    this.children.close();
  }

  #isSpawning(name: NameSpec): boolean {
    const status = this.#engine.status(name);
    return status?.state === 'STARTING' && status.child.kind === 'spawning';
  }

  #push(input: EngineInput): void {
    this.#loop.push(input);
  }

  #ask(input: Extract<EngineInput, { readonly request: number }>): Promise<CoreResult> {
    return new Promise((resolve) => {
      this.#waiting.set(input.request, (reply) => {
        const row = reply.facts === undefined ? undefined : this.row(reply.facts.name);
        resolve({ outcome: reply.outcome, fault: reply.fault ?? '', text: reply.text, row });
      });
      this.#push(input);
    });
  }

  #reply(reply: Reply): void {
    const resolve = this.#waiting.get(reply.request);
    this.#waiting.delete(reply.request);
    resolve?.(reply);
  }

  #spawn({ name, spawn }: Extract<Effect, { readonly kind: 'spawn' }>): void {
    const config = this.config(name);
    if (config === undefined) throw new Error(`spawn of ${nameKey(name)}, which is not configured`);
    this.#options.state.reserveSpawn(spawn);
    const fail = (text: string): void => this.#push({ kind: 'spawn-failed', spawn, text });
    const logs = this.logsOf(name);
    try {
      logs?.stdout?.open();
      logs?.stderr?.open();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      return fail(
        code === 'EMFILE'
          ? `too many open files to spawn '${config.name}'`
          : `unknown error making dispatchers for '${config.name}': ${code}`,
      );
    }
    const paths = { stdout: logs?.stdout?.path, stderr: logs?.stderr?.path };
    const launch = buildLaunch(config, spawn, paths, this.#options.world);
    if (launch.kind === 'fault') return fail(launch.text);
    this.#names.set(spawn, name);
    this.#options.spawner().spawn(launch.request);
  }

  #signal(effect: Extract<Effect, { readonly kind: 'signal' }>): void {
    const { token, spawn, signal, target } = effect;
    // Signal 0 is accepted and sends nothing (spec xmlrpc 8.3).
    if (signal.number === 0) {
      queueMicrotask(() => this.#push({ kind: 'signal-outcome', token, outcome: 'delivered' }));
      return;
    }
    void this.#options
      .spawner()
      .signal(spawn, signal.number, target)
      .then(
        (outcome) => (typeof outcome === 'string' ? outcome : { error: outcome.errorName }),
        (error: unknown) => ({ error: (error as Error).message }),
      )
      .then((outcome) => this.#push({ kind: 'signal-outcome', token, outcome }));
  }

  #spawned({ child }: NoticeOf<'spawned'>): void {
    const name = this.#names.get(child.spawn);
    if (name === undefined) return;
    this.children.attach(name, child);
    this.#touched.set(nameKey(name), name);
    const { spawn, pid, startedAtMs } = child;
    this.#push({ kind: 'spawned', spawn, pid, startedAtMs });
  }

  #spawnFailed(notice: NoticeOf<'spawn-failed'>): void {
    const name = this.#names.get(notice.spawn);
    const config = name === undefined ? undefined : this.config(name);
    this.#names.delete(notice.spawn);
    if (name === undefined || config === undefined) return;
    const text = spawnFailureText(config, notice.stage, notice.errorName);
    const complaint = childComplaint(notice.stage, text);
    const logs = this.logsOf(name);
    if (complaint !== undefined) {
      const file = config.redirectStderr ? logs?.stdout : logs?.stderr;
      file?.append(Buffer.from(complaint, 'utf8'));
    }
    this.#push({ kind: 'spawn-failed', spawn: notice.spawn, text });
  }

  #exited(notice: NoticeOf<'exited'>): void {
    const { spawn, pid, status, atMs } = notice;
    this.children.ended(spawn);
    if (!this.#names.delete(spawn)) return;
    this.#push({ kind: 'exited', spawn, pid, exit: toExitStatus(status), atMs });
  }

  #emit(change: Change): void {
    this.#forgetRemoved(change);
    this.#announcer.announce(change);
    if (change.kind === 'process' && change.to === 'UNKNOWN') this.#onDoubt();
  }

  #forgetRemoved(change: Change): void {
    if (change.kind !== 'group-removed') return;
    for (const { group, process } of this.rows())
      if (group === change.group) this.#options.logs.remove({ group, process });
  }

  /** A pid may have become known without a change of state. */
  #announceTouched(): void {
    for (const name of this.#touched.values()) {
      const facts = this.#engine.facts(name);
      if (facts !== undefined) this.#announcer.refresh(facts);
    }
    this.#touched.clear();
  }
}
