// `ctl restart --rolling` and `ctl rollout list|watch|abort`: a rollout lives in the fleet, a terminal only watches.
// Invariant: Ctrl-C detaches and never aborts (spec fleet D38).
import { callUnary, readStream } from '../../common/rpc.js';
import type { Action } from '../../common/rows.js';
import { uuidv7 } from '../../common/uuid.js';
import { actionFromWire, actionToWire } from '../../common/wire.js';
import type { RolloutTarget, RolloutUpdate } from '../../proto/gen/fleetvisor/v1/control.js';
import { complainAbout, problemsJson, refuseScope, targetOf, type Context } from '../context.js';
import { EXIT, exitOfRollout } from '../exit.js';
import { rolloutJson, summaryJson } from '../render/json.js';
import { painted, renderTable, type Paint } from '../render/table.js';
import { formatAge, plural, showControls } from '../render/text.js';
import { wireTarget } from './status.js';

const TIMEOUT_MS = 15_000;

export interface RolloutOptions {
  readonly action: Action;
  readonly selectors: readonly string[];
  /** Targets at once; 0: the percentage. */
  readonly batch: number;
  readonly batchPercent: number;
  readonly soakMs: number;
  readonly maxFailures: number;
  readonly unreachable: 'fail' | 'skip';
  readonly id: string | undefined;
}

/** Starts a rollout and watches it. Returns the exit code. */
export async function runRolling(context: Context, options: RolloutOptions): Promise<number> {
  const target = targetOf(context, options.selectors, true);
  const id = options.id ?? uuidv7(context.clock.wallMs(), context.random);
  const { batch, batchPercent, soakMs, maxFailures, unreachable } = options;
  const request = {
    id,
    action: actionToWire(options.action),
    target: wireTarget(target),
    batch,
    batchPercent,
    soakMs,
    maxFailures,
    unreachable,
  };
  const limits = { timeoutMs: context.timeoutMs || TIMEOUT_MS };
  const reply = await context
    .client()
    .run((client) => callUnary(client.startRollout.bind(client), request, limits));
  complainAbout(context, reply.problems);
  const started = reply.rollout;
  if (reply.problems.length > 0 && (started === undefined || started.targets.length === 0)) {
    if (context.json) {
      const more = { id, problems: problemsJson(reply.problems) };
      await context.out.json(summaryJson(0, {}, EXIT.usage, more));
    }
    return EXIT.usage;
  }
  if (!context.json) {
    const targets = plural(started?.targets.length ?? 0, 'target');
    const batches = plural(started?.batches ?? 0, 'batch', 'batches');
    await context.out.line(`rollout ${id}: ${targets} in ${batches}`);
  }
  const exit = await watch(context, id);
  return reply.problems.length > 0 && exit === EXIT.ok ? EXIT.usage : exit;
}

/** `ctl rollout watch ID`. */
export async function runWatch(context: Context, id: string): Promise<number> {
  refuseScope(context, 'rollout watch', []);
  return watch(context, id);
}

async function watch(context: Context, id: string): Promise<number> {
  const { out, json, signal } = context;
  const progress = new Progress();
  await context.client().run(async (client) => {
    for await (const update of readStream(client.watchRollout({ id }), signal)) {
      const lines = progress.apply(update);
      if (json) await out.json(rolloutJson(update));
      else for (const line of lines) await out.line(paintLine(line, out.color));
      if (exitOfRollout(update.state) !== undefined) return;
    }
  });
  const exit = exitOfRollout(progress.state);
  if (exit === undefined) {
    out.complain(
      signal.aborted
        ? `detached; the rollout goes on\n  watch it: ctl rollout watch ${id}\n  stop it:  ctl rollout abort ${id}`
        : `the watch ended before the rollout; look again with 'ctl rollout watch ${id}'`,
    );
  }
  const code = exit ?? EXIT.outcomeUnknown;
  if (json) await out.json(summaryJson(progress.targets, progress.tally(), code, { id }));
  else if (exit !== undefined) {
    // What was left alone matters most when it went wrong.
    const parts = Object.entries(progress.tally()).map(
      ([state, n]) => `${n} ${state === 'pending' ? 'not begun' : state}`,
    );
    if (parts.length > 0)
      await out.line(`${plural(progress.targets, 'target')}: ${parts.join(', ')}`);
  }
  return code;
}

/** `ctl rollout abort ID [REASON]`. */
export async function runAbort(context: Context, id: string, reason: string): Promise<number> {
  refuseScope(context, 'rollout abort', []);
  const limits = { timeoutMs: context.timeoutMs || TIMEOUT_MS };
  const reply = await context
    .client()
    .run((client) => callUnary(client.abortRollout.bind(client), { id, reason }, limits));
  const { rollout } = reply;
  if (context.json) {
    if (rollout !== undefined) await context.out.json(rolloutJson(rollout));
    await context.out.json(summaryJson(rollout?.targets.length ?? 0, {}, EXIT.ok, { id }));
  } else {
    await context.out.line(`rollout ${id}: ${rollout?.state ?? 'aborting'}`);
  }
  return EXIT.ok;
}

