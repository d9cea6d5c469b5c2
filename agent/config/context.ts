// What all parts of the parser share while one configuration is read. Pure.
import { environmentNames, type ExpansionNames, type ExpansionValue } from '../../common/expand.js';
import type { IniDocument, IniSection } from '../../common/ini.js';
import type { Problems } from '../../common/problems.js';
import { SectionReader, type SectionTable } from '../../common/sections.js';
import type { ConfigWorld } from './types.js';

/** One run of the parser: what it reads from, and what it has found so far. */
export class ParseContext {
  readonly problems: Problems;
  readonly warnings: string[] = [];
  /** `ENV_*` of the daemon's environment; `[supervisord] environment` is added once it has been read. */
  readonly envNames: Map<string, ExpansionValue>;
  readonly hereNames: ReadonlyMap<string, ExpansionValue>;

  constructor(
    readonly document: IniDocument,
    /** The configuration file as given. */
    readonly file: string,
    /** Its absolute folder. */
    readonly here: string,
    readonly world: ConfigWorld,
    problems: Problems,
  ) {
    this.problems = problems;
    this.envNames = environmentNames(world.env);
    this.hereNames = new Map([['here', here]]);
  }

  /** A reader in which `ENV_*` and the given names are known. */
  reader<Table extends SectionTable>(
    section: IniSection,
    table: Table,
    names: ExpansionNames = [],
    suffix = '',
  ): SectionReader<Table> {
    return new SectionReader(this, section, table, [this.envNames, ...names], suffix);
  }

  /** Sections whose name begins with `prefix`, in file order. */
  sectionsWith(prefix: string): IniSection[] {
    return [...this.document.sections.values()].filter(({ name }) => name.startsWith(prefix));
  }
}

/** The part of a section's name after its first colon; undefined without a colon. */
export function nameAfterColon(section: string): string | undefined {
  const colon = section.indexOf(':');
  return colon < 0 ? undefined : section.slice(colon + 1);
}
