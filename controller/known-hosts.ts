// Which hosts belong to the fleet, kept in the records so that one that is down when a controller restarts is still
// listed (spec fleet D2, D9). Invariants: a host is never removed here; an unreachable bus delays, it loses nothing.
import { pause, type Clock } from '../common/clock.js';
import { reasonOf, type Logger } from '../common/log.js';
import type { HostFacts } from './feed.js';
import type { RecordEntry, Records } from './records.js';

const PREFIX = 'host.';
const RETRY_MS = 2_000;
/** Other replicas may write the same host at the same time. */
const ATTEMPTS_MAX = 5;

/** Remembers hosts; writes what changed as soon as the records can be reached. */
export class KnownHosts {
  private readonly pending = new Map<string, HostFacts>();
  private readonly stored = new Map<string, string>();
  private writing = false;

  constructor(
    private readonly records: Records,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
  ) {}

  /** Tells every recorded host, now and as others record them; retries until `signal`. */
  async follow(onHost: (facts: HostFacts) => void): Promise<void> {
    while (!this.signal.aborted) {
      try {
        const onChange = (_key: string, entry: RecordEntry | undefined): void => {
          const facts = entry === undefined ? undefined : parseFacts(entry.value);
          if (facts === undefined) return;
          this.stored.set(facts.host, JSON.stringify(toRecord(facts)));
          onHost(facts);
        };
        await this.records.watch(PREFIX, onChange, this.signal);
      } catch (error) {
        this.log.debug('known hosts not readable yet', { reason: reasonOf(error) });
      }
      await pause(this.clock, RETRY_MS, this.signal);
    }
  }

  /** Records a host that registered. Returns at once. */
  remember(facts: HostFacts): void {
    const text = JSON.stringify(toRecord(facts));
    if (this.stored.get(facts.host) === text && !this.pending.has(facts.host)) return;
    this.pending.set(facts.host, facts);
    if (!this.writing) {
      this.writing = true;
      void this.write();
    }
  }

  private async write(): Promise<void> {
    while (this.pending.size > 0 && !this.signal.aborted) {
      for (const [host, facts] of this.pending) {
        try {
          if (await this.put(facts)) {
            if (this.pending.get(host) === facts) this.pending.delete(host);
            this.stored.set(host, JSON.stringify(toRecord(facts)));
          }
        } catch (error) {
          this.log.debug('known host not recorded yet', { host, reason: reasonOf(error) });
          break;
        }
      }
      if (this.pending.size > 0) await pause(this.clock, RETRY_MS, this.signal);
    }
    this.writing = false;
  }

  private async put(facts: HostFacts): Promise<boolean> {
    const key = PREFIX + facts.host;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const present = await this.records.get(key);
      const known = present === undefined ? undefined : parseFacts(present.value);
      // Another replica has already seen a later life of it.
      if (known?.hostUid === facts.hostUid && known.epoch > facts.epoch) return true;
      const revision = present?.revision ?? 0;
      if ((await this.records.compareAndSet(key, toRecord(facts), revision)) !== undefined) {
        return true;
      }
    }
    return false;
  }
}

interface HostRecord {
  readonly host: string;
  readonly host_uid: string;
  readonly epoch: number;
  readonly agent_version: string;
  readonly labels: Readonly<Record<string, string>>;
}

function toRecord(facts: HostFacts): HostRecord {
  return {
    host: facts.host,
    host_uid: facts.hostUid,
    epoch: facts.epoch,
    agent_version: facts.agentVersion,
    labels: Object.fromEntries(facts.labels),
  };
}

/** undefined: not a record that this version understands, so it is left alone. */
function parseFacts(value: unknown): HostFacts | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as Partial<HostRecord>;
  if (typeof record.host !== 'string' || typeof record.host_uid !== 'string') return undefined;
  return {
    host: record.host,
    hostUid: record.host_uid,
    epoch: typeof record.epoch === 'number' ? record.epoch : 0,
    agentVersion: record.agent_version ?? '',
    labels: new Map(Object.entries(record.labels ?? {})),
  };
}
