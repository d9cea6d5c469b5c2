// A fleet's view that a test moves by hand, and an executor that answers as the test says.
import type { HostHeader, ProcessRow, TargetName } from '../../common/rows.js';
import type {
  ExecuteOrder,
  ExecuteResult,
  Executor,
  FleetFeed,
  FleetListener,
} from '../../controller/ports.js';
import { makeHeader, makeRow } from './rows.js';

export class SimFeed implements FleetFeed {
  private readonly headers = new Map<string, HostHeader>();
  private readonly table = new Map<string, ProcessRow>();
  private readonly listeners = new Set<FleetListener>();

  hosts(): readonly HostHeader[] {
    return [...this.headers.values()];
  }

  host(host: string): HostHeader | undefined {
    return this.headers.get(host);
  }

  rows(host: string): readonly ProcessRow[] {
    return [...this.table].filter(([key]) => key.startsWith(`${host}:`)).map(([, row]) => row);
  }

  row(target: TargetName): ProcessRow | undefined {
    return this.table.get(`${target.host}:${target.group}:${target.process}`);
  }

  observer() {
    return { isolated: false, warmingUp: false };
  }

  subscribe(listener: FleetListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  setHost(host: string, state: HostHeader['state']): void {
    const from = this.headers.get(host)?.state ?? 'unknown';
    const header = makeHeader({ host, state });
    this.headers.set(host, header);
    for (const listener of this.listeners) listener.onHostChange?.(header, from, state);
  }

  setRow(host: string, part: Partial<ProcessRow>): void {
    const row = makeRow(part);
    const key = `${host}:${row.group}:${row.process}`;
    const previous = this.table.get(key);
    this.table.set(key, row);
    for (const listener of this.listeners) listener.onRowChange?.(host, row, previous, undefined);
  }
}

/** Answers each target once `answer` is called for it; the same command id gets its stored answer. */
export class SimExecutor implements Executor {
  readonly orders: ExecuteOrder[] = [];
  private readonly stored = new Map<string, ExecuteResult>();
  private readonly waiting = new Map<string, (result: ExecuteResult) => void>();

  async *run(order: ExecuteOrder, signal: AbortSignal): AsyncGenerator<ExecuteResult> {
    this.orders.push(order);
    const known = this.stored.get(order.id);
    if (known) {
      yield { ...known, repeated: true };
      return;
    }
    const result = await new Promise<ExecuteResult | undefined>((resolve) => {
      this.waiting.set(order.id, resolve);
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    if (result) yield result;
  }

  answer(id: string, part: Partial<ExecuteResult> = {}): void {
    const order = this.orders.findLast((candidate) => candidate.id === id);
    const target = order?.targets[0];
    if (!target) throw new Error(`no order ${id}`);
    const result: ExecuteResult = {
      target,
      outcome: 'ok',
      fault: '',
      message: '',
      row: makeRow(),
      epoch: 1,
      durationMs: 1,
      repeated: false,
      ...part,
    };
    this.stored.set(id, result);
    this.waiting.get(id)?.(result);
  }
}
