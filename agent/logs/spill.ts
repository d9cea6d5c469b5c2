// Appends what the keeper kept aside while no agent was there, so that logs have no hole (design 4).
// Invariant: bytes that were dropped are said in the activity log, never passed over in silence.
import { closeSync, openSync, readSync } from 'node:fs';
import type { NameSpec } from '../../common/names.js';
import type { LogChannel } from '../core.js';
import type { Spill } from '../spawner.js';
import type { ActivityLog } from './activity.js';
import type { ByteSink } from './capture.js';

const BLOCK_BYTES = 64 * 1024;

/** Copies one spill file into its log. A file that cannot be read is an error line, not a failure. */
export function appendSpill(
  name: NameSpec,
  channel: LogChannel,
  spill: Spill,
  sink: ByteSink,
  log: ActivityLog,
): void {
  if (spill.path !== undefined && spill.spilledBytes > 0) {
    try {
      copy(spill.path, sink);
    } catch (error) {
      log.log(
        'error',
        `could not read ${spill.path}, which holds ${channel} of '${name.process}' from while no agent ran: ` +
          (error as Error).message,
      );
    }
  }
  if (spill.droppedBytes > 0)
    log.log(
      'error',
      `${spill.droppedBytes} bytes of ${channel} of '${name.process}' were lost while no agent ran`,
    );
}

function copy(path: string, sink: ByteSink): void {
  const fd = openSync(path, 'r');
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (;;) {
      const count = readSync(fd, block, 0, BLOCK_BYTES, null);
      if (count === 0) return;
      sink(block.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}
