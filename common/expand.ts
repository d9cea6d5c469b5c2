// `%(name)s` expansions as Supervisor does them: Python's %-formatting with named keys (spec config 4).
// Pure. One deliberate difference: `%s` without a name is refused instead of pasting the whole table of names.
import { FieldError } from './problems.js';
import { compareText, escapeCodePoint, quoteText } from './text.js';

/** A value that can be inserted: text, or an integer such as `process_num`. */
export type ExpansionValue = string | number;

/** Where names are looked up: later layers win. Layers are shared, never copied. */
export type ExpansionNames = readonly ReadonlyMap<string, ExpansionValue>[];

/** The names `ENV_X` for every variable X. */
export function environmentNames(env: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(env).map(([name, value]) => [`ENV_${name}`, value]));
}

const WIDTH_MAX = 10_000;
const CONVERSIONS = 'diuoxXeEfFgGcrsa';

interface Directive {
  readonly flags: ReadonlySet<string>;
  readonly width: number;
  readonly precision: number | undefined;
  readonly conversion: string;
}

/**
 * Expands `text` once; results are not expanded again. `option` names the place in messages, e.g. `program:x.command`.
 * Throws FieldError with Supervisor's text for unknown names and bad formats.
 */
export function expand(text: string, names: ExpansionNames, option: string): string {
  return text.includes('%') ? new Expansion(text, names, option).run() : text;
}

/** One run over one text. */
class Expansion {
  readonly #chars: readonly string[];
  #at = 0;
  /** A named value was used, so a conversion without a name has nothing left to take. */
  #isTaken = false;

  constructor(
    private readonly text: string,
    private readonly names: ExpansionNames,
    private readonly option: string,
  ) {
    this.#chars = [...text];
  }

  run(): string {
    let result = '';
    while (this.#at < this.#chars.length) {
      const char = this.#chars[this.#at++] as string;
      result += char === '%' ? this.#conversion() : char;
    }
    return result;
  }

  /** What stands for the conversion that begins here, after its percent sign. */
  #conversion(): string {
    let first = this.#next();
    if (first === '%') return '%';
    let value: ExpansionValue | undefined;
    if (first === '(') {
      value = this.#namedValue();
      first = this.#next();
    }
    const directive = this.#directive(first);
    const { conversion } = directive;
    if (value === undefined && this.#isTaken) {
      throw this.#bad('not enough arguments for format string');
    }
    if (!CONVERSIONS.includes(conversion)) {
      const shown = conversion >= '\x1f' && conversion < '\x7f' ? conversion : '?';
      const code = (conversion.codePointAt(0) as number).toString(16);
      throw this.#bad(
        `unsupported format character '${shown}' (0x${code}) at index ${this.#at - 1}`,
      );
    }
    if (value === undefined) throw this.#bad(withoutName(conversion));
    const formatted = format(directive, value);
    if (formatted instanceof FormatFault) throw this.#bad(formatted.reason);
    return formatted;
  }

  #namedValue(): ExpansionValue {
    const name = bracketedName(this.#chars, this.#at);
    if (name === undefined) throw this.#bad('incomplete format key');
    this.#at += [...name].length + 1;
    const value = lookUp(name, this.names);
    if (value === undefined) throw unknownName(this.text, this.option, name, this.names);
    this.#isTaken = true;
    return value;
  }

  #directive(first: string): Directive {
    const flags = new Set<string>();
    let char = first;
    while ('-+ #0'.includes(char)) {
      flags.add(char);
      char = this.#next();
    }
    let width = 0;
    let precision: number | undefined;
    [width, char] = this.#number(char, 'width');
    if (char === '.') [precision, char] = this.#number(this.#next(), 'precision');
    if (char === 'h' || char === 'l' || char === 'L') char = this.#next();
    return { flags, width, precision, conversion: char };
  }

  /** A number whose first digit may be `first`, and the character after it. */
  #number(first: string, what: string): [value: number, after: string] {
    if (first === '*') throw this.#bad('* wants int');
    let char = first;
    let value = 0;
    while (/^[0-9]$/.test(char)) {
      value = value * 10 + Number(char);
      if (value > WIDTH_MAX) throw this.#bad(`${what} too big`);
      char = this.#next();
    }
    return [value, char];
  }

  #next(): string {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#bad('incomplete format');
    return char;
  }

  #bad(reason: string): FieldError {
    return new FieldError(
      `Format string ${quoteText(this.text)} for ${quoteText(this.option)} is badly formatted: ${reason}`,
      'write a literal percent sign as %%',
    );
  }
}

/** The name between balanced parentheses that starts at `start`; undefined when it is not closed. */
function bracketedName(chars: readonly string[], start: number): string | undefined {
  let depth = 1;
  for (let at = start; at < chars.length; at++) {
    if (chars[at] === '(') depth++;
    if (chars[at] === ')' && --depth === 0) return chars.slice(start, at).join('');
  }
  return undefined;
}

