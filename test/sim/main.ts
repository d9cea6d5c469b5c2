// `npm run sim -- --seeds N` lives through N random worlds; `--seed K` replays one; `--from K` begins at K.
// Ends with exit code 1 and a line to replay at the first seed that breaks a rule.
import { parseArgs } from 'node:util';
import { World } from './engine/world.js';
import { ENGINE_SEEDS } from './seeds.js';

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
});
const startedAtMs = performance.now();
const total = { worlds: 0, inputs: 0, spawns: 0, requests: 0, restarts: 0 };

for (const seed of chosenSeeds()) {
  try {
    const report = new World(seed).run();
    total.worlds += 1;
    total.inputs += report.inputs;
    total.spawns += report.spawns;
    total.requests += report.requests;
    total.restarts += report.restarts;
  } catch (error) {
    console.error(`seed ${seed} breaks a rule: ${error instanceof Error ? error.message : error}`);
    console.error(`replay: npm run sim -- --seed ${seed}`);
    if (values.seed !== undefined) console.error(error);
    process.exitCode = 1;
    break;
  }
}
const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
console.log(
  `${total.worlds} worlds, ${total.inputs} inputs, ${total.spawns} spawns, ` +
    `${total.requests} requests, ${total.restarts} agent restarts in ${seconds} s`,
);

function* chosenSeeds(): Generator<number> {
  if (values.seed !== undefined) {
    yield Number(values.seed);
    return;
  }
  for (const { seed } of ENGINE_SEEDS) yield seed;
  const from = Number(values.from ?? 1);
  for (let i = 0; i < Number(values.seeds ?? 300); i++) yield from + i;
}
