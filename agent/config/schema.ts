// Every key of every section of a supervisord.conf: how it is read, its default, what it is for (spec config 7).
// The reader (parse.ts and its neighbours), the hints and docs/configuration.md all come from these tables.
import {
  readAutoRestart,
  readBoolean,
  readBytes,
  readDirectory,
  readEnvironment,
  readExitCodes,
  readFileInDirectory,
  readHostPorts,
  readInetAddress,
  readInteger,
  readLabels,
  readList,
  readLogFile,
  readLogLevel,
  readName,
  readOctal,
  readOwner,
  readSeconds,
  readSignal,
  readText,
  readUser,
  type LogFileField,
  type Reader,
} from '../../common/fields.js';
import { FieldError } from '../../common/problems.js';
import {
  beginning,
  exactly,
  field,
  optional,
  ours,
  prefixed,
  type SectionKind,
  type SectionTable,
} from '../../common/sections.js';
import { CONTROL_PLUGIN, CONTROL_PROGRAM } from '../../common/ctlsection.js';

/** The same reader with Supervisor's one text for whatever is wrong. */
function blaming<T>(read: Reader<T>, prefix: string): Reader<T> {
  return (text, world) => {
    try {
      return read(text, world);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      throw new FieldError(`${prefix} ${text}`, error.advice ?? error.message);
    }
  };
}

const readBacklog: Reader<number> = (text, world) => {
  const backlog = readInteger(text, world);
  if (backlog >= 1 && backlog <= 65535) return backlog;
  throw new FieldError(`Invalid socket_backlog value ${backlog}`, 'give 1 to 65535');
};

const MEGABYTES_50 = 50 * 1024 * 1024;
const AUTO: LogFileField = { kind: 'auto' };

/** `[supervisord]` */
export const DAEMON = {
  minfds: field(
    readInteger,
    1024,
    '1024',
    'descriptors that must be available; the soft limit is raised to it',
  ),
  minprocs: field(
    readInteger,
    200,
    '200',
    'processes that must be available; the soft limit is raised to it',
  ),
  directory: optional(readDirectory, 'directory to change to when daemonising'),
  user: optional(readText, 'user to become before anything is opened'),
  umask: field(readOctal, 0o022, '022', 'file mode mask, applied when daemonising'),
  logfile: field(
    readFileInDirectory,
    'supervisord.log',
    'supervisord.log',
    'activity log; `syslog` for syslog',
  ),
  logfile_maxbytes: field(
    readBytes,
    MEGABYTES_50,
    '50MB',
    'size at which the activity log is rotated; 0: never',
  ),
  logfile_backups: field(readInteger, 10, '10', 'rotated activity logs to keep; 0: truncate'),
  loglevel: field(
    readLogLevel,
    'info',
    'info',
    'critical, error, warn, info, debug, trace or blather',
  ),
  pidfile: field(
    readFileInDirectory,
    'supervisord.pid',
    'supervisord.pid',
    "file that holds the daemon's pid",
  ),
  identifier: field(
    readText,
    'supervisor',
    'supervisor',
    'name of this supervisor; in a fleet, of this host',
  ),
  nodaemon: field(readBoolean, false, 'false', 'stay in the foreground'),
  silent: field(readBoolean, false, 'false', 'do not echo the activity log to stdout'),
  childlogdir: optional(readDirectory, 'home of AUTO logs', '$TMPDIR or /tmp'),
  nocleanup: field(readBoolean, false, 'false', 'keep old AUTO logs at start'),
  strip_ansi: field(readBoolean, false, 'false', "remove ANSI escapes from children's logs"),
  environment: field(readText, '', '', 'KEY="value",… added to every child'),
} satisfies SectionTable;

