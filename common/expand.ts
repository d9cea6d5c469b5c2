// `%(name)s` expansions as Supervisor does them: Python's %-formatting with named keys (spec config 4).
// Pure. One deliberate difference: `%s` without a name is refused instead of pasting the whole table of names.
import { FieldError } from "./problems.js";
import { compareText, escapeCodePoint, quoteText } from "./text.js";

/** A value that can be inserted: text, or an integer such as `process_num`. */
export type ExpansionValue = string | number;

/** Where names are looked up: later layers win. Layers are shared, never copied. */
export type ExpansionNames = readonly ReadonlyMap<string, ExpansionValue>[];

/** The names `ENV_X` for every variable X. */
export function environmentNames(
  env: Readonly<Record<string, string>>,
): Map<string, string> {
  return new Map(
    Object.entries(env).map(([name, value]) => [`ENV_${name}`, value]),
  );
}

const WIDTH_MAX = 10_000;
const CONVERSIONS = "diuoxXeEfFgGcrsa";

interface Directive {
  flags: Set<string>;
  width: number;
  precision: number | undefined;
  conversion: string;
}

/**
 * Expands `text` once; results are not expanded again. `option` names the place in messages, e.g. `program:x.command`.
 * Throws FieldError with Supervisor's text for unknown names and bad formats.
 */
export function expand(
  text: string,
  names: ExpansionNames,
  option: string,
): string {
  if (!text.includes("%")) return text;
  const chars = [...text];
  let at = 0;
  let result = "";

  const bad = (reason: string): FieldError =>
    new FieldError(
      `Format string ${quoteText(text)} for ${quoteText(option)} is badly formatted: ${reason}`,
      "write a literal percent sign as %%",
    );
  const next = (): string => {
    const char = chars[at++];
    if (char === undefined) throw bad("incomplete format");
    return char;
  };
  const number = (
    first: string,
    what: string,
  ): [value: number, after: string] => {
    let char = first;
    let value = 0;
    while (/^[0-9]$/.test(char)) {
      value = value * 10 + Number(char);
      if (value > WIDTH_MAX) throw bad(`${what} too big`);
      char = next();
    }
    return [value, char];
  };

  while (at < chars.length) {
    const plain = chars[at++] as string;
    if (plain !== "%") {
      result += plain;
      continue;
    }
    let char = next();
    let value: ExpansionValue | undefined;
    if (char === "(") {
      const name = bracketedName(chars, at);
      if (name === undefined) throw bad("incomplete format key");
      at += [...name].length + 1;
      value = lookUp(name, names);
      if (value === undefined) throw unknownName(text, option, name, names);
      char = next();
    }
    const directive: Directive = {
      flags: new Set(),
      width: 0,
      precision: undefined,
      conversion: "",
    };
    while ("-+ #0".includes(char)) {
      directive.flags.add(char);
      char = next();
    }
    if (char === "*") throw bad("* wants int");
    [directive.width, char] = number(char, "width");
    if (char === ".") {
      char = next();
      if (char === "*") throw bad("* wants int");
      [directive.precision, char] = number(char, "precision");
    }
    if (char === "h" || char === "l" || char === "L") char = next();
    directive.conversion = char;
    if (char === "%") {
      result += "%";
      continue;
    }
    if (!CONVERSIONS.includes(char)) {
      const shown = char >= "\x1f" && char < "\x7f" ? char : "?";
      const code = (char.codePointAt(0) as number).toString(16);
      throw bad(
        `unsupported format character '${shown}' (0x${code}) at index ${at - 1}`,
      );
    }
    if (value === undefined) throw bad(withoutName(char));
    const formatted = format(directive, value);
    if (formatted instanceof FormatFault) throw bad(formatted.reason);
    result += formatted;
  }
  return result;
}

/** The name between balanced parentheses that starts at `start`; undefined when it is not closed. */
function bracketedName(
  chars: readonly string[],
  start: number,
): string | undefined {
  let depth = 1;
  for (let at = start; at < chars.length; at++) {
    if (chars[at] === "(") depth++;
    if (chars[at] === ")" && --depth === 0)
      return chars.slice(start, at).join("");
  }
  return undefined;
}

function lookUp(
  name: string,
  names: ExpansionNames,
): ExpansionValue | undefined {
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
  const available = [...all].sort(compareText).join(", ");
  return new FieldError(
    `Format string ${quoteText(text)} for ${quoteText(option)} contains names (${quoteText(name)}) ` +
      `which cannot be expanded. Available names: ${available}`,
  );
}

