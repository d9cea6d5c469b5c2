// Seeds that once found something, with what it was. They run first, for ever.

export const ENGINE_SEEDS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 1, found: 'a stop that was refused as a conflict ended the restart before it' },
  { seed: 37, found: 'an adopted process in BACKOFF was tried again before its time' },
  { seed: 947, found: 'a priority changed during a shutdown left its group running' },
  { seed: 28341, found: 'a process being removed kept the old priority of its group' },
];
