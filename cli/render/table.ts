// Tables: columns as wide as their content, the last one free, cut to the terminal, coloured by a function. Pure.
import { fitWidth } from './text.js';

/** One cell. `paint` colours the text after it was measured. */
export interface Cell {
  readonly text: string;
  readonly paint?: Paint;
}

export type Paint = 'green' | 'yellow' | 'red' | 'dim';

const CODES: Readonly<Record<Paint, string>> = {
  green: '\x1b[32m',
  yellow: '\x1b[33m',
  red: '\x1b[31m',
  dim: '\x1b[2m',
};

export interface TableStyle {
  /** Terminal columns; undefined: no limit. */
  readonly width: number | undefined;
  readonly color: boolean;
}

/** Colours text when the style allows. */
export function painted(text: string, paint: Paint | undefined, color: boolean): string {
  return color && paint !== undefined && text !== '' ? `${CODES[paint]}${text}\x1b[0m` : text;
}

/** Lines of a table; every row has the same number of cells. Two blanks between columns. */
export function renderTable(rows: readonly (readonly Cell[])[], style: TableStyle): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.text.length)));
  }
  return rows.map((row) => {
    let line = '';
    let used = 0;
    for (const [i, cell] of row.entries()) {
      const last = i === row.length - 1;
      const room = style.width === undefined ? undefined : Math.max(0, style.width - used);
      const text = fitWidth(cell.text, room);
      const gap = last ? 0 : (widths[i] ?? 0) - text.length + 2;
      line += painted(text, cell.paint, style.color) + ' '.repeat(Math.max(0, gap));
      used += text.length + gap;
      if (style.width !== undefined && used >= style.width) break;
    }
    return line.trimEnd();
  });
}
