// The keys of `[supervisorctl]` and `[ctlplugin:x]`: ctl reads them, the agent must know them to spot misspelt ones
// (spec config 7.4, 7.9).
import { readText } from './fields.js';
import { field, optional, type SectionTable } from './sections.js';

/** `[supervisorctl]` */
export const CONTROL_PROGRAM = {
  serverurl: field(
    readText,
    'http://localhost:9001',
    'http://localhost:9001',
    'where the daemon listens: http://… or unix://…',
  ),
  prompt: field(readText, 'supervisor', 'supervisor', 'prompt of the shell'),
  username: optional(readText, 'user name for that server'),
  password: optional(readText, 'password for that server, in clear'),
  history_file: optional(readText, "file that keeps the shell's history"),
} satisfies SectionTable;

/** `[ctlplugin:x]`; there are no plug-ins, so every factory is refused by ctl. */
export const CONTROL_PLUGIN = {
  'supervisor.ctl_factory': optional(readText, 'factory of the plug-in; required', 'required'),
} satisfies SectionTable;
