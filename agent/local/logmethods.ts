// The log methods of RPC: reading, tailing and clearing, with Supervisor's faults (spec xmlrpc 8.5).
import { FAULTS } from '../../common/errors.js';
import type { XmlValue } from '../../common/xmlrpc.js';
import type { LogChannel } from '../core.js';
import type { LogFile } from '../logs/rotate.js';
import { readLogSlice, tailLog } from '../logs/tail.js';
import type { Supervision } from '../supervision.js';
import { parseTarget } from './control.js';
import { RpcFault } from './faults.js';

/** The most that one read answers with: a log of gigabytes must not become one string. */
const READ_BYTES_MAX = 64 * 1024 * 1024;

function logOf(core: Supervision, sent: string, channel: LogChannel): LogFile | undefined {
  const target = parseTarget(sent);
  const logs = 'process' in target ? core.logsOf(target) : undefined;
  if (logs === undefined) throw new RpcFault('BAD_NAME', sent);
  return logs[channel];
}

/** A slice of a file as text; bytes that are no UTF-8 become U+FFFD. */
export function readFileText(path: string | undefined, offset: number, length: number): string {
  if (path === undefined) throw new RpcFault('NO_FILE');
  let data: Buffer | undefined;
  try {
    data = readLogSlice(path, offset, length);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw code === 'ENOENT' ? new RpcFault('NO_FILE', path) : new RpcFault('FAILED', path);
  }
  if (data === undefined) throw new RpcFault('BAD_ARGUMENTS');
  if (data.length > READ_BYTES_MAX)
    throw new RpcFault('FAILED', `${path}: more than ${READ_BYTES_MAX} bytes; read it in parts`);
  return data.toString('utf8');
}

export function readProcessLog(
  core: Supervision,
  channel: LogChannel,
  sent: string,
  offset: number,
  length: number,
): XmlValue {
  return readFileText(logOf(core, sent, channel)?.path, offset, length);
}

/** `[bytes, offset, overflow]`; a missing file is empty, never a fault. */
export function tailProcessLog(
  core: Supervision,
  channel: LogChannel,
  sent: string,
  offset: number,
  length: number,
): XmlValue {
  const file = logOf(core, sent, channel);
  if (file === undefined) return ['', 0, false];
  const tail = tailLog(file.path, offset, length);
  return [tail.data.toString('utf8'), tail.offset, tail.overflow];
}

/** Both channels of one process; backups stay. */
export function clearProcessLogs(core: Supervision, sent: string): XmlValue {
  const files = [logOf(core, sent, 'stdout'), logOf(core, sent, 'stderr')];
  for (const file of files) {
    try {
      if (file?.exists() === true) file.clear();
    } catch {
      throw new RpcFault('FAILED', sent);
    }
  }
  return true;
}

/** Every process, one row each. */
export function clearAllProcessLogs(core: Supervision): XmlValue {
  return core.rows().map((row) => {
    const head = { name: row.process, group: row.group };
    try {
      clearProcessLogs(core, `${row.group}:${row.process}`);
      return { ...head, status: FAULTS.SUCCESS, description: 'OK' };
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      return { ...head, status: error.code, description: error.message };
    }
  });
}

/** The activity log is emptied and goes on. */
export function clearMainLog(file: LogFile | undefined): XmlValue {
  if (file === undefined || !file.exists()) throw new RpcFault('NO_FILE');
  try {
    file.clear();
  } catch (error) {
    throw new RpcFault('FAILED', (error as Error).message);
  }
  return true;
}
