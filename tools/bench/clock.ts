// Time for the benchmarks: one monotonic clock (the one that load.c stamps with), pauses, and waiting with a bound.

/** Milliseconds of CLOCK_MONOTONIC. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Cut short, it never settles: for races only. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

/**
 * Looks every `everyMs` (default 2) until the answer is neither undefined nor false, and answers that.
 * Throws after `patienceMs` (default 60 s), naming `what`.
 */
export async function poll<Fact>(
  what: string,
  look: () => Fact | undefined | false | Promise<Fact | undefined | false>,
  options: { readonly everyMs?: number; readonly patienceMs?: number } = {},
): Promise<Fact> {
  const endMs = nowMs() + (options.patienceMs ?? 60_000);
  for (;;) {
    const fact = await look();
    if (fact !== undefined && fact !== false) return fact;
    if (nowMs() > endMs) throw new Error(`waited in vain for ${what}`);
    await pause(options.everyMs ?? 2);
  }
}
