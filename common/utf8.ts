// Strict UTF-8 with the error text that Supervisor shows for a file that is not. Pure.
import { FieldError } from './problems.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes -> text; a byte order mark stays. Throws FieldError naming the first bad byte and its position. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FieldError(describeBadBytes(bytes), 'save the file as UTF-8');
  }
}

interface LeadByte {
  /** Continuation bytes that must follow. */
  readonly more: number;
  /** Bounds of the first of them, which are narrower after some lead bytes. */
  readonly low: number;
  readonly high: number;
}

function leadByte(byte: number): LeadByte | undefined {
  if (byte < 0x80) return { more: 0, low: 0, high: 0 };
  if (byte >= 0xc2 && byte <= 0xdf) return { more: 1, low: 0x80, high: 0xbf };
  if (byte === 0xe0) return { more: 2, low: 0xa0, high: 0xbf };
  if (byte === 0xed) return { more: 2, low: 0x80, high: 0x9f };
  if (byte >= 0xe1 && byte <= 0xef) return { more: 2, low: 0x80, high: 0xbf };
  if (byte === 0xf0) return { more: 3, low: 0x90, high: 0xbf };
  if (byte >= 0xf1 && byte <= 0xf3) return { more: 3, low: 0x80, high: 0xbf };
  if (byte === 0xf4) return { more: 3, low: 0x80, high: 0x8f };
  return undefined;
}

function describeBadBytes(bytes: Uint8Array): string {
  let at = 0;
  while (at < bytes.length) {
    const lead = leadByte(bytes[at] as number);
    if (lead === undefined) return describe(bytes, at, 1, 'invalid start byte');
    for (let step = 1; step <= lead.more; step++) {
      const byte = bytes[at + step];
      if (byte === undefined) return describe(bytes, at, step, 'unexpected end of data');
      const low = step === 1 ? lead.low : 0x80;
      const high = step === 1 ? lead.high : 0xbf;
      if (byte < low || byte > high) return describe(bytes, at, step, 'invalid continuation byte');
    }
    at += lead.more + 1;
  }
  return 'the file is not UTF-8';
}

function describe(bytes: Uint8Array, at: number, length: number, reason: string): string {
  const what =
    length === 1
      ? `byte 0x${(bytes[at] as number).toString(16).padStart(2, '0')} in position ${at}`
      : `bytes in position ${at}-${at + length - 1}`;
  return `'utf-8' codec can't decode ${what}: ${reason}`;
}