/** `ctl rollout list`. */
export async function runList(context: Context): Promise<number> {
  refuseScope(context, 'rollout list', []);
  const limits = { timeoutMs: context.timeoutMs || TIMEOUT_MS };
  const { rollouts } = await context
    .client()
    .run((client) => callUnary(client.listRollouts.bind(client), {}, limits));
  const { out } = context;
  if (context.json) {
    for (const rollout of rollouts) await out.json(rolloutJson(rollout));
    const states: Record<string, number> = {};
    for (const { state } of rollouts) states[state] = (states[state] ?? 0) + 1;
    await out.json(summaryJson(rollouts.length, states, EXIT.ok));
    return EXIT.ok;
  }
  const nowMs = context.clock.wallMs();
  const rows = rollouts.map((rollout) => [
    { text: rollout.id },
    { text: actionFromWire(rollout.action) ?? '' },
    paintedState(rollout.state),
    { text: `batch ${rollout.batch}/${rollout.batches}` },
    { text: plural(rollout.targets.length, 'target') },
    { text: rollout.startedWallMs > 0 ? `${formatAge(nowMs - rollout.startedWallMs)} ago` : '' },
    { text: rollout.actor === '' ? '' : `by ${rollout.actor}` },
    { text: showControls(rollout.reason) },
  ]);
  if (rows.length === 0) out.complain('no rollouts');
  for (const line of renderTable(rows, out)) await out.line(line);
  return EXIT.ok;
}

const PAINTS: Readonly<Record<string, Paint>> = {
  completed: 'green',
  done: 'green',
  failed: 'red',
  aborted: 'red',
  paused: 'yellow',
  aborting: 'yellow',
};

function paintedState(state: string): { text: string; paint?: Paint } {
  const paint = PAINTS[state];
  return paint === undefined ? { text: state } : { text: state, paint };
}

/** A line of progress; `state` is the word that colour belongs to. */
export interface ProgressLine {
  readonly before: string;
  readonly state: string;
  readonly after: string;
}

function paintLine({ before, state, after }: ProgressLine, color: boolean): string {
  return `${before}${painted(state, PAINTS[state], color)}${after}`;
}

/** Turns updates, whole or partial, into lines for what is new. */
export class Progress {
  state = '';
  #batch = 0;
  #reason = '';
  readonly #targets = new Map<string, string>();

  get targets(): number {
    return this.#targets.size;
  }

  tally(): Readonly<Record<string, number>> {
    const tally: Record<string, number> = {};
    for (const state of this.#targets.values()) tally[state] = (tally[state] ?? 0) + 1;
    return tally;
  }

  apply(update: RolloutUpdate): ProgressLine[] {
    const lines: ProgressLine[] = [];
    const ends = exitOfRollout(update.state) !== undefined;
    if (!ends) lines.push(...this.#head(update));
    // How a batch ended stands above the line that opens the next.
    const [earlier, present] = [
      update.targets.filter(({ batch }) => batch > 0 && batch < update.batch),
      update.targets.filter(({ batch }) => batch === 0 || batch >= update.batch),
    ];
    lines.push(...this.#some(earlier));
    if (update.batch !== this.#batch && update.batch > 0) {
      lines.push({ before: `batch ${update.batch}/${update.batches}`, state: '', after: '' });
      this.#batch = update.batch;
    }
    lines.push(...this.#some(present));
    if (ends) lines.push(...this.#head(update));
    return lines;
  }

  #some(targets: readonly RolloutTarget[]): ProgressLine[] {
    return targets.flatMap((target) => this.#target(target) ?? []);
  }

  /** The state of the whole, when it is new. */
  #head(update: RolloutUpdate): ProgressLine[] {
    if (update.state === this.state && update.reason === this.#reason) return [];
    this.state = update.state;
    this.#reason = update.reason;
    const after = update.reason === '' ? '' : ` (${showControls(update.reason)})`;
    return [{ before: `rollout ${update.id}: `, state: update.state, after }];
  }

  #target({ target, state, message }: RolloutTarget): ProgressLine | undefined {
    if (target === undefined) return undefined;
    const name = `${target.host}:${target.group}:${target.process}`;
    if (this.#targets.get(name) === state) return undefined;
    const isNew = !this.#targets.has(name);
    this.#targets.set(name, state);
    if (isNew && state === 'pending') return undefined;
    const why = message.startsWith(`${state}: `) ? message.slice(state.length + 2) : message;
    const after = why === '' ? '' : ` (${showControls(why)})`;
    return { before: `  ${showControls(name)}: `, state, after };
  }
}
