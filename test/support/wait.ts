// Waits for facts about real processes. Only for test/process and test/system: unit tests move time themselves.

const PATIENCE_MS = 20_000;
const POLL_MS = 25;

/**
 * Calls `look` until it answers something other than undefined or false, and answers that.
 * Throws after `patienceMs` (default 20 s: longer than anything takes on a busy machine), naming `what`
 * and what was seen last.
 */
export async function until<Fact>(
  what: string,
  look: () => Promise<Fact | undefined | false> | Fact | undefined | false,
  options: { readonly patienceMs?: number; readonly seen?: () => unknown } = {},
): Promise<Fact> {
  const endMs = performance.now() + (options.patienceMs ?? PATIENCE_MS);
  for (;;) {
    const fact = await look();
    if (fact !== undefined && fact !== false) return fact;
    if (performance.now() > endMs) {
      const seen = options.seen === undefined ? '' : `; last seen: ${String(options.seen())}`;
      throw new Error(`waited in vain for ${what}${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
