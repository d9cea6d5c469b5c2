// One host's actions with supervisorctl's own output and exit codes (spec ctl 3-5), over XML-RPC.
// Invariant: the exit code is that of the last thing that set one; later successes do not take it back.
import { FAULTS } from '../../common/errors.js';
import { formatNameSpec } from '../../common/names.js';
import { quoteText } from '../../common/text.js';
import { XmlFault, type XmlValue } from '../../common/xmlrpc.js';
import type { Output } from '../output.js';
import { HttpError, type Connection } from './connection.js';
import { HELP, listActions } from './help.js';
import { genericError, padEnd, struct, structs, text } from './values.js';
import {
  DEAD_PROGRAM,
  SIGNAL_ERRORS,
  START_ERRORS,
  STOP_ERRORS,
  verb,
  type Verb,
} from './verbs.js';

const GENERIC = 1;
const INVALID_ARGS = 2;
const STATUS_STOPPED = 3;
const STATUS_UNKNOWN = 4;
const NOT_INSTALLED = 5;
const NOT_RUNNING = 7;

/** STOPPED, EXITED, FATAL, UNKNOWN. */
const STOPPED_CODES: ReadonlySet<number> = new Set([0, 100, 200, 1000]);
const TAIL_BYTES = 1600;

/** One row of a group call, or a fault in its place. */
interface Row {
  readonly group: string;
  readonly name: string;
  readonly status: number;
  readonly description: string;
}

export class LocalCommands {
  exit = 0;
  readonly #connection: Connection;
  readonly #out: Output;
  readonly #signal: AbortSignal;

  constructor(connection: Connection, out: Output, signal: AbortSignal) {
    this.#connection = connection;
    this.#out = out;
    this.#signal = signal;
  }

