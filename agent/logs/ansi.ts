// strip_ansi: takes colour and cursor sequences out of child output (spec process 14). Pure.
// Works on bytes, chunk by chunk, as Supervisor does: a sequence that a chunk border cuts leaves its tail as text.

const ESCAPE = 0x1b;
const BRACKET = 0x5b;
const FINAL: ReadonlySet<number> = new Set(Buffer.from('HfABCDRsuJKhlpm', 'latin1'));

/** The bytes without `ESC [` up to and including the next final letter. The input itself where there is none. */
export function stripAnsi(data: Uint8Array): Uint8Array {
  if (data.indexOf(ESCAPE) < 0) return data;
  const kept = Buffer.allocUnsafe(data.length);
  let length = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === ESCAPE && data[i + 1] === BRACKET) {
      i += 2;
      while (i < data.length && !FINAL.has(data[i] as number)) i += 1;
      continue;
    }
    kept[length++] = data[i] as number;
  }
  return kept.subarray(0, length);
}
