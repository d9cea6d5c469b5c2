// What the options of the fleet's command line mean once they are read: scope, conditions, controllers, certificates.
import { existsSync } from 'node:fs';
import { FleetError } from '../common/errors.js';
import type { TlsFiles } from '../common/tls.js';
import { defaultCtlConf, loadCtlConfig, type CtlConfig } from './config.js';
import type { Context, ScopeOptions } from './context.js';
import { parseCount } from './durations.js';
import { explainProblems } from './problems.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Options as commander hands them over, global and of the action merged. */
export interface Options {
  readonly config?: string;
  readonly controller?: string[];
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly json?: boolean;
  readonly output?: string;
  readonly host?: string[];
  readonly label?: string[];
  readonly allHosts?: boolean;
  readonly exclude?: string[];
  readonly expect?: number;
  readonly maxTargets?: number;
  readonly timeout?: number;
  readonly id?: string;
  readonly ifEpoch?: number;
  readonly ifRev?: number;
  readonly ifSpawn?: number;
  readonly follow?: boolean;
  readonly lines?: number;
  readonly bytes?: number;
  readonly prefix?: 'none' | 'host' | 'full';
  readonly raw?: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly type?: string[];
  readonly limit?: number;
  readonly rolling?: boolean;
  readonly batch?: string;
  readonly soak?: number;
  readonly maxFailures?: number;
  readonly unreachable?: 'fail' | 'skip';
  readonly all?: boolean;
  readonly dir?: string;
  readonly fleet?: string;
  readonly san?: string[];
  readonly days?: string;
}

/** Addresses in the order in which they are tried. Throws FleetError USAGE when none is known. */
export function controllersOf(
  options: Options,
  config: CtlConfig | undefined,
  env: Environment,
): string[] {
  const fromEnv = env['FLEETVISOR_CONTROLLER'];
  const given = options.controller ?? (options.config === undefined && fromEnv ? [fromEnv] : []);
  const listed = given.flatMap((text) => text.split(',')).map((text) => text.trim());
  if (listed.length > 0) return listed.map(checkAddress);
  const configured = (config?.controllers ?? []).map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  if (configured.length > 0) return configured;
  throw new FleetError('USAGE', 'no controller is known', {
    hint: 'give --controller HOST:PORT or -C ctl.conf',
  });
}

/** ctl.conf, when there is one, and the certificate files, which are asked for only when something is dialled. */
export function configurationOf(
  options: Options,
  env: Environment,
): {
  config: CtlConfig | undefined;
  tls: () => TlsFiles;
} {
  const file = options.config ?? defaultCtlConf(env);
  let config: CtlConfig | undefined;
  if (options.config !== undefined || existsSync(file)) {
    const loaded = loadCtlConfig(file, presentOnly(env));
    if (!loaded.ok) throw explainProblems(file, loaded.problems);
    config = loaded.config;
  }
  const tls = (): TlsFiles => {
    const need = (name: 'ca' | 'cert' | 'key'): string => {
      const path = options[name] ?? config?.[name];
      if (path !== undefined) return path;
      throw new FleetError('USAGE', `no ${name}= in ${file} and no --${name}`, {
        hint: "'ctl certs issue user NAME' makes a certificate for you",
      });
    };
    return { ca: need('ca'), cert: need('cert'), key: need('key') };
  };
  return { config, tls };
}

function presentOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function checkAddress(text: string): string {
  if (/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/.test(text)) return text;
  throw new FleetError('USAGE', `'${text}' is not an address of a controller`, {
    hint: 'write HOST:PORT, e.g. 127.0.0.1:9500',
  });
}

/** --json or -o json. */
export function wantsJson(options: Options): boolean {
  return options.json === true || options.output === 'json';
}

/** The host scope and the limits of a selection. */
export function scopeOf(options: Options): ScopeOptions {
  return {
    hosts: options.host ?? [],
    labels: options.label ?? [],
    allHosts: options.allHosts === true,
    exclude: options.exclude ?? [],
    expect: options.expect,
    maxTargets: options.maxTargets ?? 0,
  };
}

/** Id and preconditions of a change. Throws FleetError USAGE. */
export function conditions(options: Options): {
  id: string | undefined;
  ifEpoch: number;
  ifSeq: number;
  ifSpawn: number;
} {
  const { id, ifEpoch = 0, ifRev = 0, ifSpawn = 0 } = options;
  if (id !== undefined && !/^[A-Za-z0-9._-]{1,64}$/.test(id)) {
    throw new FleetError('USAGE', `--id '${id}' is not usable`, {
      hint: 'use letters, digits, dots, dashes and underscores, at most 64',
    });
  }
  return { id, ifEpoch, ifSeq: ifRev, ifSpawn };
}

/** A rolling restart with its defaults (spec fleet 9). */
export async function runRollout(
  context: Context,
  selectors: string[],
  options: Options,
): Promise<number> {
  const { runRolling } = await import('./commands/rollout.js');
  const { batch = '10%' } = options;
  const percent = batch.endsWith('%');
  const size = parseCount(percent ? batch.slice(0, -1) : batch, '--batch', 1);
  if (percent && size > 100) throw new FleetError('USAGE', `--batch ${batch} is more than all`);
  return runRolling(context, {
    action: 'restart',
    selectors,
    batch: percent ? 0 : size,
    batchPercent: percent ? size : 0,
    soakMs: options.soak ?? 10_000,
    maxFailures: options.maxFailures ?? 0,
    unreachable: options.unreachable ?? 'fail',
    id: conditions(options).id,
  });
}

/** supervisorctl's `tail -1000 NAME` means the last 1000 bytes. */
export function oldTail(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf('tail');
  const option = argv[at + 1] ?? '';
  if (at < 0 || !/^-\d+$/.test(option)) return argv;
  return [...argv.slice(0, at + 1), '-c', option.slice(1), ...argv.slice(at + 2)];
}

/** Collects the values of an option that may be repeated. */
export const collect = (value: string, earlier: string[] | undefined): string[] => [
  ...(earlier ?? []),
  value,
];

/** Throws FleetError USAGE for options that only a rolling restart has. */
export function refuseStray(options: Options): void {
  const rolling = ['batch', 'soak', 'maxFailures', 'unreachable'] as const;
  const stray = rolling.find((name) => options[name] !== undefined);
  if (stray === undefined) return;
  const flag = stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new FleetError('USAGE', `--${flag} is for rolling restarts`, { hint: 'add --rolling' });
}

/** A level of the command line: its options, and the level above. */
interface Level {
  opts(): Readonly<Record<string, unknown>>;
  readonly parent: Level | null;
}

/** What commander hands over, taken apart: the arguments, then the action's own options, then the command. */
export function unpack(all: readonly unknown[]): { args: string[]; options: Options } {
  const args = all.slice(0, -2).flat() as (string | undefined)[];
  const merged: Record<string, unknown> = {};
  for (let at = all.at(-1) as Level | null; at !== null; at = at.parent) {
    for (const [name, value] of Object.entries(at.opts())) {
      const inner = merged[name];
      // Lists add up over the levels; of single values the one nearest to the action counts.
      if (Array.isArray(inner) && Array.isArray(value)) {
        merged[name] = [...(value as unknown[]), ...(inner as unknown[])];
      } else merged[name] ??= value;
    }
  }
  return { args: args.filter((text): text is string => text !== undefined), options: merged };
}
