// A configuration file that cannot be used, as one error: every problem on a line of its own.
import { FleetError } from '../common/errors.js';
import type { ConfigProblem } from '../common/problems.js';

/** CONFIG_INVALID with `file:line: text` for each problem and the first advice as the hint. */
export function explainProblems(file: string, problems: readonly ConfigProblem[]): FleetError {
  const lines = problems.map(({ line, text }) => {
    const place = line === undefined ? file : `${file}:${line}`;
    return text.includes(file) && line === undefined ? text : `${place}: ${text}`;
  });
  const hint = problems.find(({ advice }) => advice !== undefined)?.advice;
  return new FleetError('CONFIG_INVALID', lines.join('\n'), hint === undefined ? {} : { hint });
}
