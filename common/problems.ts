// What is wrong with a configuration, in one shape for all three programs' files, and how it is printed.
// Invariant: problems keep the order in which the file's rules are checked; the first is the one Supervisor reports.

/** Why a configuration is refused. `text` is Supervisor's wording where it has one. */
export interface ConfigProblem {
  readonly file: string;
  /** 1-based; undefined where no single line is to blame. */
  readonly line: number | undefined;
  readonly section: string | undefined;
  readonly key: string | undefined;
  readonly text: string;
  /** What would be right; undefined where `text` says it already. */
  readonly advice: string | undefined;
}

/** A likely mistake that is not an error. */
export interface ConfigHint {
  readonly file: string;
  readonly line: number;
  readonly section: string;
  readonly key: string | undefined;
  readonly text: string;
}

/** Thrown by readers of single values: the text does not fit. `advice` says what would. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
  constructor(
    message: string,
    readonly advice?: string,
  ) {
    super(message);
  }
}

/** At most this many problems are collected; a file that is not a configuration at all would have thousands. */
const PROBLEMS_MAX = 200;

/** Collects problems in order; a key in one place is blamed once, for the first thing wrong with it. */
export class Problems {
  readonly #list: ConfigProblem[] = [];
  readonly #seen = new Set<string>();

  /** Everything collected so far. */
  get list(): readonly ConfigProblem[] {
    return this.#list;
  }

  /**
   * Adds a problem unless its place is blamed already or the limit (200) is reached. `item` tells apart several
   * places in one value, e.g. the members of a list.
   */
  add(problem: ConfigProblem, item = ''): void {
    const { file, line, key, text } = problem;
    const isPlaced = line !== undefined && key !== undefined;
    const identity = JSON.stringify(isPlaced ? [file, line, key, item] : [file, line, text]);
    if (this.#list.length >= PROBLEMS_MAX || this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.#list.push(problem);
  }
}

/** A problem of a whole file. */
export function fileProblem(file: string, text: string): ConfigProblem {
  return { file, line: undefined, section: undefined, key: undefined, text, advice: undefined };
}

/** `file:line: [section] key: text (advice)` with what is known. */
export function formatProblem(problem: ConfigProblem): string {
  const line = problem.line === undefined ? '' : `:${problem.line}`;
  const section = problem.section === undefined ? '' : `[${problem.section}] `;
  const key = problem.key === undefined ? '' : `${problem.key}: `;
  const advice = problem.advice === undefined ? '' : ` (${problem.advice})`;
  return `${problem.file}${line}: ${section}${key}${problem.text.replaceAll('\n', ' ')}${advice}`;
}

/**
 * What a refused configuration prints on standard error: Supervisor's two lines for the first problem, then every
 * problem with its place, one a line (spec config 1). `program` is argv[0] as invoked. Ends with a newline.
 */
export function formatProblems(problems: readonly ConfigProblem[], program: string): string {
  const [first] = problems;
  const lines = [`Error: ${first?.text ?? 'unknown'}`, `For help, use ${program} -h`];
  for (const problem of problems) lines.push(formatProblem(problem));
  return `${lines.join('\n')}\n`;
}

/** One hint as a line: `file:line: hint: [section] key: text`. */
export function formatHint(hint: ConfigHint): string {
  const key = hint.key === undefined ? '' : `${hint.key}: `;
  return `${hint.file}:${hint.line}: hint: [${hint.section}] ${key}${hint.text}`;
}
