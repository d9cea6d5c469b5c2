// Every XML-RPC method by name: its parameters, what it returns, whether it changes anything, and what it does.
// Invariant: one table; listMethods, methodSignature and dispatch all read it (spec xmlrpc 7, 8).
import type { ProcessRow } from '../../common/rows.js';
import { encodeResponse, type XmlCall, type XmlValue } from '../../common/xmlrpc.js';
import type { ProcessLogs } from '../logs/files.js';
import type { Supervision } from '../supervision.js';
import { actOnAll, actOnGroup, actOnName, parseTarget } from './control.js';
import { RpcFault } from './faults.js';
import { checkArgs, type Args, type Method, type ParamType, type RpcContext } from './method.js';
import { processInfo } from './info.js';
import { encodeAllProcessInfo } from './infocache.js';
import {
  clearAllProcessLogs,
  clearMainLog,
  clearProcessLogs,
  readFileText,
  readProcessLog,
  tailProcessLog,
} from './logmethods.js';

const API_VERSION = '3.0';
/** The release whose behaviour this is; clients compare it (design 7 Version). */
const SUPERVISOR_VERSION = '4.2.5';

const status = (
  help: string,
  returns: string,
  call: (context: RpcContext) => XmlValue,
): Method => ({
  params: [],
  required: 0,
  returns,
  access: 'status',
  help,
  call,
});

const apiVersion = status('The version of this interface.', 'string', () => API_VERSION);
const readMain: Method = {
  params: ['int', 'int'],
  required: 2,
  returns: 'string',
  access: 'logs',
  help: 'length bytes of the activity log from offset on.',
  call: ({ mainLog }, args) => readFileText(mainLog?.path, args.int(0), args.int(1)),
};
const readLog = (channel: 'stdout' | 'stderr'): Method => ({
  params: ['string', 'int', 'int'],
  required: 3,
  returns: 'string',
  access: 'logs',
  help: `length bytes of a process's ${channel} log from offset on.`,
  call: ({ core }, args) => readProcessLog(core, channel, args.text(0), args.int(1), args.int(2)),
});
const tailLogOf = (channel: 'stdout' | 'stderr'): Method => ({
  params: ['string', 'int', 'int'],
  required: 3,
  returns: 'array',
  access: 'logs',
  help: `The last length bytes of a process's ${channel} log: [bytes, offset, overflow].`,
  call: ({ core }, args) => tailProcessLog(core, channel, args.text(0), args.int(1), args.int(2)),
});
const clearOne: Method = {
  params: ['string'],
  required: 1,
  returns: 'boolean',
  access: 'change',
  help: 'Empties the stdout and stderr logs of a process.',
  call: ({ core }, args) => clearProcessLogs(core, args.text(0)),
};
const change = (
  params: readonly ParamType[],
  required: number,
  returns: string,
  help: string,
  call: Method['call'],
): Method => ({ params, required, returns, access: 'change', help, call });

