// `ctl start|stop|restart|signal`: one command to explicit targets, each result printed as it arrives.
// Invariant: a repetition on another controller carries the same id, so no target is acted upon twice.
import { FleetError } from '../../common/errors.js';
import type { Action, Outcome, TargetName } from '../../common/rows.js';
import { deadlineOf, readStream } from '../../common/rpc.js';
import type { SelectorIssue } from '../../common/selector.js';
import { uuidv7 } from '../../common/uuid.js';
import { actionToWire, outcomeFromWire, rowFromWire } from '../../common/wire.js';
import type { ExecuteRequest, TargetResult } from '../../proto/gen/fleetvisor/v1/control.js';
import { complainAbout, problemsJson, targetOf, type Context } from '../context.js';
import { exitOfResults, EXIT } from '../exit.js';
import { resultJson, summaryJson, type ResultLike } from '../render/json.js';
import { painted } from '../render/table.js';
import { plural, showControls } from '../render/text.js';
import { wireTarget } from './status.js';

/** Beyond the deadline that the agents keep: time for the way there and back. */
const GRACE_MS = 10_000;

export interface ActOptions {
  readonly action: Action;
  readonly selectors: readonly string[];
  /** `signal` only. */
  readonly signal: string;
  /** Given by --id, or made here. */
  readonly id: string | undefined;
  readonly ifEpoch: number;
  readonly ifSeq: number;
  readonly ifSpawn: number;
}

const DONE: Readonly<Record<Action, string>> = {
  start: 'started',
  stop: 'stopped',
  restart: 'restarted',
  signal: 'signalled',
};
const ALREADY: Readonly<Record<Action, string>> = {
  start: 'already started',
  stop: 'not running',
  restart: 'restarted already',
  signal: 'signalled already',
};

/** Returns the exit code. */
export async function runAct(context: Context, options: ActOptions): Promise<number> {
  const target = targetOf(context, options.selectors, true);
  const id = options.id ?? uuidv7(context.clock.wallMs(), context.random);
  const { ifEpoch, ifSeq, ifSpawn } = options;
  const request: ExecuteRequest = {
    id,
    action: actionToWire(options.action),
    target: wireTarget(target),
    signal: options.signal,
    deadlineMs: context.timeoutMs,
    preconditions: ifEpoch + ifSeq + ifSpawn === 0 ? undefined : { ifEpoch, ifSeq, ifSpawn },
  };
  const command = new Command(context, options.action, id);
  const timeoutMs = context.timeoutMs === 0 ? 0 : context.timeoutMs + GRACE_MS;
  try {
    await context.client().run(async (client) => {
      const call = client.execute(request, deadlineOf({ timeoutMs }));
      for await (const { body } of readStream(call, context.signal)) {
        if (body?.$case === 'resolved') command.resolved(body.value.targets, body.value.problems);
        else if (body?.$case === 'result') await command.result(body.value);
      }
    });
  } catch (error) {
    // Once the list was resolved the agents may be acting: "not reachable" would say too little.
    if (!(error instanceof FleetError) || !command.begun) throw error;
    context.out.complain(`ctl: ${error.message}`);
  }
  return command.finish();
}

/** Prints results once each, whichever controller they come from, and counts them. */
class Command {
  readonly #context: Context;
  readonly #action: Action;
  readonly #id: string;
  readonly #seen = new Set<string>();
  readonly #tally: Partial<Record<Outcome, number>> = {};
  #targets = 0;
  /** The first whose child ended at once: its log tells why. */
  #diedAtOnce: string | undefined;
  #problems: readonly SelectorIssue[] | undefined;

  constructor(context: Context, action: Action, id: string) {
    this.#context = context;
    this.#action = action;
    this.#id = id;
  }

  /** The controller took the command. */
  get begun(): boolean {
    return this.#problems !== undefined;
  }

  resolved(targets: readonly TargetName[], problems: readonly SelectorIssue[]): void {
    this.#targets = targets.length;
    if (this.#problems === undefined) complainAbout(this.#context, problems);
    this.#problems = problems;
  }

  async result(wire: TargetResult): Promise<void> {
    const result = resultFromWire(wire);
    const key = `${result.target.host}:${result.target.group}:${result.target.process}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#tally[result.outcome] = (this.#tally[result.outcome] ?? 0) + 1;
    if (result.message.startsWith('Exited too quickly')) this.#diedAtOnce ??= key;
    const { out, json } = this.#context;
    if (json) await out.json(resultJson(result, this.#id));
    else await out.line(this.#line(key, result));
  }

  #line(name: string, result: ResultLike & { readonly outcome: Outcome }): string {
    const { color } = this.#context.out;
    const shown = showControls(name);
    if (result.outcome === 'ok') return `${shown}: ${painted(DONE[this.#action], 'green', color)}`;
    if (result.outcome === 'already') return `${shown}: ${ALREADY[this.#action]}`;
    return `${shown}: ${painted('ERROR', 'red', color)} (${showControls(reasonOf(result))})`;
  }

  async finish(): Promise<number> {
    const { out, json, signal } = this.#context;
    const problems = this.#problems ?? [];
    const missing = this.#targets - this.#seen.size;
    // Without an answer nobody knows what became of a target, whether Ctrl-C or the network was the reason.
    if (missing > 0 || (signal.aborted && this.#problems === undefined)) {
      this.#tally.interrupted = (this.#tally.interrupted ?? 0) + Math.max(1, missing);
      out.complain(
        `${plural(Math.max(1, missing), 'result')} outstanding; the agents finish what they began. ` +
          `Ask again with --id ${this.#id}`,
      );
    }
    if (this.#diedAtOnce !== undefined) {
      out.complain(`what it said: ctl tail ${showControls(this.#diedAtOnce)} stderr`);
    }
    const exit = exitOfResults(this.#tally, problems.length);
    if (json) {
      const more = { id: this.#id, problems: problemsJson(problems) };
      await out.json(summaryJson(this.#targets, this.#tally, exit, more));
    } else if (this.#targets > 1) {
      const parts = Object.entries(this.#tally).map(([outcome, n]) => `${n} ${outcome}`);
      await out.line(`${this.#targets} targets: ${parts.join(', ')}`);
    } else if (this.#targets === 0 && problems.length === 0 && exit === EXIT.usage) {
      out.complain('nothing is left to act upon');
    }
    return exit;
  }
}

/** `spawn error: can't find command`, `unreachable: no session with web2`. */
function reasonOf(result: ResultLike): string {
  const what =
    result.outcome === 'failed' && result.fault !== ''
      ? result.fault.toLowerCase().replaceAll('_', ' ')
      : result.outcome;
  return result.message === '' ? what : `${what}: ${result.message}`;
}

function resultFromWire(wire: TargetResult): ResultLike & { readonly outcome: Outcome } {
  if (wire.target === undefined) {
    throw new FleetError('INTERNAL', 'the controller sent a result without a target');
  }
  return {
    target: wire.target,
    outcome: outcomeFromWire(wire.outcome),
    fault: wire.fault,
    message: wire.message,
    row: wire.row === undefined ? undefined : rowFromWire(wire.row),
    epoch: wire.epoch,
    durationMs: wire.durationMs,
  };
}
