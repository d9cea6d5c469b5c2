// What an XML-RPC method is: its parameters, what it works on, how far it reaches; and the check of arguments.
import type { XmlValue } from '../../common/xmlrpc.js';
import type { LogFile } from '../logs/rotate.js';
import type { Supervision } from '../supervision.js';
import { RpcFault } from './faults.js';

/** What methods work on. */
export interface RpcContext {
  readonly core: Supervision;
  readonly mainLog: LogFile | undefined;
  /** Begins the daemon's shutdown; returns at once. */
  readonly shutdown: () => void;
  /** Checks the configuration, then begins a restart; throws what is wrong with it. */
  readonly restart: () => void;
  /** `system` and the configured RPC interfaces. */
  readonly namespaces: ReadonlySet<string>;
  readonly wallMs: () => number;
}

export type ParamType = 'string' | 'int' | 'boolean' | 'array' | 'any';

export interface Method {
  readonly params: readonly ParamType[];
  /** How many of them must be given. */
  readonly required: number;
  readonly returns: string;
  /** `status` methods are safe on a listener that anyone may reach (spec fleet D57). */
  readonly access: 'status' | 'logs' | 'change';
  readonly help: string;
  readonly call: (context: RpcContext, args: Args) => XmlValue | Promise<XmlValue>;
}

/** Arguments that were checked against the method's parameters. */
export class Args {
  constructor(
    readonly values: readonly XmlValue[],
    readonly count: number,
  ) {}

  text(index: number): string {
    return this.values[index] as string;
  }

  int(index: number): number {
    return this.values[index] as number;
  }

  /** Omitted: true, the default of every `wait`. Any truthy value is true. */
  flag(index: number): boolean {
    if (index >= this.count) return true;
    const value = this.values[index] as XmlValue;
    return Array.isArray(value) ? value.length > 0 : Boolean(value);
  }
}

/** Throws INCORRECT_PARAMETERS when number or types do not fit. */
export function checkArgs(method: Method, params: readonly XmlValue[]): Args {
  if (params.length > method.params.length || params.length < method.required)
    throw new RpcFault('INCORRECT_PARAMETERS');
  const values = params.map((value, i) => {
    switch (method.params[i]) {
      case 'string':
        if (typeof value !== 'string') throw new RpcFault('INCORRECT_PARAMETERS');
        return value;
      case 'int': {
        // Clients may send integers as text.
        const number = typeof value === 'string' ? Number(value.trim() || NaN) : Number(value);
        if (value === null || Array.isArray(value) || !Number.isInteger(number))
          throw new RpcFault('INCORRECT_PARAMETERS');
        return number;
      }
      case 'array':
        if (!Array.isArray(value)) throw new RpcFault('INCORRECT_PARAMETERS');
        return value as XmlValue;
      default:
        return value;
    }
  });
  return new Args(values, params.length);
}
