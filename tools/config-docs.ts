// The tables of docs/configuration.md, made from the tables that the programs read by.
// `node --import tsx tools/config-docs.ts` writes them anew; a test demands that nothing would change.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { SECTION_KINDS } from '../agent/config/schema.js';
import { CTL_KINDS } from '../cli/config.js';
import type { SectionKind } from '../common/sections.js';
import { CONTROLLER_KINDS } from '../controller/schema.js';

const PAGE = new URL('../docs/configuration.md', import.meta.url);

const TABLES: Readonly<Record<string, readonly SectionKind[]>> = {
  supervisord: SECTION_KINDS,
  controller: CONTROLLER_KINDS,
  ctl: CTL_KINDS,
};

function renderKind(kind: SectionKind): string {
  const rows = Object.entries(kind.table).map(([key, { shown, what, ours }]) => [
    `\`${key}\``,
    shown === '' || shown === 'required' ? '' : `\`${shown}\``,
    (ours ? `${what} (ours)` : what).replaceAll('|', '\\|'),
  ]);
  return [
    `### \`[${kind.title}]\``,
    '',
    ...table([['Key', 'Default', 'What it is'], ...rows]),
  ].join('\n');
}

/** Columns padded as Prettier pads them, so that the page passes its check. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2].map((column) =>
    Math.max(3, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const [head, ...body] = rows.map((row) =>
    line(row.map((cell, column) => cell.padEnd(widths[column] as number))),
  );
  return [head as string, line(widths.map((width) => '-'.repeat(width))), ...body];
}

/** The page with its marked parts replaced by what the tables say. */
export function renderPage(page: string): string {
  let rendered = page;
  for (const [name, kinds] of Object.entries(TABLES)) {
    const [start, end] = [`<!-- keys of ${name} -->`, `<!-- end of ${name} -->`];
    const from = rendered.indexOf(start);
    const to = rendered.indexOf(end);
    if (from < 0 || to < from)
      throw new Error(`docs/configuration.md lacks the marks ${start} and ${end}`);
    const tables = kinds.map(renderKind).join('\n\n');
    rendered = `${rendered.slice(0, from + start.length)}\n\n${tables}\n\n${rendered.slice(to)}`;
  }
  return rendered;
}

/** The page as it stands. */
export function readPage(): string {
  return readFileSync(PAGE, 'utf8');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(PAGE, renderPage(readPage()));
}
