// A rollout as it is shown: whole, or what changed between two states of it.
import type { RolloutRecord, RolloutTargetRecord } from './ports.js';
import { batchCount, type Rollout } from './rollout/rollout.js';

function showTarget(entry: Rollout['targets'][number]): RolloutTargetRecord {
  return {
    target: entry.target,
    batch: entry.batch,
    state: entry.state,
    message: entry.message,
  };
}

/** A rollout as the fleet sees it, whole. */
export function toRecord(rollout: Rollout): RolloutRecord {
  const { id, action, actor, state, reason, batch, startedWallMs } = rollout;
  const targets = rollout.targets.map(showTarget);
  const head = { id, action, actor, state, reason, batch, startedWallMs };
  return { ...head, batches: batchCount(rollout), targets, partial: false };
}

/** Only the targets that changed between two states of one rollout. */
export function difference(before: Rollout, after: Rollout): RolloutRecord {
  const targets = after.targets
    .filter((entry, at) => {
      const old = before.targets[at];
      return old?.state !== entry.state || old.message !== entry.message;
    })
    .map(showTarget);
  return { ...toRecord(after), targets, partial: true };
}
