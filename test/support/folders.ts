// Temporary folders that go away with the test that asked for them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What of a test's context is used here, so that hooks and tests both fit. */
export interface Cleanup {
  after(clean: () => Promise<void>): void;
}

/** A new folder under /tmp with a short name (unix sockets fit below 107 bytes), removed after the test. */
export async function temporaryFolder(context: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fv-'));
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
