// Likely mistakes that Supervisor accepts in silence: unknown sections, misspelt keys, keys swallowed by indentation,
// definitions that another one replaces. Pure. Hints never change what a file means and never refuse it.
import { findField, type IniDocument, type IniField, type IniSection } from '../../common/ini.js';
import { nearestName, suggestSection, type SectionKind } from '../../common/sections.js';
import { SECTION_KINDS } from './schema.js';
import type { ConfigHint, GroupConfig } from './types.js';

/** All hints of a document, in file order, then those about groups. */
export function findHints(
  document: IniDocument,
  declaredGroups: readonly GroupConfig[],
): ConfigHint[] {
  const hints: ConfigHint[] = [];
  for (const section of document.sections.values()) {
    const kind = SECTION_KINDS.find((candidate) => candidate.matches(section.name));
    if (kind === undefined) hints.push(unknownSection(section));
    else for (const field of section.fields.values()) hints.push(...keyHints(section, kind, field));
  }
  hints.push(...replacedGroups(document, declaredGroups));
  return hints;
}

function unknownSection(section: IniSection): ConfigHint {
  const near = suggestSection(section.name, SECTION_KINDS);
  const advice = near === undefined ? '' : `; did you mean [${near}]?`;
  return {
    file: section.file,
    line: section.line,
    section: section.name,
    key: undefined,
    text: `unknown section, everything in it is ignored${advice}`,
  };
}

function keyHints(section: IniSection, kind: SectionKind, field: IniField): ConfigHint[] {
  const hints: ConfigHint[] = [];
  const known = Object.keys(kind.table);
  const hint = (line: number, key: string, text: string): void => {
    hints.push({ file: field.file, line, section: section.name, key, text });
  };
  if (!kind.open && !known.includes(field.key)) {
    const near = nearestName(field.key, known);
    const advice = near === undefined ? '' : `; did you mean ${near}?`;
    hint(field.line, field.key, `unknown key, it is ignored${advice}`);
  }
  if (field.partLines.length > 1) {
    field.value.split('\n').forEach((part, index) => {
      const line = field.partLines[index] ?? field.line;
      const key = /^([a-z_]+)\s*[=:]/i.exec(part)?.[1]?.toLowerCase();
      if (index > 0 && key !== undefined && known.includes(key)) {
        const text = `this line is indented, so it continues the value of ${field.key}; remove the indentation`;
        hint(line, key, text);
      }
    });
  }
  return hints;
}

function replacedGroups(
  document: IniDocument,
  declaredGroups: readonly GroupConfig[],
): ConfigHint[] {
  const hints: ConfigHint[] = [];
  const kept = new Map<string, GroupConfig>();
  const add = (name: string, key: string | undefined, text: string): void => {
    const section = document.sections.get(name);
    if (section === undefined) return;
    const field = key === undefined ? undefined : findField(document, section, key);
    const { file, line } = field ?? section;
    hints.push({ file, line, section: name, key, text });
  };
  for (const group of declaredGroups) {
    const first = kept.get(group.name);
    if (first !== undefined) {
      const text = `a second group named ${group.name}: only [${sectionOf(first)}] is run`;
      add(sectionOf(group), undefined, text);
      continue;
    }
    kept.set(group.name, group);
    const seen = new Set<string>();
    for (const process of group.processes) {
      if (seen.has(process.name)) {
        const text = `${group.name} has two processes named ${process.name}: only the last one is run`;
        add(process.source.section, 'process_name', text);
        break;
      }
      seen.add(process.name);
    }
  }
  return hints;
}

function sectionOf(group: GroupConfig): string {
  if (group.kind === 'group') return `group:${group.name}`;
  const prefix = group.kind === 'fcgi' ? 'fcgi-program' : group.kind;
  return group.processes[0]?.source.section ?? `${prefix}:${group.name}`;
}
