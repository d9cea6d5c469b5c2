// UUID version 7: command and rollout ids that sort by the time they were made (RFC 9562).
import type { Random } from './random.js';

/** A new id from the wall clock (milliseconds since 1970) and 74 random bits. */
export function uuidv7(wallMs: number, random: Random): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(Math.max(0, Math.floor(wallMs)) % 2 ** 48, 0, 6);
  bytes.set(random.bytes(10), 6);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}
