// Program-like sections -> groups, in Supervisor's order of reading (spec config 6, 7.6 to 7.8, 13). Pure.
import type { ExpansionNames } from '../../common/expand.js';
import { parseInteger, readName, readPort } from '../../common/fields.js';
import type { IniSection } from '../../common/ini.js';
import { isAbsolutePath, normalizePath } from '../../common/paths.js';
import { FieldError } from '../../common/problems.js';
import { nearestName, type SectionReader, type SectionTable } from '../../common/sections.js';
import { expandHome } from '../../common/fields.js';
import { compareText, quoteText } from '../../common/text.js';
import { nameAfterColon, type ParseContext } from './context.js';
import { normalizeFactory } from './daemon.js';
import { EVENT_TYPES } from './eventtypes.js';
import { parseProgram } from './program.js';
import { FCGI, GROUP, LISTENER, PROGRAM } from './schema.js';
import type {
  FcgiGroupConfig,
  FcgiSocketConfig,
  GroupConfig,
  ListenerGroupConfig,
  OwnerRef,
  PlainGroupConfig,
  ProcessConfig,
  UserRef,
} from './types.js';

type Environment = Readonly<Record<string, string>>;

/** All groups as declared, sorted by priority and name; duplicates included. */
export function parseGroups(context: ParseContext, environment: Environment): GroupConfig[] {
  const claimed = new Set<string>();
  const groups: GroupConfig[] = [];
  for (const section of context.sectionsWith('group:')) {
    groups.push(...parseGroup(context, section, claimed, environment));
  }
  for (const section of context.sectionsWith('program:')) {
    if (!claimed.has(section.name)) groups.push(...parseOwnGroup(context, section, environment));
  }
  for (const section of context.sectionsWith('eventlistener:')) {
    groups.push(parseListener(context, section, environment));
  }
  for (const section of context.sectionsWith('fcgi-program:')) {
    if (!claimed.has(section.name)) groups.push(...parseFcgi(context, section, environment));
  }
  return groups.sort((a, b) => a.priority - b.priority || compareText(a.name, b.name));
}

/**
 * The groups that run: of equal names the first, and of equal process names in a group the last definition in the
 * place of the first.
 */
export function runnableGroups(declared: readonly GroupConfig[]): GroupConfig[] {
  const groups = new Map<string, GroupConfig>();
  for (const group of declared) {
    if (groups.has(group.name)) continue;
    const processes = new Map(group.processes.map((process) => [process.name, process]));
    const same = processes.size === group.processes.length;
    groups.set(group.name, same ? group : { ...group, processes: [...processes.values()] });
  }
  return [...groups.values()];
}

/** The section's name after the colon, checked; undefined (and a problem) when it is no name. */
function headerName<Table extends SectionTable>(
  context: ParseContext,
  reader: SectionReader<Table>,
): string | undefined {
  const text = nameAfterColon(reader.section.name) ?? '';
  try {
    return readName(text, context.world);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    reader.fail(undefined, error.message, error.advice);
    return undefined;
  }
}

function parseGroup(
  context: ParseContext,
  section: IniSection,
  claimed: Set<string>,
  environment: Environment,
): PlainGroupConfig[] {
  const reader = context.reader(section, GROUP, [context.hereNames]);
  const name = headerName(context, reader);
  const programs = reader.get('programs');
  const priority = reader.get('priority');
  const { sections } = context.document;
  const processes: ProcessConfig[] = [];
  // Supervisor blames the member before for an unknown second one; so does the text, not the place.
  let blamed = section.name;
  for (const program of programs) {
    const plain = sections.get(`program:${program}`);
    const fcgi = sections.get(`fcgi-program:${program}`);
    if (plain !== undefined && fcgi !== undefined) {
      const text = `[${blamed}] name ${program} is ambiguous (exists as program and fcgi-program)`;
      reader.fail('programs', text, 'rename one of them', program);
      continue;
    }
    const member = plain ?? fcgi;
    if (member === undefined) {
      const text = `[${blamed}] names unknown program or fcgi-program ${program}`;
      reader.fail('programs', text, unknownMemberAdvice(context, program), program);
      continue;
    }
    blamed = member.name;
    claimed.add(member.name);
    processes.push(...parseProgram(context, member, name ?? '', environment));
  }
  return name === undefined ? [] : [{ kind: 'group', name, priority, processes }];
}

function unknownMemberAdvice(context: ParseContext, program: string): string {
  const names = [...context.document.sections.keys()]
    .filter((name) => name.startsWith('program:') || name.startsWith('fcgi-program:'))
    .map((name) => nameAfterColon(name) ?? '');
  const near = nearestName(program, names);
  if (near !== undefined) return `did you mean ${near}?`;
  return program === '' ? 'remove the extra comma' : `add a section [program:${program}]`;
}

function parseOwnGroup(
  context: ParseContext,
  section: IniSection,
  environment: Environment,
): PlainGroupConfig[] {
  const reader = context.reader(section, PROGRAM, [context.hereNames]);
  const name = headerName(context, reader);
  if (name === undefined) return [];
  const priority = reader.get('priority');
  const processes = parseProgram(context, section, name, environment);
  return [{ kind: 'program', name, priority, processes }];
}

const RESULT_HANDLER = 'supervisor.dispatchers:default_handler';