/** `[program:x]`, and the part that fcgi-programs and event listeners share with it. */
export const PROGRAM = {
  priority: field(readInteger, 999, '999', 'start and stop order: lower starts first'),
  autostart: field(readBoolean, true, 'true', 'start with the daemon'),
  autorestart: field(
    readAutoRestart,
    'unexpected',
    'unexpected',
    'restart after an exit: true, false or unexpected',
  ),
  startsecs: field(readSeconds, 1000, '1', 'seconds a process must stay up to count as RUNNING'),
  startretries: field(readInteger, 3, '3', 'retries after a failed start before FATAL'),
  stopsignal: field(
    readSignal,
    { number: 15, name: 'SIGTERM' },
    'TERM',
    'signal that asks the process to stop',
  ),
  stopwaitsecs: field(readSeconds, 10_000, '10', 'seconds from the stop signal to SIGKILL'),
  stopasgroup: field(readBoolean, false, 'false', 'send the stop signal to the process group'),
  killasgroup: optional(readBoolean, 'send SIGKILL to the process group', 'as stopasgroup'),
  exitcodes: field(readExitCodes, [0], '0', 'expected exit codes'),
  redirect_stderr: field(readBoolean, false, 'false', 'stderr joins stdout'),
  numprocs: field(readInteger, 1, '1', 'how many processes of this program'),
  numprocs_start: field(readInteger, 0, '0', 'first process_num'),
  environment: field(readEnvironment, {}, '', 'KEY="value",… for this program'),
  stdout_capture_maxbytes: field(
    readBytes,
    0,
    '0',
    'capture buffer between communication tokens; 0: off',
  ),
  stdout_events_enabled: field(readBoolean, false, 'false', 'emit PROCESS_LOG_STDOUT events'),
  stderr_capture_maxbytes: field(
    readBytes,
    0,
    '0',
    'capture buffer between communication tokens; 0: off',
  ),
  stderr_events_enabled: field(readBoolean, false, 'false', 'emit PROCESS_LOG_STDERR events'),
  serverurl: optional(readText, 'SUPERVISOR_SERVER_URL of the child', 'AUTO'),
  user: optional(readUser, 'user to run as'),
  umask: optional(readOctal, 'file mode mask of the child', 'inherited'),
  process_name: field(
    readName,
    '%(program_name)s',
    '%(program_name)s',
    'name of each process; needs process_num when numprocs > 1',
  ),
  directory: optional(readText, 'directory to run in', "the daemon's"),
  stdout_logfile: field(readLogFile, AUTO, 'AUTO', 'path, AUTO, NONE or SYSLOG'),
  stdout_logfile_backups: field(readInteger, 10, '10', 'rotated files to keep; 0: truncate'),
  stdout_logfile_maxbytes: field(
    readBytes,
    MEGABYTES_50,
    '50MB',
    'size at which to rotate; 0: never',
  ),
  stdout_syslog: field(readBoolean, false, 'false', 'also send to syslog'),
  stderr_logfile: field(readLogFile, AUTO, 'AUTO', 'path, AUTO, NONE or SYSLOG'),
  stderr_logfile_backups: field(readInteger, 10, '10', 'rotated files to keep; 0: truncate'),
  stderr_logfile_maxbytes: field(
    readBytes,
    MEGABYTES_50,
    '50MB',
    'size at which to rotate; 0: never',
  ),
  stderr_syslog: field(readBoolean, false, 'false', 'also send to syslog'),
  command: optional(readText, 'the command to run; required', 'required'),
} satisfies SectionTable;

/** `[fcgi-program:x]`: what it has besides a program's keys. */
export const FCGI = {
  ...PROGRAM,
  socket_backlog: optional(readBacklog, 'listen backlog, 1 to 65535', 'system maximum'),
  socket_owner: optional(
    blaming(readOwner, 'Invalid socket_owner value'),
    'user[:group] that owns the unix socket',
    "the program's user",
  ),
  socket_mode: optional(
    blaming(readOctal, 'Invalid socket_mode value'),
    'mode of the unix socket',
    '0700',
  ),
  socket: optional(readText, 'unix:///PATH or tcp://HOST:PORT; required', 'required'),
} satisfies SectionTable;

