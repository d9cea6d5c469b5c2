// A merged document -> AgentConfig, or everything that is wrong with it, in Supervisor's order (spec config 13). Pure.
import { Problems } from '../../common/problems.js';
import type { IniDocument } from '../../common/ini.js';
import { ParseContext } from './context.js';
import {
  automaticServerUrl,
  parseDaemon,
  parseDaemonUser,
  parseRpcInterfaces,
  type DaemonOverrides,
} from './daemon.js';
import { parseFleet } from './fleet.js';
import { parseGroups, runnableGroups } from './groups.js';
import { findHints } from './hints.js';
import { parseServers } from './servers.js';
import type { ConfigHint, ConfigResult, ConfigWorld } from './types.js';

/** What load.ts has read. */
export interface ParseInput {
  readonly document: IniDocument;
  /** The configuration file as given, and its absolute folder. */
  readonly file: string;
  readonly here: string;
  readonly world: ConfigWorld;
  readonly overrides: DaemonOverrides;
  /** Log lines and hints that reading the files gave. */
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly hints: readonly ConfigHint[];
}

/** Makes sense of a document; never throws for what a file says. */
export function parseConfig(input: ParseInput): ConfigResult {
  const problems = new Problems();
  const { document, file, here } = input;
  const main = document.sections.get('supervisord');
  if (main === undefined) {
    problems.add({
      file,
      line: undefined,
      section: 'supervisord',
      key: undefined,
      text: '.ini file does not include supervisord section',
      advice: 'add a line [supervisord]; the section may be empty',
    });
  }
  const section = main ?? { name: 'supervisord', file, line: 0, fields: new Map() };
  const context = new ParseContext(document, file, here, input.world, problems);
  context.warnings.push(...input.warnings);
  const { userText, ...draft } = parseDaemon(context, section, input.overrides);
  const rpcInterfaces = parseRpcInterfaces(context);
  const declaredGroups = parseGroups(context, draft.environment);
  const servers = parseServers(context);
  const user = parseDaemonUser(context, section, userText);
  const fleet = parseFleet(context);
  if (problems.list.length > 0) return { ok: false, problems: problems.list };
  return {
    ok: true,
    config: {
      file,
      here,
      daemon: { ...draft, user, serverUrl: automaticServerUrl(servers) },
      servers,
      rpcInterfaces,
      groups: runnableGroups(declaredGroups),
      declaredGroups,
      fleet,
      warnings: context.warnings,
      infos: input.infos,
      hints: [...input.hints, ...findHints(document, declaredGroups)],
    },
  };
}
