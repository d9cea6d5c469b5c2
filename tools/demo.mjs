// A fleet of three hosts on this machine, in one command: installs, builds, starts, shows, and ends on Ctrl-C.
// Usage: node tools/demo.mjs [--detach | --stop]
import { build } from './build.mjs';
import { ToolError, run, runScript, since } from './command.mjs';
import {
  ctl,
  ctlConf,
  livingProcesses,
  makeCertificates,
  requirePorts,
  startAgents,
  startController,
  stopFleet,
  toolsDir,
  writeFiles,
} from './demo-fleet.mjs';
import { install } from './install.mjs';
import { findNatsServer } from './nats-server.mjs';

const CALL = 'dist/bin/ctl -C .demo/ctl.conf';
const NEXT = `What to try next:
  ${CALL} status --all-hosts
  ${CALL} events -f                       # web1's flaky crashes every 45 s or so
  ${CALL} restart 'web*:web:*'            # sites and APIs of both web hosts
  ${CALL} restart 'web*:web:*' --rolling --batch 1
  ${CALL} tail -f 'web*:worker:*'
  ${CALL} stop db1:store:store            # then: curl http://127.0.0.1:8082/
  ${CALL} tail -f 'db1:alerts-inbox:*'    # what the webhook receiver got
  ${CALL} alerts
  dist/bin/ctl -c .demo/web1/supervisord.conf status    # one host, without the fleet
`;

class Running extends ToolError {}

/** Resolves once a signal asks the demo to end; `isAsked` tells it at once. */
let isAsked = false;
const asked = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      isAsked = true;
      resolve();
    });
  }
});

/** Prints `Doing something ... done (0.4 s)` around a step. */
async function step(name, work) {
  if (isAsked) throw new ToolError('interrupted');
  return timed(name, work);
}

async function timed(name, work) {
  const startedMs = performance.now();
  process.stdout.write(`${name} ... `);
  try {
    const result = await work();
    console.log(`done (${since(startedMs)})`);
    return result;
  } catch (error) {
    console.log('failed');
    throw error;
  }
}

/** Brings the fleet up and answers the processes of its controller and agents. */
async function start() {
  await clearLeftovers();
  await unlessAsked(install);
  await unlessAsked(build);
  await unlessAsked(requirePorts);
  await step('Writing configuration to .demo/', writeFiles);
  const natsDir = await unlessAsked(() => findNatsServer(toolsDir));
  await step('Creating certificates', makeCertificates);
  const controller = await step('Starting the controller and its NATS', () =>
    startController(natsDir),
  );
  const agents = await step('Starting the agents of web1, web2 and db1', startAgents);
  return [controller, ...agents];
}

async function unlessAsked(work) {
  if (isAsked) throw new ToolError('interrupted');
  return work();
}

/** A run that is up is left alone; what a killed run left behind is ended first. */
async function clearLeftovers() {
  const living = await livingProcesses();
  if (living.length === 0) return;
  if (living.some(({ command }) => command.includes('fleetvisor-controller -c'))) {
    throw new Running('it is running already; end it with `npm run demo -- --stop`');
  }
  await step(`Ending ${living.length} processes of an earlier run`, stopFleet);
}

async function show() {
  const status = await run(ctl, ['-C', ctlConf, 'status', '--all-hosts'], { quiet: true });
  console.log(`\n$ ${CALL} status --all-hosts\n${status.output}`);
  console.log(NEXT);
}

/** Starts and shows the fleet; when that fails or is interrupted, nothing half started stays behind. */
async function bringUp() {
  const starting = start();
  // An interrupted start fails as soon as what it waits for is gone.
  void asked.then(stopFleet).catch(() => undefined);
  try {
    const programs = await starting;
    await show();
    return programs;
  } catch (error) {
    if (!(error instanceof Running)) await stopFleet();
    throw isAsked ? new ToolError('interrupted; what it had started is ended') : error;
  }
}

async function runInForeground() {
  const programs = await bringUp();
  console.log('Ctrl-C ends the demo.');
  const ended = programs.map(
    (program) => new Promise((resolve) => program.once('exit', () => resolve())),
  );
  // Programs may be killed and started again by hand; only when all are gone is there nothing to wait for.
  await Promise.race([asked, Promise.all(ended)]);
  console.log('');
  await timed('Ending the demo', stopFleet);
}

async function startDetached() {
  await bringUp();
  console.log('The fleet runs on; `npm run demo -- --stop` ends it.');
  // Its programs are sessions of their own; nothing here has to wait for them.
  process.exit(0);
}

async function stop() {
  if ((await livingProcesses()).length === 0) {
    console.log('The demo is not running.');
    return;
  }
  await timed('Ending the demo', stopFleet);
}

await runScript('demo', async (argv) => {
  const unknown = argv.find((word) => word !== '--detach' && word !== '--stop');
  if (unknown !== undefined) throw new ToolError(`unknown option ${unknown}: --detach or --stop`);
  if (process.platform !== 'linux') throw new ToolError('the demo needs Linux, as the agent does');
  if (argv.includes('--stop')) await stop();
  else if (argv.includes('--detach')) await startDetached();
  else await runInForeground();
  return 0;
});
