// When a process or a host deserves an alert: one row a rule (spec fleet 10). Pure.
import type { HostHeader, ProcessRow } from '../../common/rows.js';

/**
 * What a rule says of the present moment. `hold` is neither: a FATAL process that is starting again has not
 * recovered, and has not failed anew.
 */
export type Verdict = 'active' | 'clear' | 'hold';

export type Severity = 'critical' | 'warning' | 'info';

interface RuleHead {
  readonly name: string;
  readonly severity: Severity;
  /** How long it must be active before it fires, milliseconds. */
  readonly forMs: number;
  /** How long it must be clear before it is resolved, milliseconds. */
  readonly keepMs: number;
}

export interface ProcessRule extends RuleHead {
  judge(row: ProcessRow): Verdict;
  summary(host: string, row: ProcessRow): string;
}

export interface HostRule extends RuleHead {
  judge(header: HostHeader): Verdict;
  summary(header: HostHeader): string;
}

export const PROCESS_RULES: readonly ProcessRule[] = [
  {
    name: 'ProcessFatal',
    severity: 'critical',
    forMs: 0,
    keepMs: 30_000,
    judge(row) {
      if (row.state === 'FATAL') return 'active';
      const recovered = row.state === 'RUNNING' || row.state === 'STOPPED';
      return recovered || row.state === 'EXITED' ? 'clear' : 'hold';
    },
    summary: (host, row) =>
      `${host}:${row.group}:${row.process} gave up starting${row.reason ? `: ${row.reason}` : ''}`,
  },
];

export const HOST_RULES: readonly HostRule[] = [
  {
    name: 'HostDown',
    severity: 'critical',
    forMs: 15_000,
    keepMs: 30_000,
    judge(header) {
      if (header.state === 'down') return 'active';
      return header.state === 'up' || header.state === 'left' ? 'clear' : 'hold';
    },
    summary: (header) =>
      `${header.host} has been silent for ${Math.round(header.heartbeatAgeMs / 1000)} s`,
  },
];

/** The names of the rules that look at processes: what HostDown silences (spec fleet D44). */
export const PROCESS_RULE_NAMES: ReadonlySet<string> = new Set(
  PROCESS_RULES.map((rule) => rule.name),
);