const SUPERVISOR_METHODS: Readonly<Record<string, Method>> = {
  getAPIVersion: apiVersion,
  getVersion: apiVersion,
  getSupervisorVersion: status('The Supervisor release this behaves like.', 'string', () => {
    return SUPERVISOR_VERSION;
  }),
  getIdentification: status('The identifier of this agent.', 'string', ({ core }) => {
    return core.identifier;
  }),
  getState: status('The state of the daemon.', 'struct', () => ({
    statecode: 1,
    statename: 'RUNNING',
  })),
  getPID: status('The pid of the daemon.', 'int', () => process.pid),
  getAllProcessInfo: status('Information on all processes.', 'array', (context) => {
    const times = timesOf(context);
    return context.core
      .rows()
      .map((row) =>
        processInfo(row, context.core.logsOf({ group: row.group, process: row.process }), times),
      );
  }),
  getProcessInfo: {
    params: ['string'],
    required: 1,
    returns: 'struct',
    access: 'status',
    help: 'Information on one process.',
    call: (context, args) => {
      const target = parseTarget(args.text(0));
      const row = 'process' in target ? context.core.row(target) : undefined;
      if (row === undefined || !('process' in target)) throw new RpcFault('BAD_NAME', args.text(0));
      return processInfo(row, context.core.logsOf(target), timesOf(context));
    },
  },
  readLog: readMain,
  readMainLog: readMain,
  clearLog: change([], 0, 'boolean', 'Empties the activity log.', ({ mainLog }) =>
    clearMainLog(mainLog),
  ),
  shutdown: change([], 0, 'boolean', 'Stops all processes, then the daemon.', ({ shutdown }) => {
    // The answer leaves first.
    setImmediate(shutdown);
    return true;
  }),
  restart: change([], 0, 'boolean', 'Stops all processes and starts over.', ({ restart }) => {
    try {
      restart();
    } catch (error) {
      throw new RpcFault('CANT_REREAD', (error as Error).message);
    }
    return true;
  }),
  startProcess: change(
    ['string', 'any'],
    1,
    'boolean',
    'Starts a process, or a group written as group:*.',
    ({ core }, args) => actOnName(core, { action: 'start', wait: args.flag(1) }, args.text(0)),
  ),
  startProcessGroup: change(
    ['string', 'any'],
    1,
    'array',
    'Starts all processes of a group.',
    ({ core }, args) => actOnGroup(core, { action: 'start', wait: args.flag(1) }, args.text(0)),
  ),
  startAllProcesses: change(['any'], 0, 'array', 'Starts all processes.', ({ core }, args) =>
    actOnAll(core, { action: 'start', wait: args.flag(0) }),
  ),
  stopProcess: change(
    ['string', 'any'],
    1,
    'boolean',
    'Stops a process, or a group written as group:*.',
    ({ core }, args) => actOnName(core, { action: 'stop', wait: args.flag(1) }, args.text(0)),
  ),
  stopProcessGroup: change(
    ['string', 'any'],
    1,
    'array',
    'Stops all processes of a group.',
    ({ core }, args) => actOnGroup(core, { action: 'stop', wait: args.flag(1) }, args.text(0)),
  ),
  stopAllProcesses: change(['any'], 0, 'array', 'Stops all processes.', ({ core }, args) =>
    actOnAll(core, { action: 'stop', wait: args.flag(0) }),
  ),
  signalProcess: change(
    ['string', 'any'],
    2,
    'boolean',
    'Sends a signal to a process, or to a group written as group:*.',
    ({ core }, args) =>
      actOnName(core, { action: 'signal', signal: signalArg(args, 1) }, args.text(0)),
  ),
  signalProcessGroup: change(
    ['string', 'any'],
    2,
    'array',
    'Sends a signal to all processes of a group.',
    ({ core }, args) =>
      actOnGroup(core, { action: 'signal', signal: signalArg(args, 1) }, args.text(0)),
  ),
  signalAllProcesses: change(
    ['any'],
    1,
    'array',
    'Sends a signal to all processes.',
    ({ core }, args) => actOnAll(core, { action: 'signal', signal: signalArg(args, 0) }),
  ),
  readProcessStdoutLog: readLog('stdout'),
  readProcessLog: readLog('stdout'),
  readProcessStderrLog: readLog('stderr'),
  tailProcessStdoutLog: tailLogOf('stdout'),
  tailProcessLog: tailLogOf('stdout'),
  tailProcessStderrLog: tailLogOf('stderr'),
  clearProcessLogs: clearOne,
  clearProcessLog: clearOne,
  clearAllProcessLogs: change([], 0, 'array', 'Empties the logs of all processes.', ({ core }) =>
    clearAllProcessLogs(core),
  ),
  sendProcessStdin: change(
    ['string', 'any'],
    2,
    'boolean',
    "Sends text to a process's standard input.",
    ({ core }, args) => sendStdin(core, args.text(0), args.values[1] ?? null),
  ),
};

const SYSTEM_METHODS: Readonly<Record<string, Method>> = {
  listMethods: status('The names of all methods.', 'array', () => [...METHODS.keys()].sort()),
  methodHelp: {
    params: ['string'],
    required: 1,
    returns: 'string',
    access: 'status',
    help: 'What a method does.',
    call: (_context, args) => known(args.text(0)).help,
  },
  methodSignature: {
    params: ['string'],
    required: 1,
    returns: 'array',
    access: 'status',
    help: 'The types of a method: what it returns, then its parameters.',
    call: (_context, args) => {
      const method = known(args.text(0));
      return [method.returns, ...method.params.map((type, i) => signatureType(method, type, i))];
    },
  },
  multicall: {
    params: ['array'],
    required: 1,
    returns: 'array',
    access: 'status',
    help: 'Several calls in one; each element is the bare result, or a struct of a fault.',
    call: (context, args) => multicall(context, args.values[0] as readonly XmlValue[]),
  },
};

const METHODS: ReadonlyMap<string, Method> = new Map([
  ...Object.entries(SUPERVISOR_METHODS).map(([name, method]) => entry('supervisor', name, method)),
  ...Object.entries(SYSTEM_METHODS).map(([name, method]) => entry('system', name, method)),
]);

