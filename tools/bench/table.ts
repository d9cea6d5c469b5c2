// The table that `npm run bench` prints. Pure: verdicts in, lines out.
import type { Summary, Verdict } from './stats.js';

const HEAD = ['', 'unit', 'supervisord', 'fleetvisor', 'times better', 'goal', 'met'];

/** One line a verdict, notes below; columns aligned. */
export function renderTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((verdict) => [
    verdict.name,
    verdict.unit,
    spread(verdict.supervisord),
    spread(verdict.fleetvisor),
    verdict.times === undefined ? '-' : `${digits(verdict.times)}x`,
    goalText(verdict),
    { true: 'yes', false: 'NO', undefined: '-' }[String(verdict.isMet) as 'true'],
  ]);
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const notes = verdicts.flatMap(({ name, note }) =>
    note === undefined ? [] : `${name}: ${note}`,
  );
  return [line(HEAD), ...rows.map(line), ...(notes.length > 0 ? ['', ...notes] : [])].join('\n');
}

function spread(summary: Summary | undefined): string {
  if (summary === undefined) return '-';
  const median = digits(summary.median);
  if (summary.runs === 1) return median;
  return `${median} (${digits(summary.min)}..${digits(summary.max)})`;
}

function goalText({ goal, unit }: Verdict): string {
  if (goal === undefined) return '-';
  return goal.kind === 'times' ? `>= ${digits(goal.atLeast)}x` : `<= ${digits(goal.value)} ${unit}`;
}

/** Three significant digits, no exponent. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
