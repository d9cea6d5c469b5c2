// Times as people type them: `30`, `500ms`, `10m`, `2h`, or an instant. Pure.
import { FleetError } from '../common/errors.js';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds; a bare number is seconds. Throws FleetError USAGE naming the flag. */
export function parseDuration(text: string, flag: string): number {
  const ms = durationOf(text);
  if (ms === undefined) {
    throw new FleetError('USAGE', `${flag}: '${text}' is not a length of time`, {
      hint: 'write e.g. 30s, 10m or 2h',
    });
  }
  return ms;
}

/** An instant in milliseconds since 1970: `10m` ago, or ISO text. Throws FleetError USAGE naming the flag. */
export function parseInstant(text: string, flag: string, nowWallMs: number): number {
  const ago = durationOf(text);
  if (ago !== undefined) return Math.max(1, nowWallMs - ago);
  const instant = Date.parse(text);
  if (!Number.isNaN(instant)) return instant;
  throw new FleetError('USAGE', `${flag}: '${text}' is neither a length of time nor an instant`, {
    hint: 'write e.g. 10m (ago) or 2026-11-21T12:00:00Z',
  });
}

function durationOf(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (UNIT_MS[match[2] ?? 's'] as number));
}

/** A whole number of at least `min`. Throws FleetError USAGE naming the flag. */
export function parseCount(text: string, flag: string, min: number): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text) || value < min) {
    throw new FleetError('USAGE', `${flag}: '${text}' is not a whole number of at least ${min}`);
  }
  return value;
}
