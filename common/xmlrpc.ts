// XML-RPC as Supervisor speaks it, all four directions: calls and responses, encoded and decoded (spec xmlrpc 3, 9).
// The one importer of fast-xml-parser. Invariants: no DTD, no entities but XML's own; depth and elements are bounded.
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { readPlainCall, readPlainResponse, type XmlValue } from './xmlrpc-plain.js';

export type { XmlValue } from './xmlrpc-plain.js';

export interface XmlCall {
  readonly method: string;
  readonly params: readonly XmlValue[];
}

export interface XmlLimits {
  readonly depthMax: number;
  readonly elementsMax: number;
}

/** What a server accepts from strangers (spec fleet 14). */
export const CALL_LIMITS: XmlLimits = { depthMax: 32, elementsMax: 10_000 };
/** What a client accepts from its server: some 30,000 processes. */
const RESPONSE_LIMITS: XmlLimits = { depthMax: 32, elementsMax: 2_000_000 };

/** Text that is not XML-RPC: a server answers 400, a client gives up. */
export class XmlFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'XmlFormatError';
  }
}

/** A fault that the other side answered with. */
export class XmlFault extends Error {
  readonly faultCode: number;
  /** `NAME` or `NAME: detail` from Supervisor. */
  readonly faultString: string;

  constructor(faultCode: number, faultString: string) {
    super(`fault ${faultCode}: ${faultString}`);
    this.name = 'XmlFault';
    this.faultCode = faultCode;
    this.faultString = faultString;
  }
}

// ---------------------------------------------------------------- encode

const HEAD = "<?xml version='1.0'?>\n";
const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;

/** The body of a request. */
export function encodeCall(method: string, params: readonly XmlValue[]): string {
  let text = `${HEAD}<methodCall>\n<methodName>${escapeText(method)}</methodName>\n<params>\n`;
  for (const param of params) text += `<param>\n${encodeValue(param)}</param>\n`;
  return `${text}</params>\n</methodCall>\n`;
}

/** The body of a successful response. */
export function encodeResponse(value: XmlValue): string {
  const params = `<params>\n<param>\n${encodeValue(value)}</param>\n</params>\n`;
  return `${HEAD}<methodResponse>\n${params}</methodResponse>\n`;
}

/** The body of a fault response; the HTTP status is 200 all the same. */
export function encodeFault(faultCode: number, faultString: string): string {
  const fault = encodeValue({ faultCode, faultString });
  return `${HEAD}<methodResponse>\n<fault>\n${fault}</fault>\n</methodResponse>\n`;
}

/**
 * `<value>...</value>` with its line feed. Integers outside 32 bits saturate, as Supervisor's time stamps do;
 * other numbers become doubles. Bodies of many rows may be put together from pieces made once.
 */
export function encodeValue(value: XmlValue): string {
  if (typeof value === 'string') return `<value><string>${escapeText(value)}</string></value>\n`;
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return `<value><double>${value}</double></value>\n`;
    return `<value><int>${Math.min(INT_MAX, Math.max(INT_MIN, value))}</int></value>\n`;
  }
  if (typeof value === 'boolean') return `<value><boolean>${value ? 1 : 0}</boolean></value>\n`;
  if (value === null) return '<value><nil/></value>\n';
  if (isArray(value)) {
    let text = '<value><array><data>\n';
    for (const item of value) text += encodeValue(item);
    return `${text}</data></array></value>\n`;
  }
  let text = '<value><struct>\n';
  for (const [name, member] of Object.entries(value)) {
    text += `<member>\n<name>${escapeText(name)}</name>\n${encodeValue(member)}</member>\n`;
  }
  return `${text}</struct></value>\n`;
}

