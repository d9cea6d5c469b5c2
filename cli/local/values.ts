// Answers of a server taken apart with their shape checked, and texts as Supervisor shows them. Pure.
import { quoteText } from '../../common/text.js';
import { XmlFault, type XmlValue } from '../../common/xmlrpc.js';

/** The line that stands for every unexpected error (spec ctl 3). */
export function genericError(error: unknown): string {
  const [kind, message] =
    error instanceof XmlFault
      ? ['Fault', `<Fault ${error.faultCode}: ${quoteText(error.faultString)}>`]
      : error instanceof Error
        ? [error.name, error.message]
        : ['Error', String(error)];
  return `error: <class '${kind}'>, ${message}: file: ctl line: 0`;
}

/** A struct as it arrived. */
export type Struct = Readonly<Record<string, XmlValue | undefined>>;

/** Throws TypeError unless it is a struct. */
export function struct(value: XmlValue): Struct {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('the server answered with something else than a struct');
  }
  return value as Struct;
}

/** Throws TypeError unless it is an array of structs. */
export function structs(value: XmlValue): Struct[] {
  if (!Array.isArray(value))
    throw new TypeError('the server answered with something else than rows');
  return (value as readonly XmlValue[]).map(struct);
}

/** Any scalar as text; missing: empty. */
export function text(value: XmlValue | undefined): string {
  return typeof value === 'string' ? value : String(value ?? '');
}

/** Pads by code points, as Supervisor does. */
export function padEnd(value: string, width: number): string {
  return value + ' '.repeat(Math.max(0, width - [...value].length));
}
