// `[fleet]`: which fleet this agent belongs to. Ours; stock supervisord ignores the section. Pure.
// Relative paths are relative to the configuration's folder, so that the file can be moved with its certificates.
import { expandHome } from '../../common/fields.js';
import { normalizePath } from '../../common/paths.js';
import type { ParseContext } from './context.js';
import { FLEET } from './schema.js';
import type { FleetConfig } from './types.js';

/** Reads the section; undefined when there is none (or it is wrong, which the problems then say). */
export function parseFleet(context: ParseContext): FleetConfig | undefined {
  const section = context.document.sections.get('fleet');
  if (section === undefined) return undefined;
  const reader = context.reader(section, FLEET, [context.hereNames]);
  const required = <Key extends 'ca' | 'cert' | 'key' | 'controllers'>(
    key: Key,
    example: string,
  ) => {
    const value = reader.get(key);
    if (value === undefined && reader.raw(key) === undefined) {
      reader.fail(key, `section [fleet] has no ${key} value`, `add ${key} = ${example}`);
    }
    return value;
  };
  const path = (text: string): string =>
    normalizePath(context.here, expandHome(text, context.world));

  const controllers = required('controllers', 'HOST:9500');
  const nats = reader.get('nats');
  const ca = required('ca', '/etc/fleetvisor/ca.crt');
  const cert = required('cert', '/etc/fleetvisor/host.crt');
  const key = required('key', '/etc/fleetvisor/host.key');
  const labels = reader.get('labels');
  const stateDir = reader.get('state_dir');
  if (controllers === undefined || ca === undefined || cert === undefined || key === undefined) {
    return undefined;
  }
  return {
    controllers,
    nats,
    ca: path(ca),
    cert: path(cert),
    key: path(key),
    labels,
    stateDir: stateDir === undefined ? undefined : path(stateDir),
  };
}