function isArray(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

const SPECIAL = /[&<>]/;
/** Controls and lone surrogates; of the controls XML allows some. */
const SUSPECT = /[\p{Cc}\p{Cs}\ufffe\uffff]/gu;
const SUSPECT_ONE = /[\p{Cc}\p{Cs}\ufffe\uffff]/u;
const ALLOWED_CONTROL = /[\t\n\r\u007f-\u009f]/;

/** Escapes `&`, `<` and `>`; characters that XML cannot carry become U+FFFD. */
export function escapeText(text: string): string {
  let escaped = text;
  if (SPECIAL.test(escaped)) {
    escaped = escaped.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  }
  if (!SUSPECT_ONE.test(escaped)) return escaped;
  // What XML cannot hold at all would make a client's parser fail on the whole answer.
  return escaped.replace(SUSPECT, (char) => (ALLOWED_CONTROL.test(char) ? char : '\ufffd'));
}

// ---------------------------------------------------------------- decode

/** Decodes a request's body. Throws XmlFormatError (400): not UTF-8, not well-formed, no method name, over a limit. */
export function decodeCall(body: Uint8Array, limits: XmlLimits = CALL_LIMITS): XmlCall {
  const text = decodeText(body);
  checkLimits(text, limits);
  // Only in requests: Supervisor's own answers carry what a log contains.
  if (FORBIDDEN.test(text)) throw new XmlFormatError('a control character');
  const plain = readPlainCall(text);
  if (plain !== undefined) return plain;
  const root = parse(text, 'methodCall');
  const name = child(root, 'methodName');
  const method = name === undefined ? '' : textOf(name);
  if (method === '') throw new XmlFormatError('no methodName');
  const params = elements(child(root, 'params') ?? []).filter(({ tag }) => tag === 'param');
  return {
    method,
    params: params.map(({ children }) => {
      const value = child(children, 'value');
      if (value === undefined) throw new XmlFormatError('a param without a value');
      return decodeValue(value);
    }),
  };
}

/** Decodes a response's body. Throws XmlFault for a fault, XmlFormatError for anything that is no response. */
export function decodeResponse(body: Uint8Array): XmlValue {
  const text = decodeText(body);
  const plain = readPlainResponse(text);
  if (plain !== undefined) return plain;
  checkLimits(text, RESPONSE_LIMITS);
  const root = parse(text, 'methodResponse');
  const fault = child(root, 'fault');
  if (fault !== undefined) {
    const value = child(fault, 'value');
    const struct = value === undefined ? null : decodeValue(value);
    if (typeof struct !== 'object' || struct === null || isArray(struct)) {
      throw new XmlFormatError('a fault without a struct');
    }
    throw new XmlFault(Number(struct['faultCode']), String(struct['faultString']));
  }
  const param = child(child(root, 'params') ?? [], 'param');
  const value = param === undefined ? undefined : child(param, 'value');
  if (value === undefined) throw new XmlFormatError('a response without a value');
  return decodeValue(value);
}

/** The parser's nodes with order kept: `{tag: children}`, text as `{'#text': ...}`. */
type Node = Readonly<Record<string, unknown>>;
type Nodes = readonly Node[];
interface Element {
  readonly tag: string;
  readonly children: Nodes;
}

const TEXT = '#text';
const CDATA = '#cdata';

const PARSER = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  trimValues: false,
  parseTagValue: false,
  // Its own entity handling knows DTDs; ours, below, knows only what XML itself defines.
  processEntities: false,
  cdataPropName: CDATA,
  textNodeName: TEXT,
});

const DOCTYPE = /<!DOCTYPE/i;
/** What XML 1.0 has no place for. */
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f]/;

function decodeText(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new XmlFormatError('the body is not UTF-8');
  }
}

function parse(text: string, rootTag: string): Nodes {
  if (DOCTYPE.test(text)) throw new XmlFormatError('a DTD is not accepted');
  const wellFormed = XMLValidator.validate(text);
  if (wellFormed !== true) {
    throw new XmlFormatError(`line ${wellFormed.err.line}: ${wellFormed.err.msg}`);
  }
  let nodes: Nodes;
  try {
    nodes = PARSER.parse(text) as Nodes;
  } catch (error) {
    throw new XmlFormatError(error instanceof Error ? error.message : String(error));
  }
  const root = child(nodes, rootTag);
  if (root === undefined) throw new XmlFormatError(`no ${rootTag}`);
  return root;
}