  /** Runs one command line. Unexpected errors end in the generic error line and exit 1. */
  async run(words: readonly string[]): Promise<void> {
    const [word = '', ...args] = words
      .join(' ')
      .split(/\s+/)
      .filter((part) => part !== '');
    const action = this.#actions()[word === '?' ? 'help' : word];
    if (action === undefined) {
      await this.#out.line(`*** Unknown syntax: ${words.join(' ')}`);
      this.exit = GENERIC;
      return;
    }
    try {
      await action(args);
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) {
        await this.#out.line('Server requires authentication');
      }
      await this.#out.line(genericError(error));
      this.exit = GENERIC;
    }
  }

  #actions(): Readonly<Record<string, ((args: readonly string[]) => Promise<void>) | undefined>> {
    const start = verb('start', 'started', START_ERRORS, FAULTS.ALREADY_STARTED, INVALID_ARGS);
    const stop = verb('stop', 'stopped', STOP_ERRORS, FAULTS.NOT_RUNNING, GENERIC);
    return {
      help: (args) => this.#help(args),
      status: (args) => this.#status(args),
      start: (args) => this.#named('start', args, INVALID_ARGS, () => this.#change(start, args)),
      stop: (args) => this.#named('stop', args, GENERIC, () => this.#change(stop, args)),
      restart: (args) =>
        this.#named('restart', args, GENERIC, async () => {
          await this.#change(stop, args);
          if (await this.#upcheck()) await this.#change(start, args);
        }),
      signal: (args) => this.#sendSignal(args),
      pid: (args) => this.#pid(args),
      tail: (args) => this.#tail(args),
      version: (args) => this.#version(args),
    };
  }

  /** Is there a server that we can talk to? Says what is wrong otherwise (spec ctl 3). */
  async #upcheck(): Promise<boolean> {
    const { url } = this.#connection;
    try {
      const version = String(await this.#connection.call('supervisor.getVersion'));
      if (version === '3.0') return true;
      await this.#out.line(
        'Sorry, this version of supervisorctl expects to talk to a server with API version 3.0, ' +
          `but the remote version is ${version}.`,
      );
      this.exit = NOT_INSTALLED;
      return false;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ECONNREFUSED') {
        await this.#out.line(`${url} refused connection`);
        this.exit = STATUS_UNKNOWN;
        return false;
      }
      if (code === 'ENOENT') {
        await this.#out.line(`${url} no such file`);
        this.exit = NOT_RUNNING;
        return false;
      }
      if (error instanceof XmlFault && error.faultCode === FAULTS.UNKNOWN_METHOD) {
        await this.#out.line(
          'Sorry, supervisord responded but did not recognize the supervisor namespace commands ' +
            'that supervisorctl uses to control it.  Please check that the ' +
            '[rpcinterface:supervisor] section is enabled in the configuration file ' +
            '(see sample.conf).',
        );
        this.exit = 3;
        return false;
      }
      throw error;
    }
  }

  async #help([topic]: readonly string[]): Promise<void> {
    if (topic === undefined) await this.#lines(listActions());
    else await this.#lines(HELP[topic] ?? [`*** No help on ${topic}`]);
  }

  async #lines(lines: readonly string[]): Promise<void> {
    for (const line of lines) await this.#out.line(line);
  }

  /** `Error: ...` and the help of the action. */
  async #misuse(action: string, message: string, exit: number): Promise<void> {
    this.exit = exit;
    await this.#lines([`Error: ${message}`, ...(HELP[action] ?? [])]);
  }

  async #named(
    action: string,
    names: readonly string[],
    exit: number,
    work: () => Promise<void>,
  ): Promise<void> {
    if (!(await this.#upcheck())) return;
    if (names.length > 0) await work();
    else await this.#misuse(action, `${action} requires a process name`, exit);
  }

  async #status(names: readonly string[]): Promise<void> {
    if (!(await this.#upcheck())) {
      this.exit = STATUS_UNKNOWN;
      return;
    }
    const all = structs(await this.#connection.call('supervisor.getAllProcessInfo'));
    const everything = names.length === 0 || names.includes('all');
    const shown = everything ? all : [];
    for (const name of everything ? [] : names) {
      const { group, process } = splitName(name);
      const matches = all.filter(
        (info) => info['group'] === group && (process === undefined || info['name'] === process),
      );
      shown.push(...matches);
      if (matches.length > 0) continue;
      const missing = process === undefined ? `${group}: ERROR (no such group)` : undefined;
      await this.#out.line(missing ?? `${name}: ERROR (no such process)`);
      this.exit = STATUS_UNKNOWN;
    }
    const lines = shown.map((info) => ({
      name: formatNameSpec({ group: text(info['group']), process: text(info['name']) }),
      state: text(info['statename']),
      description: text(info['description']),
    }));
    const width = Math.max(30, ...lines.map(({ name }) => [...name].length)) + 3;
    let page = '';
    for (const { name, state, description } of lines) {
      page += `${padEnd(name, width)}${padEnd(state, 10)}${description}\n`;
    }
    if (page !== '') await this.#out.write(page);
    if (shown.some((info) => STOPPED_CODES.has(Number(info['state'])))) {
      this.exit = STATUS_STOPPED;
    }
  }

  async #change(verb: Verb, names: readonly string[]): Promise<void> {
    const method = verb.name;
    if (names.includes('all')) {
      await this.#rows(verb, await this.#call(`${method}AllProcesses`, ...verb.more));
      return;
    }
    for (const name of names) {
      const { group, process } = splitName(name);
      if (process === undefined) await this.#changeGroup(verb, group);
      else await this.#changeOne(verb, name, group, process);
    }
  }

  async #changeGroup(verb: Verb, group: string): Promise<void> {
    try {
      await this.#rows(verb, await this.#call(`${verb.name}ProcessGroup`, group, ...verb.more));
    } catch (error) {
      if (!(error instanceof XmlFault) || error.faultCode !== FAULTS.BAD_NAME) throw error;
      await this.#out.line(`${group}: ERROR (no such group)`);
      this.exit = verb.noSuchGroup;
    }
  }

  async #changeOne(verb: Verb, name: string, group: string, process: string): Promise<void> {
    try {
      await this.#call(`${verb.name}Process`, name, ...verb.more);
    } catch (error) {
      if (!(error instanceof XmlFault)) throw error;
      const { faultCode: status, faultString: description } = error;
      await this.#row(verb, { group, name: process, status, description });
      return;
    }
    await this.#row(verb, { group, name: process, status: FAULTS.SUCCESS, description: 'OK' });
  }

  async #rows(verb: Verb, rows: XmlValue): Promise<void> {
    for (const row of structs(rows)) {
      await this.#row(verb, {
        group: text(row['group']),
        name: text(row['name']),
        status: Number(row['status']),
        description: text(row['description']),
      });
    }
  }

  async #row(verb: Verb, row: Row): Promise<void> {
    const name = formatNameSpec({ group: row.group, process: row.name });
    const known = verb.errors[row.status];
    if (row.status === FAULTS.SUCCESS) await this.#out.line(`${name}: ${verb.done}`);
    else if (known !== undefined) await this.#out.line(`${name}: ERROR (${known})`);
    else if (row.status === FAULTS.FAILED && verb.name !== 'start') {
      await this.#out.line(row.description);
    } else {
      throw new XmlFault(row.status, row.description);
    }
    if (row.status === FAULTS.SUCCESS || row.status === verb.harmless) return;
    this.exit = DEAD_PROGRAM.has(row.status) ? NOT_RUNNING : GENERIC;
  }

  async #sendSignal(args: readonly string[]): Promise<void> {
    if (!(await this.#upcheck())) return;
    const [signal = '', ...names] = args;
    if (names.length === 0) {
      await this.#misuse('signal', 'signal requires a signal name and a process name', GENERIC);
      return;
    }
    const how = verb('signal', 'signalled', SIGNAL_ERRORS, undefined, GENERIC, [signal]);
    await this.#change(how, names);
  }

  async #pid(names: readonly string[]): Promise<void> {
    if (!(await this.#upcheck())) return;
    if (names.length === 0) {
      await this.#out.line(text(await this.#call('getPID')));
    } else if (names.includes('all')) {
      const infos = structs(await this.#call('getAllProcessInfo'));
      for (const info of infos) await this.#out.line(text(info['pid']));
    } else {
      for (const name of names) await this.#pidOf(name);
    }
  }

  async #pidOf(name: string): Promise<void> {
    try {
      const info = struct(await this.#call('getProcessInfo', name));
      await this.#out.line(text(info['pid']));
      if (info['pid'] === 0) this.exit = NOT_RUNNING;
    } catch (error) {
      if (!(error instanceof XmlFault) || error.faultCode !== FAULTS.BAD_NAME) throw error;
      await this.#out.line(`No such process ${name}`);
      this.exit = GENERIC;
    }
  }

  async #version(args: readonly string[]): Promise<void> {
    if (args.length > 0) {
      await this.#misuse('version', 'version accepts no arguments', GENERIC);
      return;
    }
    if (!(await this.#upcheck())) return;
    await this.#out.line(text(await this.#call('getSupervisorVersion')));
  }

  async #tail(args: readonly string[]): Promise<void> {
    if (!(await this.#upcheck())) return;
    const fail = (message: string): Promise<void> => this.#misuse('tail', message, GENERIC);
    if (args.length === 0) return fail('too few arguments');
    if (args.length > 3) return fail('too many arguments');
    const [first = ''] = args;
    const modifier = first.startsWith('-') ? first : undefined;
    const [name, channelWord] = modifier === undefined ? args : args.slice(1);
    // These three come without the help text.
    const refuse = async (message: string): Promise<void> => {
      await this.#out.line(`Error: ${message}`);
      this.exit = GENERIC;
    };
    if (name === undefined) return refuse('tail requires process name');
    const channel = (channelWord ?? 'stdout').toLowerCase();
    if (channel !== 'stdout' && channel !== 'stderr') {
      return refuse(`bad channel ${quoteText(channel)}`);
    }
    if (modifier === '-f') return this.#follow(name, channel);
    const bytes = modifier === undefined ? TAIL_BYTES : Number(modifier.slice(1));
    if (modifier !== undefined && !/^--?\d+$/.test(modifier)) {
      return refuse(`bad argument ${modifier}`);
    }
    await this.#tailOnce(name, channel, bytes);
  }

  async #tailOnce(name: string, channel: 'stdout' | 'stderr', bytes: number): Promise<void> {
    const method = channel === 'stdout' ? 'readProcessStdoutLog' : 'readProcessStderrLog';
    try {
      await this.#out.line(text(await this.#call(method, name, -bytes, 0)));
    } catch (error) {
      if (!(error instanceof XmlFault)) throw error;
      const reasons: Readonly<Record<number, string>> = {
        [FAULTS.NO_FILE]: 'no log file',
        [FAULTS.FAILED]: 'unknown error reading log',
        [FAULTS.BAD_NAME]: 'no such process name',
      };
      const reason = reasons[error.faultCode];
      if (reason === undefined) throw error;
      await this.#out.line(`${name}: ERROR (${reason})`);
      this.exit = GENERIC;
    }
  }

  async #follow(name: string, channel: string): Promise<void> {
    await this.#out.line('==> Press Ctrl-C to exit <==');
    const path = `/logtail/${encodeURIComponent(name).replaceAll('%3A', ':')}/${channel}`;
    try {
      const response = await this.#connection.stream(path, this.#signal);
      for await (const chunk of response) await this.#out.write(chunk as Buffer);
    } catch (error) {
      if (this.#signal.aborted) {
        await this.#out.line('');
        return;
      }
      const url = `${this.#connection.url}${path}`;
      if (error instanceof HttpError) {
        this.#out.complain(`${url} Cannot read, status code ${error.status}`);
        return;
      }
      const { name: kind, message } = error as Error;
      this.#out.complain(`${url} Cannot connect, error: ${kind} (${message})`);
    }
  }

  #call(method: string, ...params: XmlValue[]): Promise<XmlValue> {
    return this.#connection.call(`supervisor.${method}`, ...params);
  }
}

/** `g:*` and `g:` mean the whole group: process undefined. */
function splitName(name: string): { group: string; process: string | undefined } {
  const colon = name.indexOf(':');
  if (colon < 0) return { group: name, process: name };
  const process = name.slice(colon + 1);
  const whole = process === '' || process === '*';
  return { group: name.slice(0, colon), process: whole ? undefined : process };
}