function entry(namespace: string, name: string, method: Method): readonly [string, Method] {
  return [`${namespace}.${name}`, method];
}

function known(name: string): Method {
  const method = METHODS.get(name);
  if (method === undefined) throw new RpcFault('SIGNATURE_UNSUPPORTED');
  return method;
}

function signatureType(method: Method, type: ParamType, index: number): string {
  if (type !== 'any') return type;
  // `wait` is a boolean, signals and text are strings.
  return index >= method.required ? 'boolean' : 'string';
}

function timesOf(context: RpcContext): { monoMs: number; wallMs: number } {
  return { monoMs: context.core.nowMs(), wallMs: context.wallMs() };
}

function signalArg(args: Args, index: number): string {
  const value = args.values[index] as XmlValue;
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new RpcFault('INCORRECT_PARAMETERS');
}

function sendStdin(core: Supervision, sent: string, chars: XmlValue): XmlValue {
  if (typeof chars !== 'string') throw new RpcFault('INCORRECT_PARAMETERS', String(chars));
  const target = parseTarget(sent);
  const row = 'process' in target ? core.row(target) : undefined;
  if (row === undefined || !('process' in target)) throw new RpcFault('BAD_NAME', sent);
  if (row.pid === 0 || row.state === 'STOPPING') throw new RpcFault('NOT_RUNNING', sent);
  switch (core.writeStdin(target, chars)) {
    case 'ok':
      return true;
    case 'closed':
      throw new RpcFault('NO_FILE', sent);
    case 'full':
      throw new RpcFault('FAILED', `${sent} does not read its standard input`);
  }
}

async function multicall(context: RpcContext, calls: readonly XmlValue[]): Promise<XmlValue> {
  const results: XmlValue[] = [];
  for (const call of calls) {
    try {
      results.push(await callMethod(context, multicallEntry(call)));
    } catch (error) {
      const fault =
        error instanceof RpcFault
          ? error
          : new RpcFault('FAILED', `${(error as Error).name}:${(error as Error).message}`);
      results.push({ faultCode: fault.code, faultString: fault.message });
    }
  }
  return results;
}

function multicallEntry(call: XmlValue): XmlCall {
  if (typeof call !== 'object' || call === null || Array.isArray(call))
    throw new RpcFault('INCORRECT_PARAMETERS');
  const { methodName, params } = call as { readonly [name: string]: XmlValue };
  if (typeof methodName !== 'string' || methodName === '')
    throw new RpcFault('INCORRECT_PARAMETERS', 'No methodName');
  if (methodName === 'system.multicall')
    throw new RpcFault('INCORRECT_PARAMETERS', 'Recursive system.multicall forbidden');
  return { method: methodName, params: Array.isArray(params) ? (params as XmlValue[]) : [] };
}

/** How far a method reaches; unknown ones count as harmless, they only fail. */
export function accessOf(call: XmlCall): Method['access'] {
  if (call.method !== 'system.multicall') return METHODS.get(call.method)?.access ?? 'status';
  const [calls] = call.params;
  if (!Array.isArray(calls)) return 'status';
  const reaches = (calls as readonly XmlValue[]).map((each) => {
    try {
      return accessOf(multicallEntry(each));
    } catch {
      return 'status';
    }
  });
  return reaches.includes('change') ? 'change' : reaches.includes('logs') ? 'logs' : 'status';
}

/** Carries out one call. Throws RpcFault for what the client did or what the process could not. */
async function callMethod(context: RpcContext, call: XmlCall): Promise<XmlValue> {
  const namespace = call.method.slice(0, call.method.indexOf('.'));
  const method = context.namespaces.has(namespace) ? METHODS.get(call.method) : undefined;
  if (method === undefined) throw new RpcFault('UNKNOWN_METHOD');
  if (context.core.isStopping() && call.method.startsWith('supervisor.'))
    throw new RpcFault('SHUTDOWN_STATE');
  return method.call(context, checkArgs(method, call.params));
}

/** The response body of a call; the one that dashboards ask for all the time is put together from known pieces. */
export async function answerCall(context: RpcContext, call: XmlCall): Promise<string> {
  const { core, namespaces } = context;
  const isAll = call.method === 'supervisor.getAllProcessInfo' && call.params.length === 0;
  if (isAll && namespaces.has('supervisor') && !core.isStopping()) {
    const logsOf = ({ group, process }: ProcessRow): ProcessLogs | undefined =>
      core.logsOf({ group, process });
    return encodeAllProcessInfo(core.rows(), logsOf, timesOf(context));
  }
  return encodeResponse(await callMethod(context, call));
}
