// A fingerprint of what an agent runs, so that a fleet sees which hosts differ. Secrets are not part of it.
import { createHash } from 'node:crypto';
import type { AgentConfig } from './config/types.js';

/** SHA-256, in hex, of the groups and daemon options without values of environments and without passwords. */
export function configHash(config: AgentConfig): string {
  const { daemon, groups, servers, fleet } = config;
  const text = JSON.stringify({ daemon, groups, servers, fleet }, (key, value: unknown) => {
    if (key === 'environment') return Object.keys(value as object).sort();
    return key === 'credentials' ? value !== undefined : value;
  });
  return createHash('sha256').update(text).digest('hex');
}
