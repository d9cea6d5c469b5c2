// How much the outbox's disk may hold, and for how long.

/** Numbers of spec fleet 14; tests shrink them. */
export interface SpoolLimits {
  readonly bytesMax: number;
  readonly segmentBytesMax: number;
  readonly memoryEventsMax: number;
  readonly retainAckedMs: number;
  readonly frameEventsMax: number;
  readonly frameBytesMax: number;
  readonly syncMs: number;
  readonly syncRecords: number;
  /** How long a disk that refused is left alone. */
  readonly diskRetryMs: number;
}

export const SPOOL_LIMITS: SpoolLimits = {
  bytesMax: 64 * 1024 * 1024,
  segmentBytesMax: 4 * 1024 * 1024,
  memoryEventsMax: 10_000,
  retainAckedMs: 10 * 60_000,
  frameEventsMax: 128,
  frameBytesMax: 256 * 1024,
  syncMs: 100,
  syncRecords: 256,
  diskRetryMs: 10_000,
};
