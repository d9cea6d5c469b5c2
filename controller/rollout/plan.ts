// Targets into batches: order and size (spec fleet 9). Pure.
import type { TargetName } from '../../common/rows.js';

/** Percent when neither a number nor a percentage is given. */
export const BATCH_PERCENT_DEFAULT = 10;

export interface BatchSize {
  /** Targets at once; 0: not given. */
  readonly batch: number;
  /** 0: not given; wins over `batch`. */
  readonly batchPercent: number;
}

/** How many targets are touched at once: percentages are rounded down, at least one. */
export function batchSize(size: BatchSize, targets: number): number {
  if (size.batchPercent > 0 || size.batch <= 0) {
    const percent = size.batchPercent > 0 ? size.batchPercent : BATCH_PERCENT_DEFAULT;
    return Math.max(1, Math.floor((targets * Math.min(percent, 100)) / 100));
  }
  return Math.max(1, Math.floor(size.batch));
}

/** Batches in the order of `targets`, which the resolver has sorted by host, priority and name. */
export function planBatches(targets: readonly TargetName[], size: BatchSize): TargetName[][] {
  const step = batchSize(size, targets.length);
  const batches: TargetName[][] = [];
  for (let at = 0; at < targets.length; at += step) batches.push(targets.slice(at, at + step));
  return batches;
}
