// What the engine needs of a configured group: names, priorities and policies, in configured order. Pure.
import type { GroupConfig } from './config/types.js';
import type { GroupSpec } from './engine/types.js';

/** The engine's view of a group; commands, logs and users stay outside. */
export function toGroupSpec(group: GroupConfig): GroupSpec {
  return {
    name: group.name,
    priority: group.priority,
    kind: group.kind,
    processes: group.processes.map((config) => ({
      name: config.name,
      policy: {
        program: config.program,
        priority: config.priority,
        autostart: config.autostart,
        autorestart: config.autorestart,
        startMs: config.startMs,
        startRetries: config.startRetries,
        exitCodes: config.exitCodes,
        stopSignal: config.stopSignal,
        stopWaitMs: config.stopWaitMs,
        stopAsGroup: config.stopAsGroup,
        killAsGroup: config.killAsGroup,
      },
    })),
  };
}
