// What an agent remembers between its lives: identity, epoch, spawn numbers, in a locked state directory.
// Invariants: the epoch is on disk before the first event; a spawn number is never handed out twice;
// one agent per state directory; where nothing can be written the agent runs from memory and says so.

/** The agent's memory and places. Paths are absolute. */
export interface AgentState {
  /** undefined: nothing can be written, everything lives in memory (`durable` is false then). */
  readonly dir: string | undefined;
  readonly durable: boolean;
  /** Sockets of this agent: short enough for a unix address (under 107 bytes with the longest name in it). */
  readonly runDir: string;
  /** 32 hex digits, made at the first start (spec fleet 2). */
  readonly hostUid: string;
  /** This life's number: max(stored + 1, wall milliseconds); below 2^53. */
  readonly epoch: number;
  /** The kernel's boot id. */
  readonly bootId: string;
  /** The first spawn number that no earlier life can have used. */
  readonly firstSpawn: number;
  /** Called before a spawn number is used; persists a block of numbers ahead. */
  reserveSpawn(spawn: number): void;
  /** Frees the lock. Idempotent. */
  release(): void;
}