function lookUp(name: string, names: ExpansionNames): ExpansionValue | undefined {
  for (let layer = names.length - 1; layer >= 0; layer--) {
    const value = names[layer]?.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

function unknownName(
  text: string,
  option: string,
  name: string,
  names: ExpansionNames,
): FieldError {
  const all = new Set(names.flatMap((layer) => [...layer.keys()]));
  const available = [...all].sort(compareText).join(', ');
  return new FieldError(
    `Format string ${quoteText(text)} for ${quoteText(option)} contains names (${quoteText(name)}) ` +
      `which cannot be expanded. Available names: ${available}`,
  );
}

/** Why a conversion without a name fails: there is only a table of names to convert. */
function withoutName(conversion: string): string {
  if ('sra'.includes(conversion)) return `%${conversion} needs a name, as in %(name)${conversion}`;
  return wrongType(conversion, 'dict');
}

function wrongType(conversion: string, type: string): string {
  if ('diu'.includes(conversion))
    return `%${conversion} format: a real number is required, not ${type}`;
  if ('oxX'.includes(conversion))
    return `%${conversion} format: an integer is required, not ${type}`;
  if (conversion === 'c') return '%c requires int or char';
  return `must be real number, not ${type}`;
}

class FormatFault {
  constructor(readonly reason: string) {}
}

function format(directive: Directive, value: ExpansionValue): string | FormatFault {
  const { conversion, precision } = directive;
  if (conversion === 's' || conversion === 'r' || conversion === 'a') {
    const text = typeof value === 'number' ? String(value) : convertText(conversion, value);
    return pad(
      directive,
      '',
      precision === undefined ? text : [...text].slice(0, precision).join(''),
      ' ',
    );
  }
  if (conversion === 'c') {
    if (typeof value === 'number') {
      if (value < 0 || value > 0x10ffff) return new FormatFault('%c arg not in range(0x110000)');
      return pad(directive, '', String.fromCodePoint(value), ' ');
    }
    if ([...value].length !== 1) return new FormatFault(wrongType('c', 'str'));
    return pad(directive, '', value, ' ');
  }
  if (typeof value !== 'number') return new FormatFault(wrongType(conversion, 'str'));
  const fill = directive.flags.has('0') ? '0' : ' ';
  let sign = '';
  if (value < 0) sign = '-';
  else if (directive.flags.has('+')) sign = '+';
  else if (directive.flags.has(' ')) sign = ' ';
  return pad(directive, sign + prefix(directive), digits(directive, Math.abs(value)), fill);
}

function convertText(conversion: 's' | 'r' | 'a', value: string): string {
  if (conversion === 's') return value;
  const quoted = quoteText(value);
  return conversion === 'r' ? quoted : quoted.replace(/[^\0-\x7f]/gu, escapeCodePoint);
}

function prefix({ flags, conversion }: Directive): string {
  if (!flags.has('#')) return '';
  if (conversion === 'o') return '0o';
  return conversion === 'x' || conversion === 'X' ? `0${conversion}` : '';
}

function digits({ flags, conversion, precision }: Directive, value: number): string {
  switch (conversion) {
    case 'o':
      return value.toString(8).padStart(precision ?? 0, '0');
    case 'x':
      return value.toString(16).padStart(precision ?? 0, '0');
    case 'X':
      return value
        .toString(16)
        .toUpperCase()
        .padStart(precision ?? 0, '0');
    case 'e':
    case 'E': {
      const text = exponent(value.toExponential(Math.min(precision ?? 6, 100)));
      return conversion === 'E' ? text.toUpperCase() : text;
    }
    case 'f':
    case 'F':
      return (
        value.toFixed(Math.min(precision ?? 6, 100)) +
        (flags.has('#') && precision === 0 ? '.' : '')
      );
    case 'g':
    case 'G': {
      const text = general(value, Math.min(Math.max(precision ?? 6, 1), 100), flags.has('#'));
      return conversion === 'G' ? text.toUpperCase() : text;
    }
    default:
      return String(value).padStart(precision ?? 0, '0');
  }
}

/** C writes at least two digits of exponent. */
function exponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}

function general(value: number, precision: number, keepZeros: boolean): string {
  const power = value === 0 ? 0 : Number(value.toExponential(precision - 1).split('e')[1]);
  const scientific = power < -4 || power >= precision;
  const text = scientific
    ? value.toExponential(precision - 1)
    : value.toFixed(precision - 1 - power);
  const [mantissa = '', tail] = text.split('e');
  const kept = keepZeros || !mantissa.includes('.') ? mantissa : mantissa.replace(/\.?0+$/, '');
  return tail === undefined ? kept : exponent(`${kept}e${tail}`);
}

function pad({ flags, width }: Directive, lead: string, body: string, fill: string): string {
  const missing = width - [...lead].length - [...body].length;
  if (missing <= 0) return lead + body;
  if (flags.has('-')) return lead + body + ' '.repeat(missing);
  return fill === '0' ? lead + '0'.repeat(missing) + body : ' '.repeat(missing) + lead + body;
}
