// The living side of children: their pipes being read into logs, their stdin, and what lingers after their end.
// Invariants: a child's output is read until its pipe ends; last words are logged before its exit is handled;
// at most LINGERING_MAX pipes of ended children per process stay open for descendants that still write.
import { nameKey, type NameSpec } from '../common/names.js';
import type { LogChannel } from './core.js';
import type { ActivityLog } from './logs/activity.js';
import { Capture, StdinWriter, type ByteSink } from './logs/capture.js';
import type { LogFiles } from './logs/files.js';
import type { ChildRecord, Spawner } from './spawner.js';
import { stripAnsi } from './logs/ansi.js';
import { appendSpill } from './logs/spill.js';
import type { Syslog } from './logs/syslog.js';

/** Ended children of one process whose descendants still hold a pipe; the oldest is let go beyond this. */
const LINGERING_MAX = 4;

interface Child {
  readonly name: NameSpec;
  readonly record: ChildRecord;
  readonly captures: Map<LogChannel, Capture>;
  stdin: StdinWriter | undefined;
  hasEnded: boolean;
  isReleased: boolean;
}

export interface ChildrenOptions {
  readonly logs: LogFiles;
  readonly log: ActivityLog;
  readonly syslog: Syslog;
  readonly stripAnsi: boolean;
  /** Whether a stream goes to syslog too. */
  readonly wantsSyslog: (name: NameSpec, channel: LogChannel) => boolean;
  /** Tells the keeper that nothing of an ended child is needed any more. */
  readonly spawner: () => Spawner;
}

/** All children whose output this agent reads, by spawn number. */
export class Children {
  readonly #options: ChildrenOptions;
  readonly #bySpawn = new Map<number, Child>();
  readonly #lingering = new Map<string, Child[]>();
  #onIdle: (() => void) | undefined;

  constructor(options: ChildrenOptions) {
    this.#options = options;
  }

  /** Begins to read a child's output: what the keeper kept aside first, then its pipes. */
  attach(name: NameSpec, record: ChildRecord): void {
    const child: Child = {
      name,
      record,
      captures: new Map(),
      stdin: undefined,
      hasEnded: false,
      isReleased: false,
    };
    this.#bySpawn.set(record.spawn, child);
    for (const channel of ['stdout', 'stderr'] as const) {
      const path = record.pipes[channel];
      if (path === undefined) continue;
      const sink = this.#sink(name, channel);
      const spill = record.spill?.[channel];
      if (spill !== undefined) appendSpill(name, channel, spill, sink, this.#options.log);
      try {
        const capture = new Capture(path, sink, () => {
          this.#captureEnded(child, channel);
        });
        child.captures.set(channel, capture);
      } catch (error) {
        this.#options.log.log(
          'error',
          `could not read ${channel} of '${name.process}' (pid ${record.pid}) through ${path}: ` +
            `${(error as Error).message}; its output is not logged`,
        );
      }
    }
    if (record.spill !== undefined) this.#options.spawner().releaseSpill(record.spawn);
  }

  /** The child is dead: logs its last words now. Later output of its descendants is read until the pipe ends. */
  ended(spawn: number): void {
    const child = this.#bySpawn.get(spawn);
    if (child === undefined || child.hasEnded) return;
    child.hasEnded = true;
    child.stdin?.close();
    for (const capture of child.captures.values()) capture.drain();
    if (child.captures.size === 0) {
      this.#release(child);
      return;
    }
    const key = nameKey(child.name);
    const waiting = [...(this.#lingering.get(key) ?? []), child];
    this.#lingering.set(key, waiting);
    for (const old of waiting.slice(0, Math.max(0, waiting.length - LINGERING_MAX)))
      this.#letGo(old);
  }

  /** Queues text for a live child's stdin (spec process 16). */
  writeStdin(spawn: number, text: string): 'ok' | 'closed' | 'full' {
    const child = this.#bySpawn.get(spawn);
    const path = child?.record.pipes.stdin;
    if (child === undefined || child.hasEnded || path === undefined) return 'closed';
    try {
      child.stdin ??= new StdinWriter(path);
    } catch {
      return 'closed';
    }
    return child.stdin.write(text);
  }

  /** Waits until no pipe of an ended child is read any more, at most as long as `giveUp` is not called. */
  idle(): { readonly done: Promise<void>; readonly giveUp: () => void } {
    let finish = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
      if (this.#bySpawn.size === 0) resolve();
      else this.#onIdle = resolve;
    });
    return {
      done,
      giveUp: () => {
        for (const child of [...this.#bySpawn.values()]) this.#letGo(child);
        finish();
      },
    };
  }

  /** Forgets every child of a keeper that is gone; their pipes are read on as long as they last. */
  forgetKeeper(): void {
    for (const child of this.#bySpawn.values()) child.isReleased = true;
  }

  /** Whether this child's output is being read. */
  has(spawn: number): boolean {
    return this.#bySpawn.has(spawn);
  }

  /** Stops reading everything; children live on (the keeper keeps their pipes). Idempotent. */
  close(): void {
    for (const child of this.#bySpawn.values()) {
      child.isReleased = true;
      child.stdin?.close();
      for (const capture of child.captures.values()) capture.close();
    }
    this.#bySpawn.clear();
    this.#lingering.clear();
  }

  /** Where a stream's bytes go: its file first, then syslog and, at level debug, the activity log. */
  #sink(name: NameSpec, channel: LogChannel): ByteSink {
    const { log, logs, syslog, stripAnsi: strips } = this.#options;
    const file = logs.get(name)?.[channel];
    const toSyslog = this.#options.wantsSyslog(name, channel);
    const copies = log.wants('debug');
    return (raw) => {
      const data = strips ? stripAnsi(raw) : raw;
      file?.append(data);
      if (!toSyslog && !copies) return;
      const text = Buffer.from(data).toString('utf8');
      if (toSyslog)
        syslog.write(`${name.process} ${text.trimEnd().replaceAll('\n', `\n${name.process} `)}`);
      if (copies) log.log('debug', `'${name.process}' ${channel} output:\n${text}`);
    };
  }

  #captureEnded(child: Child, channel: LogChannel): void {
    child.captures.delete(channel);
    if (child.hasEnded && child.captures.size === 0) this.#release(child);
  }

  #letGo(child: Child): void {
    for (const capture of child.captures.values()) {
      capture.drain();
      capture.close();
    }
    this.#release(child);
  }

  #release(child: Child): void {
    if (!child.isReleased) this.#options.spawner().releaseOutput(child.record.spawn);
    child.isReleased = true;
    if (this.#bySpawn.get(child.record.spawn) === child) this.#bySpawn.delete(child.record.spawn);
    const key = nameKey(child.name);
    const left = (this.#lingering.get(key) ?? []).filter((each) => each !== child);
    if (left.length === 0) this.#lingering.delete(key);
    else this.#lingering.set(key, left);
    if (this.#bySpawn.size === 0) this.#onIdle?.();
  }
}