/** Counts start tags and nesting before any tree is built, so that a hostile body costs one pass. */
function checkLimits(text: string, limits: XmlLimits): void {
  let elementCount = 0;
  let depth = 0;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    const next = text.charCodeAt(at + 1);
    if (next === 0x2f) {
      depth--;
      continue;
    }
    if (next === 0x3f || next === 0x21) continue;
    elementCount++;
    depth++;
    if (elementCount > limits.elementsMax) throw new XmlFormatError('too many elements');
    const end = text.indexOf('>', at);
    if (end > 0 && text.charCodeAt(end - 1) === 0x2f) depth--;
    if (depth > limits.depthMax) throw new XmlFormatError('nested too deeply');
  }
}

function elements(nodes: Nodes): Element[] {
  const found: Element[] = [];
  for (const node of nodes) {
    for (const [tag, children] of Object.entries(node)) {
      if (tag !== TEXT && tag !== CDATA && tag !== ':@' && Array.isArray(children)) {
        found.push({ tag, children: children as Nodes });
      }
    }
  }
  return found;
}

function child(nodes: Nodes, wanted: string): Nodes | undefined {
  for (const node of nodes) {
    const found = Object.hasOwn(node, wanted) ? node[wanted] : undefined;
    if (Array.isArray(found)) return found as Nodes;
  }
  return undefined;
}

function textOf(nodes: Nodes): string {
  let text = '';
  for (const node of nodes) {
    const plain = node[TEXT];
    const cdata = node[CDATA];
    if (plain !== undefined) text += decodeEntities(String(plain));
    else if (Array.isArray(cdata))
      for (const part of cdata as Nodes) text += String(part[TEXT] ?? '');
  }
  return text;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^;&]{0,12});?/g, (whole, name: string) => {
    const known = Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
    if (known !== undefined && whole.endsWith(';')) return known;
    const match = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/.exec(name);
    const code = match === null ? NaN : parseInt(match[1] ?? match[2] ?? '', match[1] ? 16 : 10);
    if (!whole.endsWith(';') || !(code <= 0x10ffff))
      throw new XmlFormatError(`unknown entity ${whole}`);
    return String.fromCodePoint(code);
  });
}

function decodeValue(nodes: Nodes): XmlValue {
  const [typed] = elements(nodes);
  if (typed === undefined) return textOf(nodes);
  const { tag, children } = typed;
  switch (tag) {
    case 'int':
    case 'i4':
      return decodeInteger(textOf(children));
    case 'boolean':
      return textOf(children) === '1';
    case 'double':
      return decodeDouble(textOf(children));
    case 'base64':
      return Buffer.from(textOf(children), 'base64').toString('utf8');
    case 'nil':
      return null;
    case 'array':
      return elements(child(children, 'data') ?? [])
        .filter((item) => item.tag === 'value')
        .map((item) => decodeValue(item.children));
    case 'struct':
      return decodeStruct(children);
    default:
      // Strings, dates and whatever else arrive as their text (spec xmlrpc 3).
      return textOf(children);
  }
}

function decodeInteger(text: string): number {
  const value = Number(text.trim());
  if (text.trim() === '' || !Number.isSafeInteger(value)) {
    throw new XmlFormatError(`'${text.slice(0, 40)}' is not an integer`);
  }
  return value;
}

function decodeDouble(text: string): number {
  const value = Number(text.trim());
  if (text.trim() === '' || Number.isNaN(value)) {
    throw new XmlFormatError(`'${text.slice(0, 40)}' is not a number`);
  }
  return value;
}

/** fromEntries makes own properties whatever the names are, `__proto__` included. */
function decodeStruct(nodes: Nodes): { readonly [name: string]: XmlValue } {
  const members = elements(nodes).filter(({ tag }) => tag === 'member');
  return Object.fromEntries(
    members.map(({ children }) => {
      const value = child(children, 'value');
      return [textOf(child(children, 'name') ?? []), value === undefined ? '' : decodeValue(value)];
    }),
  );
}
