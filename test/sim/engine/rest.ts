// What must be true of a host on which nothing has happened for long: the view is the truth.
import type { ProcessFacts } from '../../../agent/engine/types.js';
import { nameKey } from '../../../common/names.js';
import { check } from './models.js';
import type { SimSpawner } from './spawner.js';

/** Compares what the engine says with the children that there are. */
export function checkAtRest(
  snapshot: readonly ProcessFacts[],
  spawner: SimSpawner,
  isShutdown: boolean,
): void {
  const known = new Set<number>();
  for (const facts of snapshot) {
    const key = nameKey(facts.name);
    const pids = spawner.alive(facts.name).map(({ pid }) => pid);
    for (const pid of pids) known.add(pid);
    check(facts.state !== 'STARTING', 'nothing is STARTING for ever', key);
    check(facts.state !== 'STOPPING', 'nothing is STOPPING for ever', key);
    check(isShutdown || facts.state !== 'BACKOFF', 'nothing waits in BACKOFF for ever', key);
    if (facts.state === 'UNKNOWN') continue;
    const expected = facts.state === 'RUNNING' ? [facts.pid] : [];
    const what = `${key} is ${facts.state} with pid ${facts.pid}, alive are [${pids.join()}]`;
    check(String(pids) === String(expected), 'at rest the view is the truth', what);
  }
  for (const child of spawner.children.values()) {
    check(child.end === undefined, 'every exit is acknowledged', nameKey(child.name));
    check(known.has(child.pid), 'no living child is forgotten', nameKey(child.name));
  }
}
