// `ctl tail`: logs of up to 100 processes, each line with where it comes from (spec fleet 11).
// Invariants: the lines of one stream keep their order; what is missing is marked; a slow reader slows only itself.
import { FleetError } from '../../common/errors.js';
import { readStream } from '../../common/rpc.js';
import type { TargetName } from '../../common/rows.js';
import type { TailReply } from '../../proto/gen/fleetvisor/v1/control.js';
import { Channel } from '../../proto/gen/fleetvisor/v1/session.js';
import { complainAbout, problemsJson, targetOf, type Context } from '../context.js';
import { EXIT } from '../exit.js';
import { summaryJson } from '../render/json.js';
import { showControls } from '../render/text.js';
import { LineSplitter } from '../render/lines.js';
import { wireTarget } from './status.js';

export type TailPrefix = 'none' | 'host' | 'full';

export interface TailOptions {
  readonly selectors: readonly string[];
  readonly channel: 'stdout' | 'stderr';
  readonly follow: boolean;
  readonly lines: number;
  readonly bytes: number;
  /** undefined: none for one process named exactly, else full. */
  readonly prefix: TailPrefix | undefined;
  /** Control characters reach the terminal as they are. */
  readonly raw: boolean;
}

/** Returns the exit code. */
export async function runTail(context: Context, options: TailOptions): Promise<number> {
  const { out, json, signal } = context;
  const target = targetOf(context, options.selectors, false);
  const request = {
    target: wireTarget(target),
    channel: options.channel === 'stderr' ? Channel.STDERR : Channel.STDOUT,
    follow: options.follow,
    bytes: options.bytes,
    lines: options.bytes > 0 ? 0 : options.lines,
  };
  const printer = new Printer(context, options);
  let problems = 0;
  await context.client().run(async (client) => {
    try {
      for await (const reply of readStream(client.tail(request), signal)) {
        complainAbout(context, reply.problems);
        problems += reply.problems.length;
        if (json && reply.problems.length > 0)
          printer.problems.push(...problemsJson(reply.problems));
        if (reply.target !== undefined) await printer.take(reply.target, reply);
      }
    } catch (error) {
      // Another controller would repeat what was printed; say instead where the output ends.
      const lost = error instanceof FleetError && error.code === 'CONTROLLER_UNREACHABLE';
      if (!lost || printer.streams === 0) throw error;
      throw new FleetError('INTERRUPTED', `the log ends here: ${error.message}`, {
        hint: 'run the command again; bytes in between may be missing',
        cause: error,
      });
    }
  });
  await printer.flush();
  const exit = exitOf(printer, problems);
  if (json) {
    const results = { ok: printer.streams - printer.failed, failed: printer.failed };
    await out.json(summaryJson(printer.streams, results, exit, { problems: printer.problems }));
  }
  return exit;
}

function exitOf(printer: Printer, problems: number): number {
  if (problems > 0) return EXIT.usage;
  if (printer.failed === 0) return EXIT.ok;
  return printer.failed === printer.streams ? EXIT.nothingSucceeded : EXIT.partly;
}

interface Stream {
  readonly name: string;
  readonly target: TargetName;
  readonly lines: LineSplitter;
}

class Printer {
  failed = 0;
  readonly problems: Readonly<Record<string, string>>[] = [];
  readonly #context: Context;
  readonly #options: TailOptions;
  readonly #streams = new Map<string, Stream>();
  readonly #prefix: TailPrefix;

  constructor(context: Context, options: TailOptions) {
    this.#context = context;
    this.#options = options;
    this.#prefix = options.prefix ?? (namesOne(options.selectors) ? 'none' : 'full');
  }

  get streams(): number {
    return this.#streams.size;
  }

  async take(target: TargetName, reply: TailReply): Promise<void> {
    const { out } = this.#context;
    const stream = this.#stream(target);
    if (reply.gapBytes > 0) {
      await this.#lines(stream, stream.lines.flush());
      await this.#gap(stream, reply.gapBytes);
    }
    if (reply.data.length > 0) await this.#data(stream, reply.data);
    if (!reply.end) return;
    await this.#lines(stream, stream.lines.flush());
    if (reply.message !== '') {
      this.failed++;
      out.complain(`${showControls(stream.name)}: ERROR (${showControls(reply.message)})`);
    }
  }

  async flush(): Promise<void> {
    for (const stream of this.#streams.values()) await this.#lines(stream, stream.lines.flush());
  }

  #stream(target: TargetName): Stream {
    const name = `${target.host}:${target.group}:${target.process}`;
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = { name, target, lines: new LineSplitter() };
      this.#streams.set(name, stream);
    }
    return stream;
  }

  /** Bytes as they are where nobody can be harmed by them and no prefix divides them. */
  async #data(stream: Stream, data: Uint8Array): Promise<void> {
    const { out, json } = this.#context;
    const plain = !json && this.#prefix === 'none' && (!out.terminal || this.#options.raw);
    if (plain) await out.write(data);
    else await this.#lines(stream, stream.lines.push(data));
  }

  async #lines(stream: Stream, lines: readonly Uint8Array[]): Promise<void> {
    const { out, json } = this.#context;
    for (const line of lines) {
      if (json) await out.json(this.#json(stream, 0, Buffer.from(line).toString('utf8')));
      else if (out.terminal && !this.#options.raw) {
        const text = showControls(Buffer.from(line).toString('utf8'));
        await out.line(this.#label(stream) + text);
      } else {
        await out.write(Buffer.concat([Buffer.from(this.#label(stream)), line, Buffer.from('\n')]));
      }
    }
  }

  async #gap(stream: Stream, bytes: number): Promise<void> {
    const { out, json } = this.#context;
    if (json) await out.json(this.#json(stream, bytes, ''));
    else await out.line(`${this.#label(stream)}--- gap: ${bytes} bytes ---`);
  }

  #json(stream: Stream, gapBytes: number, text: string): Readonly<Record<string, unknown>> {
    const { host, group, process } = stream.target;
    const { channel } = this.#options;
    return { kind: 'log', host, group, process, channel, gap_bytes: gapBytes, text };
  }

  #label(stream: Stream): string {
    switch (this.#prefix) {
      case 'none':
        return '';
      case 'host':
        return `${stream.target.host} | `;
      case 'full':
        return `${showControls(stream.name)} | `;
    }
  }
}

/** One selector of three plain parts names exactly one stream. */
function namesOne(selectors: readonly string[]): boolean {
  const [only = ''] = selectors;
  return selectors.length === 1 && /^[^:*?[{\\@!]+:[^:*?[{\\]+:[^:*?[{\\]+$/.test(only);
}
