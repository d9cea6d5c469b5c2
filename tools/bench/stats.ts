// What a trial answers, and how samples become a verdict. Pure.

/** The two that are compared. */
export type Side = 'supervisord' | 'fleetvisor';

/** `times`: better than supervisord by this factor at the median; `atMost`: our median, in the row's unit. */
export type Goal =
  | { readonly kind: 'times'; readonly atLeast: number }
  | { readonly kind: 'atMost'; readonly value: number };

export interface Row {
  readonly name: string;
  /** Of every sample, e.g. `ms`, `MB/s`, `% of a core`. */
  readonly unit: string;
  readonly better: 'less' | 'more';
  readonly goal?: Goal;
  /** One number a run; a side without samples was not measured. */
  readonly samples: Readonly<Partial<Record<Side, readonly number[]>>>;
  /** What a reader must know about this row. */
  readonly note?: string;
}

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

/** A row as data: what `--json` prints. */
export interface Verdict extends Row {
  readonly supervisord: Summary | undefined;
  readonly fleetvisor: Summary | undefined;
  /** How many times better ours is at the median; below 1 is worse. */
  readonly times: number | undefined;
  /** undefined: no goal, or nothing to compare with. */
  readonly isMet: boolean | undefined;
}

/** Linear between neighbours; `share` 0..1. NaN of nothing. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? NaN;
  const high = sorted[Math.ceil(place)] ?? NaN;
  return low + (high - low) * (place - Math.floor(place));
}

export function judge(row: Row): Verdict {
  const supervisord = summarise(row.samples.supervisord);
  const fleetvisor = summarise(row.samples.fleetvisor);
  const times = timesBetter(row.better, supervisord, fleetvisor);
  return { ...row, supervisord, fleetvisor, times, isMet: meets(row, fleetvisor, times) };
}

function summarise(samples: readonly number[] | undefined): Summary | undefined {
  if (samples === undefined || samples.length === 0) return undefined;
  return {
    median: quantile(samples, 0.5),
    min: Math.min(...samples),
    max: Math.max(...samples),
    runs: samples.length,
  };
}

function timesBetter(
  better: Row['better'],
  supervisord: Summary | undefined,
  fleetvisor: Summary | undefined,
): number | undefined {
  if (supervisord === undefined || fleetvisor === undefined) return undefined;
  const [large, small] =
    better === 'less'
      ? [supervisord.median, fleetvisor.median]
      : [fleetvisor.median, supervisord.median];
  return large / small;
}

function meets(
  row: Row,
  fleetvisor: Summary | undefined,
  times: number | undefined,
): boolean | undefined {
  if (row.goal === undefined) return undefined;
  if (row.goal.kind === 'times') return times === undefined ? undefined : times >= row.goal.atLeast;
  return fleetvisor === undefined ? undefined : fleetvisor.median <= row.goal.value;
}
