// A fast reader for XML-RPC text in the very shape that Supervisor and its clients write (spec xmlrpc 9).
// Invariant: any deviation, however small, gives undefined, and the full parser decides; it is 30 times slower.

/** What travels: never a Date, a Map or undefined. */
export type XmlValue =
  string | number | boolean | null | readonly XmlValue[] | { readonly [name: string]: XmlValue };

/** Text that is not in the plain shape. */
class NotPlain extends Error {}

const HEAD = "<?xml version='1.0'?>\n";
const DEPTH_MAX = 32;

class PlainReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  has(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  expect(expected: string): void {
    if (!this.has(expected)) throw new NotPlain();
  }

  /** Text up to the next tag, which must be `end`. */
  upTo(end: string): string {
    const stop = this.#text.indexOf('<', this.#at);
    if (stop < 0) throw new NotPlain();
    const raw = this.#text.slice(this.#at, stop);
    this.#at = stop;
    this.expect(end);
    if (raw.includes('\r')) throw new NotPlain();
    if (!raw.includes('&')) return raw;
    return raw.replace(/&[^&;]*;?/g, (entity) => {
      if (entity === '&amp;') return '&';
      if (entity === '&lt;') return '<';
      if (entity === '&gt;') return '>';
      throw new NotPlain();
    });
  }

  atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  value(depth: number): XmlValue {
    if (depth > DEPTH_MAX) throw new NotPlain();
    this.expect('<value>');
    const value = this.#typed(depth);
    this.expect('</value>\n');
    return value;
  }

  #typed(depth: number): XmlValue {
    if (this.has('<string>')) return this.upTo('</string>');
    if (this.has('<int>')) {
      const digits = this.upTo('</int>');
      if (!/^-?\d{1,10}$/.test(digits)) throw new NotPlain();
      return Number(digits);
    }
    if (this.has('<boolean>')) return this.upTo('</boolean>') === '1';
    if (this.has('<struct>\n')) return this.#struct(depth);
    this.expect('<array><data>\n');
    const items: XmlValue[] = [];
    while (!this.has('</data></array>')) items.push(this.value(depth + 1));
    return items;
  }

  #struct(depth: number): XmlValue {
    const struct: Record<string, XmlValue> = {};
    while (!this.has('</struct>')) {
      this.expect('<member>\n<name>');
      const name = this.upTo('</name>');
      this.expect('\n');
      // Assigning it would change the object instead of adding a member.
      if (name === '__proto__') throw new NotPlain();
      struct[name] = this.value(depth + 1);
      this.expect('</member>\n');
    }
    return struct;
  }
}

function attempt<T>(text: string, read: (reader: PlainReader) => T): T | undefined {
  const reader = new PlainReader(text);
  try {
    reader.expect(HEAD);
    const result = read(reader);
    return reader.atEnd() ? result : undefined;
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

/** The value of a successful plain response; undefined: let the full parser see. */
export function readPlainResponse(text: string): XmlValue | undefined {
  return attempt(text, (reader) => {
    reader.expect('<methodResponse>\n<params>\n<param>\n');
    const value = reader.value(0);
    reader.expect('</param>\n</params>\n</methodResponse>\n');
    return value;
  });
}

/** A plain call; undefined: let the full parser see. */
export function readPlainCall(text: string): { method: string; params: XmlValue[] } | undefined {
  return attempt(text, (reader) => {
    reader.expect('<methodCall>\n<methodName>');
    const method = reader.upTo('</methodName>');
    if (method === '') throw new NotPlain();
    reader.expect('\n<params>\n');
    const params: XmlValue[] = [];
    while (reader.has('<param>\n')) {
      params.push(reader.value(0));
      reader.expect('</param>\n');
    }
    reader.expect('</params>\n</methodCall>\n');
    return { method, params };
  });
}