/** Why a conversion without a name fails: there is only a table of names to convert. */
function withoutName(conversion: string): string {
  if ("sra".includes(conversion))
    return `%${conversion} needs a name, as in %(name)${conversion}`;
  return wrongType(conversion, "dict");
}

function wrongType(conversion: string, type: string): string {
  if ("diu".includes(conversion))
    return `%${conversion} format: a real number is required, not ${type}`;
  if ("oxX".includes(conversion))
    return `%${conversion} format: an integer is required, not ${type}`;
  if (conversion === "c") return "%c requires int or char";
  return `must be real number, not ${type}`;
}

class FormatFault {
  constructor(readonly reason: string) {}
}

function format(
  directive: Directive,
  value: ExpansionValue,
): string | FormatFault {
  const { conversion, precision } = directive;
  if (conversion === "s" || conversion === "r" || conversion === "a") {
    const text =
      typeof value === "number"
        ? String(value)
        : convertText(conversion, value);
    return pad(
      directive,
      "",
      precision === undefined ? text : [...text].slice(0, precision).join(""),
      " ",
    );
  }
  if (conversion === "c") {
    if (typeof value === "number") {
      if (value < 0 || value > 0x10ffff)
        return new FormatFault("%c arg not in range(0x110000)");
      return pad(directive, "", String.fromCodePoint(value), " ");
    }
    if ([...value].length !== 1) return new FormatFault(wrongType("c", "str"));
    return pad(directive, "", value, " ");
  }
  if (typeof value !== "number")
    return new FormatFault(wrongType(conversion, "str"));
  const fill = directive.flags.has("0") ? "0" : " ";
  let sign = "";
  if (value < 0) sign = "-";
  else if (directive.flags.has("+")) sign = "+";
  else if (directive.flags.has(" ")) sign = " ";
  return pad(
    directive,
    sign + prefix(directive),
    digits(directive, Math.abs(value)),
    fill,
  );
}

function convertText(conversion: "s" | "r" | "a", value: string): string {
  if (conversion === "s") return value;
  const quoted = quoteText(value);
  return conversion === "r"
    ? quoted
    : quoted.replace(/[^\0-\x7f]/gu, escapeCodePoint);
}

function prefix({ flags, conversion }: Directive): string {
  if (!flags.has("#")) return "";
  if (conversion === "o") return "0o";
  return conversion === "x" || conversion === "X" ? `0${conversion}` : "";
}

function digits(
  { flags, conversion, precision }: Directive,
  value: number,
): string {
  switch (conversion) {
    case "o":
      return value.toString(8).padStart(precision ?? 0, "0");
    case "x":
      return value.toString(16).padStart(precision ?? 0, "0");
    case "X":
      return value
        .toString(16)
        .toUpperCase()
        .padStart(precision ?? 0, "0");
    case "e":
    case "E": {
      const text = exponent(value.toExponential(Math.min(precision ?? 6, 100)));
      return conversion === "E" ? text.toUpperCase() : text;
    }
    case "f":
    case "F":
      return (
        value.toFixed(Math.min(precision ?? 6, 100)) +
        (flags.has("#") && precision === 0 ? "." : "")
      );
    case "g":
    case "G": {
      const text = general(
        value,
        Math.min(Math.max(precision ?? 6, 1), 100),
        flags.has("#"),
      );
      return conversion === "G" ? text.toUpperCase() : text;
    }
    default:
      return String(value).padStart(precision ?? 0, "0");
  }
}

/** C writes at least two digits of exponent. */
function exponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function general(value: number, precision: number, keepZeros: boolean): string {
  const power =
    value === 0 ? 0 : Number(value.toExponential(precision - 1).split("e")[1]);
  const scientific = power < -4 || power >= precision;
  const text = scientific
    ? value.toExponential(precision - 1)
    : value.toFixed(precision - 1 - power);
  const [mantissa = "", tail] = text.split("e");
  const kept =
    keepZeros || !mantissa.includes(".")
      ? mantissa
      : mantissa.replace(/\.?0+$/, "");
  return tail === undefined ? kept : exponent(`${kept}e${tail}`);
}

function pad(
  { flags, width }: Directive,
  lead: string,
  body: string,
  fill: string,
): string {
  const missing = width - [...lead].length - [...body].length;
  if (missing <= 0) return lead + body;
  if (flags.has("-")) return lead + body + " ".repeat(missing);
  return fill === "0"
    ? lead + "0".repeat(missing) + body
    : " ".repeat(missing) + lead + body;
}
