// A program-like section -> its processes (spec config 7.5). Pure.
// Keys are read in Supervisor's order, because the first problem is the one it reports (spec config 13).
import { expand, type ExpansionNames, type ExpansionValue } from '../../common/expand.js';
import { readEnvironment, readLogFile, readName } from '../../common/fields.js';
import type { IniSection } from '../../common/ini.js';
import { splitCommand } from '../../common/lexer.js';
import { FieldError } from '../../common/problems.js';
import { sectionSuffix, type SectionReader } from '../../common/sections.js';
import { compareText, trimBlanks } from '../../common/text.js';
import { nameAfterColon, type ParseContext } from './context.js';
import { PROGRAM } from './schema.js';
import type { CommandWords, LogFileConfig, ProcessConfig, StreamConfig } from './types.js';

type ProgramReader = SectionReader<typeof PROGRAM>;

/** Beyond this many processes of one section the file is refused; Supervisor has no limit and would not return. */
const NUMPROCS_MAX = 100_000;

/** What holds for every process of the section. */
type ProgramFrame = Omit<
  ProcessConfig,
  'name' | 'command' | 'words' | 'directory' | 'environment' | 'stdout' | 'stderr'
> & {
  readonly stdout: Pick<StreamConfig, 'captureBytesMax' | 'eventsEnabled'>;
  readonly stderr: Pick<StreamConfig, 'captureBytesMax' | 'eventsEnabled'>;
};

/**
 * Reads a section as the processes of `group`, sorted by priority and name.
 * `daemonEnvironment` lies under each process's own. What is wrong goes to the context's problems.
 */
export function parseProgram(
  context: ParseContext,
  section: IniSection,
  group: string,
  daemonEnvironment: Readonly<Record<string, string>>,
): ProcessConfig[] {
  const suffix = sectionSuffix(section);
  const headerReader = context.reader(section, PROGRAM, [], suffix);
  const header = nameAfterColon(section.name) ?? '';
  const program = headerReader.attempt('process_name', undefined, () =>
    readName(header, context.world),
  );
  if (program === undefined) return [];
  const common = new Map<string, ExpansionValue>([
    ['here', context.here],
    ['program_name', program],
    ['host_node_name', context.world.hostName],
    ['group_name', group],
  ]);
  const reader = context.reader(section, PROGRAM, [common], suffix);
  const { frame, numprocs, first, nameTemplate } = parseFrame(
    context,
    reader,
    section,
    group,
    program,
  );

  const processes: ProcessConfig[] = [];
  const own = new Map<string, ExpansionValue>();
  for (let number = first; number < first + Math.min(numprocs, NUMPROCS_MAX); number++) {
    // Keys of the process before stay known unless the daemon's environment has them: so did 4.2.5.
    for (const key of own.keys()) if (context.envNames.has(key)) own.delete(key);
    const counters = new Map([
      ['process_num', number],
      ['numprocs', numprocs],
    ]);
    const names = [context.envNames, common, counters, own];
    const failedBefore = reader.failed;
    reader.failed = false;
    const process = parseProcess(
      context,
      reader,
      frame,
      nameTemplate,
      names,
      own,
      daemonEnvironment,
    );
    const failed = reader.failed;
    reader.failed ||= failedBefore;
    if (failed) break;
    processes.push(process);
  }
  return processes.sort((a, b) => a.priority - b.priority || compareText(a.name, b.name));
}

/** The keys that are read once for all processes, and the checks across them. */
function parseFrame(
  context: ParseContext,
  reader: ProgramReader,
  section: IniSection,
  group: string,
  program: string,
): { frame: ProgramFrame; numprocs: number; first: number; nameTemplate: string } {
  const priority = reader.get('priority');
  const autostart = reader.get('autostart');
  const autorestart = reader.get('autorestart');
  const startMs = reader.get('startsecs');
  const startRetries = reader.get('startretries');
  const stopSignal = reader.get('stopsignal');
  const stopWaitMs = reader.get('stopwaitsecs');
  const stopAsGroup = reader.get('stopasgroup');
  const killAsGroup = reader.get('killasgroup') ?? stopAsGroup;
  const exitCodes = reader.get('exitcodes');
  const redirectStderr = reader.get('redirect_stderr');
  const numprocs = reader.get('numprocs');
  const first = reader.get('numprocs_start');
  const stdout = {
    captureBytesMax: reader.get('stdout_capture_maxbytes'),
    eventsEnabled: reader.get('stdout_events_enabled'),
  };
  const stderr = {
    captureBytesMax: reader.get('stderr_capture_maxbytes'),
    eventsEnabled: reader.get('stderr_events_enabled'),
  };
  const serverUrl = reader.get('serverurl');
  const user = reader.get('user');
  const umask = reader.get('umask');
  // Checked and kept unexpanded: the expansion differs from process to process.
  const template = reader.raw('process_name') ?? PROGRAM.process_name.fallback;
  const nameTemplate = reader.attempt('process_name', '', () => readName(template, context.world));

  if (numprocs > 1 && !nameTemplate.includes('%(process_num)')) {
    reader.fail(
      reader.raw('process_name') === undefined ? 'numprocs' : 'process_name',
      '%(process_num) must be present within process_name when numprocs > 1',
      'e.g. process_name = %(program_name)s_%(process_num)02d',
    );
  }
  if (numprocs > NUMPROCS_MAX) {
    reader.fail('numprocs', `numprocs is above the limit of ${NUMPROCS_MAX}`);
  }
  if (stopAsGroup && !killAsGroup) {
    reader.fail(
      'killasgroup',
      'Cannot set stopasgroup=true and killasgroup=false',
      'remove killasgroup, it follows stopasgroup',
    );
  }
  const frame: ProgramFrame = {
    group,
    program,
    source: { file: section.file, line: section.line, section: section.name },
    umask,
    priority,
    autostart,
    autorestart,
    startMs,
    startRetries,
    exitCodes,
    stopSignal,
    stopWaitMs,
    stopAsGroup,
    killAsGroup,
    user,
    redirectStderr,
    stdout,
    stderr,
    serverUrl:
      serverUrl !== undefined && trimBlanks(serverUrl).toUpperCase() === 'AUTO'
        ? undefined
        : serverUrl,
  };
  return { frame, numprocs, first, nameTemplate };
}