function parseListener(
  context: ParseContext,
  section: IniSection,
  environment: Environment,
): ListenerGroupConfig {
  const reader = context.reader(section, LISTENER, [context.hereNames]);
  // Unlike other names this one is neither trimmed nor checked; that of its processes is.
  const name = nameAfterColon(section.name) ?? '';
  const priority = reader.get('priority');
  const bufferSize = reader.get('buffer_size');
  if (bufferSize < 1) {
    const text = `[${section.name}] section sets invalid buffer_size (${bufferSize})`;
    reader.fail('buffer_size', text, 'give 1 or more');
  }
  const handler = reader.get('result_handler');
  if (normalizeFactory(handler) !== RESULT_HANDLER) {
    reader.fail(
      'result_handler',
      `${handler} cannot be resolved within [${section.name}]`,
      `only ${RESULT_HANDLER} is built in`,
    );
  }
  const events = parseEvents(reader);
  if (reader.get('redirect_stderr')) {
    reader.fail(
      'redirect_stderr',
      `[${section.name}] section sets redirect_stderr=true but this is not allowed because it will ` +
        'interfere with the eventlistener protocol',
    );
  }
  const processes = parseProgram(context, section, name, environment);
  return {
    kind: 'eventlistener',
    name,
    priority,
    processes,
    bufferSize,
    events,
    resultHandler: RESULT_HANDLER,
  };
}

function parseEvents(reader: SectionReader<typeof LISTENER>): readonly string[] {
  const events = new Set(reader.get('events').map((event) => event.toUpperCase()));
  const { name } = reader.section;
  if (events.size === 0) {
    reader.fail('events', `[${name}] section requires an "events" line`, 'e.g. events = TICK_60');
  }
  for (const event of events) {
    if (EVENT_TYPES.has(event)) continue;
    const near = nearestName(event, [...EVENT_TYPES]);
    const advice = near === undefined ? undefined : `did you mean ${near}?`;
    reader.fail('events', `Unknown event type ${event} in [${name}] events`, advice, event);
  }
  return [...events].sort(compareText);
}

function parseFcgi(
  context: ParseContext,
  section: IniSection,
  environment: Environment,
): FcgiGroupConfig[] {
  const reader = context.reader(section, FCGI, [context.hereNames]);
  const name = headerName(context, reader);
  if (name === undefined) return [];
  const priority = reader.get('priority');
  const user = reader.get('user');
  const backlog = reader.get('socket_backlog');
  const owner = reader.get('socket_owner');
  const mode = reader.get('socket_mode');
  const names: ExpansionNames = [
    context.envNames,
    context.hereNames,
    new Map([['program_name', name]]),
  ];
  const text = reader.get('socket', names);
  let socket: FcgiSocketConfig | undefined;
  if (text === undefined || text === '') {
    reader.fail(
      'socket',
      `[${section.name}] section requires a "socket" line`,
      'e.g. socket = unix:///run/app.sock',
    );
  } else {
    socket = reader.attempt('socket', undefined, () => {
      try {
        return parseSocket(context, text, { user, backlog, owner, mode });
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        throw new FieldError(`${error.message} in [${section.name}] socket`, error.advice);
      }
    });
  }
  const processes = parseProgram(context, section, name, environment);
  return socket === undefined ? [] : [{ kind: 'fcgi', name, priority, processes, socket }];
}

interface SocketOptions {
  readonly user: UserRef | undefined;
  readonly backlog: number | undefined;
  readonly owner: OwnerRef | undefined;
  readonly mode: number | undefined;
}

const TCP_SOCKET = /^tcp:\/\/([^\s:]+):(\p{Nd}+)$/u;
const FORMS = 'write unix:///PATH or tcp://HOST:PORT';

function parseSocket(
  context: ParseContext,
  text: string,
  { user, backlog, owner, mode }: SocketOptions,
): FcgiSocketConfig {
  const { world } = context;
  if (text.startsWith('unix://')) {
    const written = text.slice('unix://'.length);
    if (!isAbsolutePath(written)) {
      const pair = `'Unix socket path %s is not an absolute path', ${quoteText(written)}`;
      throw new FieldError(`(${pair})`, 'write unix:/// and the path from the root');
    }
    const path = normalizePath(world.cwd, expandHome(written, world));
    return {
      family: 'unix',
      url: `unix://${path}`,
      path,
      owner: owner ?? programOwner(user, world.uid),
      mode: mode ?? 0o700,
      backlog,
    };
  }
  if (owner !== undefined || mode !== undefined) {
    throw new FieldError(
      'socket_owner and socket_mode params should only be used with a Unix domain socket',
    );
  }
  const match = TCP_SOCKET.exec(text);
  if (match === null) throw new FieldError(`('Bad socket format %s', ${quoteText(text)})`, FORMS);
  const host = (match[1] as string).toLowerCase();
  const port = readPort(String(parseInteger(match[2] as string)), world);
  return { family: 'inet', url: `tcp://${host}:${port}`, host, port, backlog };
}

/** By default the socket belongs to the program's user, when that is not the daemon's. */
function programOwner(user: UserRef | undefined, daemonUid: number): OwnerRef | undefined {
  if (user === undefined || user.uid === daemonUid) return undefined;
  return {
    user: { text: user.text, id: user.uid },
    group: { text: String(user.gid), id: user.gid },
  };
}
