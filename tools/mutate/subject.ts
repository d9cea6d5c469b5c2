// What is run against each mutant: the engine's unit tests, then a few simulated worlds; the first failure ends it.
// Runs inside a worker, from a bundle in which `node:test` is the stand-in below.
import { parentPort } from 'node:worker_threads';
import { World } from '../../test/sim/engine/world.js';
import { ENGINE_SEEDS } from '../../test/sim/seeds.js';
import { takeTests } from './collect.js';

import '../../test/unit/agent/engine/adopt.test.js';
import '../../test/unit/agent/engine/configure.test.js';
import '../../test/unit/agent/engine/deadlines.test.js';
import '../../test/unit/agent/engine/describe.test.js';
import '../../test/unit/agent/engine/engine.test.js';
import '../../test/unit/agent/engine/messages.test.js';
import '../../test/unit/agent/engine/order.test.js';
import '../../test/unit/agent/engine/process-stop.test.js';
import '../../test/unit/agent/engine/process.test.js';
import '../../test/unit/agent/engine/requests-waiting.test.js';
import '../../test/unit/agent/engine/requests.test.js';
import '../../test/unit/agent/engine/restart.test.js';
import '../../test/unit/agent/engine/shutdown.test.js';
import '../../test/unit/common/states.test.js';

/** Worlds per mutant that the unit tests let through. */
const WORLDS = 60;

parentPort?.postMessage(firstFailure());

/** Name of the test or seed that fails; empty: all pass. */
function firstFailure(): string {
  for (const { name, run } of takeTests()) {
    if (fails(run)) return name;
  }
  for (const { seed } of ENGINE_SEEDS) {
    if (fails(() => new World(seed).run())) return `seed ${seed}`;
  }
  for (let seed = 1; seed <= WORLDS; seed++) {
    if (fails(() => new World(seed).run())) return `seed ${seed}`;
  }
  return '';
}

function fails(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}