/** The keys that may differ from process to process. Adds the process's own variables to `own`. */
function parseProcess(
  context: ParseContext,
  reader: ProgramReader,
  frame: ProgramFrame,
  nameTemplate: string,
  names: ExpansionNames,
  own: Map<string, ExpansionValue>,
  daemonEnvironment: Readonly<Record<string, string>>,
): ProcessConfig {
  const environment = reader.attempt('environment', {}, () =>
    readEnvironment(expand(reader.raw('environment') ?? '', names, 'environment'), context.world),
  );
  for (const [key, value] of Object.entries(environment)) own.set(`ENV_${key}`, value);
  const directory = reader.get('directory', names);
  const stdout = parseStream(context, reader, 'stdout', frame.stdout, names);
  const stderr = parseStream(context, reader, 'stderr', frame.stderr, names);
  if (frame.redirectStderr && (stderr.logfile.kind === 'path' || stderr.logfile.kind === 'empty')) {
    context.warnings.push(
      `For [${reader.section.name}], redirect_stderr=true but stderr_logfile has also been set to a ` +
        'filename, the filename has been ignored',
    );
  }
  const command = reader.get('command', names);
  if (command === undefined && reader.raw('command') === undefined) {
    reader.fail(
      'command',
      `program section ${reader.section.name} does not specify a command`,
      'add command = /path/to/program',
    );
  }
  const name = reader.attempt('process_name', '', () =>
    expand(nameTemplate, names, 'process_name'),
  );
  return {
    ...frame,
    name,
    command: command ?? '',
    words: commandWords(command ?? ''),
    directory,
    stdout,
    stderr: frame.redirectStderr ? { ...stderr, logfile: { kind: 'none' } } : stderr,
    environment: { ...daemonEnvironment, ...environment },
  };
}

function parseStream(
  context: ParseContext,
  reader: ProgramReader,
  channel: 'stdout' | 'stderr',
  frame: Pick<StreamConfig, 'captureBytesMax' | 'eventsEnabled'>,
  names: ExpansionNames,
): StreamConfig {
  const key = `${channel}_logfile` as const;
  const raw = reader.raw(key);
  // Expanded twice, the second time under the key's bare name (spec config 4).
  const file =
    raw === undefined
      ? PROGRAM[key].fallback
      : reader.attempt(key, PROGRAM[key].fallback, () => {
          const once = expand(raw, names, `${reader.section.name}.${key}`);
          return readLogFile(expand(once, names, key), context.world);
        });
  const logBackups = reader.get(`${channel}_logfile_backups`, names);
  const logBytesMax = reader.get(`${channel}_logfile_maxbytes`, names);
  const syslog = reader.get(`${channel}_syslog`, names);
  if (file.kind === 'syslog') {
    context.warnings.push(
      `For [${reader.section.name}], ${key}=syslog but this is deprecated and will be removed.  ` +
        `Use ${channel}_syslog=true to enable syslog instead.`,
    );
  }
  if (file.kind === 'auto' && logBytesMax === 0) {
    context.warnings.push(
      `For [${reader.section.name}], AUTO logging used for ${key} without rollover, ` +
        'set maxbytes > 0 to avoid filling up filesystem unintentionally',
    );
  }
  const logfile: LogFileConfig =
    file.kind === 'path' ? file : { kind: file.kind === 'syslog' ? 'none' : file.kind };
  return { ...frame, logfile, logBackups, logBytesMax, syslog: syslog || file.kind === 'syslog' };
}

function commandWords(command: string): CommandWords {
  try {
    return { kind: 'words', argv: splitCommand(command) };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { kind: 'unparsable', reason: error.message };
  }
}