/** `[eventlistener:x]`: what it has besides a program's keys. Its group's priority defaults to -1. */
export const LISTENER = {
  ...PROGRAM,
  priority: field(readInteger, -1, '-1', 'start and stop order of the group; of its processes 999'),
  buffer_size: field(
    readInteger,
    10,
    '10',
    'events that wait while all listeners are busy, at least 1',
  ),
  result_handler: field(
    readText,
    'supervisor.dispatchers:default_handler',
    'supervisor.dispatchers:default_handler',
    'only the default is supported',
  ),
  events: field(readList, [], 'required', 'event types to receive; required'),
} satisfies SectionTable;

/** `[group:x]` */
export const GROUP = {
  programs: field(readList, [], '', 'members, separated by commas'),
  priority: field(readInteger, 999, '999', 'start and stop order of the group'),
} satisfies SectionTable;

const CREDENTIALS = {
  username: optional(readText, 'user name for HTTP authentication'),
  password: optional(readText, 'password, clear or {SHA}HEX'),
} satisfies SectionTable;

/** `[inet_http_server]` */
export const INET_SERVER = {
  ...CREDENTIALS,
  port: optional(readInetAddress, 'PORT, *:PORT or HOST:PORT; required', 'required'),
  insecure_remote: ours(
    field(
      readBoolean,
      false,
      'false',
      'serve everything on a non-loopback address without credentials',
    ),
  ),
} satisfies SectionTable;

/** `[unix_http_server]` */
export const UNIX_SERVER = {
  file: optional(readText, 'path of the socket; required', 'required'),
  ...CREDENTIALS,
  chown: optional(
    blaming(readOwner, 'Invalid sockchown value'),
    'user[:group] that owns the socket',
    'unchanged',
  ),
  chmod: field(blaming(readOctal, 'Invalid chmod value'), 0o700, '0700', 'mode of the socket'),
} satisfies SectionTable;

/** `[rpcinterface:x]`; every other key is an option of the factory. */
export const RPC_INTERFACE = {
  'supervisor.rpcinterface_factory': optional(
    readText,
    'only supervisor.rpcinterface:make_main_rpcinterface; required',
    'required',
  ),
} satisfies SectionTable;

/** `[include]` */
export const INCLUDE = {
  files: optional(
    readText,
    'patterns of further files, relative to this one; required',
    'required',
  ),
} satisfies SectionTable;

/** `[fleet]`, ours: stock supervisord ignores it. */
export const FLEET = {
  controllers: ours(
    optional(readHostPorts, 'controllers to join, HOST:PORT,…; required', 'required'),
  ),
  nats: ours(field(readList, [], '', 'bus addresses; by default the controller says which')),
  ca: ours(optional(readText, "certificate of the fleet's authority, PEM; required", 'required')),
  cert: ours(optional(readText, "this host's certificate, PEM; required", 'required')),
  key: ours(optional(readText, "this host's private key, PEM; required", 'required')),
  labels: ours(field(readLabels, {}, '', 'key=value,… to select this host by')),
  state_dir: ours(optional(readText, 'where state is kept', '/var/lib/fleetvisor/ID')),
} satisfies SectionTable;

/** All kinds of sections of a supervisord.conf, in the order of the documentation. */
export const SECTION_KINDS: readonly SectionKind[] = [
  beginning('unix_http_server', UNIX_SERVER),
  beginning('inet_http_server', INET_SERVER),
  exactly('supervisord', DAEMON),
  exactly('supervisorctl', CONTROL_PROGRAM),
  prefixed('program:', PROGRAM),
  prefixed('fcgi-program:', FCGI),
  prefixed('eventlistener:', LISTENER),
  prefixed('group:', GROUP),
  prefixed('rpcinterface:', RPC_INTERFACE, true),
  prefixed('ctlplugin:', CONTROL_PLUGIN, true),
  exactly('include', INCLUDE),
  exactly('fleet', FLEET),
];
