// Which children of the last life belong to which process of today's configuration (spec fleet 2). Pure.
// Invariants: what lives is never started twice; what cannot be told for certain is neither killed nor duplicated.
import { nameKey, type NameSpec } from '../common/names.js';
import { toExitStatus } from './engine-words.js';
import type { Adoption } from './engine/types.js';
import type { Remembered } from './memory.js';
import type { ChildRecord } from './spawner.js';
import { decodeTag, type ChildTag } from './tag.js';

/** A child that the keeper holds and a process is configured for. */
export interface Claimed {
  readonly name: NameSpec;
  readonly record: ChildRecord;
  readonly tag: ChildTag;
  /** The engine hears of it through its adoption; others are only drained and forgotten. */
  readonly isAdopted: boolean;
}

/** A child that nobody is configured for. */
export interface Stranger {
  readonly record: ChildRecord;
  /** undefined: no tag of ours. */
  readonly name: NameSpec | undefined;
}

export interface AdoptionPlan {
  readonly adoptions: readonly Adoption[];
  readonly claimed: readonly Claimed[];
  readonly strangers: readonly Stranger[];
}

/**
 * Matches the keeper's records with the configured names and what was remembered. `mayLive` says whether a
 * remembered child that the keeper does not hold could still be there (its keeper died).
 */
export function planAdoption(
  configured: readonly NameSpec[],
  records: readonly ChildRecord[],
  previous: ReadonlyMap<string, Remembered>,
  mayLive: (remembered: Remembered) => boolean,
): AdoptionPlan {
  const wanted = new Set(configured.map(nameKey));
  const byName = new Map<string, { record: ChildRecord; tag: ChildTag }[]>();
  const strangers: Stranger[] = [];
  for (const record of records) {
    const tag = decodeTag(record.tag);
    const key = tag === undefined ? undefined : nameKey(tag);
    if (tag === undefined || key === undefined || !wanted.has(key)) {
      const name = tag === undefined ? undefined : { group: tag.group, process: tag.process };
      strangers.push({ record, name });
      continue;
    }
    byName.set(key, [...(byName.get(key) ?? []), { record, tag }]);
  }
  const adoptions: Adoption[] = [];
  const claimed: Claimed[] = [];
  for (const name of configured) {
    const held = byName.get(nameKey(name)) ?? [];
    const chosen = choose(held.map(({ record }) => record));
    for (const { record, tag } of held) {
      // Two live ones cannot be: keep the younger, leave the other alone.
      if (record !== chosen && record.exit === undefined) strangers.push({ record, name });
      else claimed.push({ name, record, tag, isAdopted: record === chosen && !isKnown(record) });
    }
    const adoption = toAdoption(name, chosen, previous.get(nameKey(name)), mayLive);
    if (adoption !== undefined) adoptions.push(adoption);
  }
  return { adoptions, claimed, strangers };
}

const isKnown = (record: ChildRecord): boolean => record.exit?.acknowledged === true;

/** The live child, else the last one whose end nobody knows yet. */
function choose(records: readonly ChildRecord[]): ChildRecord | undefined {
  const youngest = [...records].sort((a, b) => b.spawn - a.spawn);
  return (
    youngest.find((record) => record.exit === undefined) ??
    youngest.find((record) => !isKnown(record))
  );
}

function toAdoption(
  name: NameSpec,
  record: ChildRecord | undefined,
  remembered: Remembered | undefined,
  mayLive: (remembered: Remembered) => boolean,
): Adoption | undefined {
  const previous = remembered;
  if (record !== undefined) {
    const { spawn, pid, startedAtMs, exit } = record;
    const child = { spawn, pid, startedAtMs };
    if (exit === undefined) return { name, previous, child: { kind: 'alive', ...child } };
    const ended = { exit: toExitStatus(exit.status), atMs: exit.atMs };
    return { name, previous, child: { kind: 'ended', ...child, ...ended } };
  }
  // Never heard of: it starts as if for the first time.
  if (remembered === undefined) return undefined;
  if (remembered.pid !== 0 && mayLive(remembered)) {
    const { spawn, pid } = remembered;
    const why = `pid ${pid} was started under a keeper that is gone; it is left alone until it ends`;
    return { name, previous, child: { kind: 'doubtful', spawn, pid, why } };
  }
  return { name, previous, child: { kind: 'none' } };
}
