// Tells the world what the engine changed: numbers the event, keeps the row, notes it for the next life.
// Invariants: a change is numbered before anyone can see it in a row; rows and events never disagree.
import type { Clock } from '../common/clock.js';
import { nameKey, type NameSpec } from '../common/names.js';
import type { ProcessRow } from '../common/rows.js';
import type { ProcessState } from '../common/states.js';
import type { Change, ProcessFacts } from './engine/types.js';
import type { EventSink } from './events.js';
import type { ProcessMemory } from './memory.js';
import { RowBook } from './rows.js';

type ChangeOf<Kind extends Change['kind']> = Extract<Change, { readonly kind: Kind }>;

export class Announcer {
  readonly #sink: EventSink;
  readonly #memory: ProcessMemory;
  readonly #rows: RowBook;

  constructor(sink: EventSink, memory: ProcessMemory, clock: Clock) {
    this.#sink = sink;
    this.#memory = memory;
    this.#rows = new RowBook(clock);
  }

  /** All rows by group, then process, in code point order. */
  rows(): readonly ProcessRow[] {
    return this.#rows.all();
  }

  row(name: NameSpec): ProcessRow | undefined {
    return this.#rows.get(name);
  }

  announce(change: Change): void {
    switch (change.kind) {
      case 'process':
        this.#processChanged(change.from, change.facts, change.expected);
        return;
      case 'group-added':
      case 'group-changed':
        this.#groupStands(change);
        return;
      case 'group-removed':
        this.#groupRemoved(change.group);
        return;
    }
  }

  /**
   * Facts that no event announces: a process that was adopted as it stood, a pid that became known. The row shows
   * them at once; the next event carries them.
   */
  refresh(facts: ProcessFacts): void {
    const row = this.row(facts.name);
    if (row !== undefined && row.pid === facts.pid) return;
    this.#rows.set(facts, this.#rows.build(facts), row?.seq ?? this.#sink.lastSeq());
    this.#memory.note(facts);
  }

  #processChanged(from: ProcessState, facts: ProcessFacts, expected: boolean): void {
    const row = this.#rows.build(facts);
    const isGrave =
      row.state === 'FATAL' || row.state === 'UNKNOWN' || (row.state === 'EXITED' && !expected);
    const event = this.#sink.record({
      type: 'process.state',
      class: isGrave ? 'P0' : 'P1',
      group: row.group,
      process: row.process,
      cause: row.cause,
      body: { kind: 'process-changed', from, to: row.state, row, expected },
    });
    this.#rows.set(facts, row, event.seq);
    this.#memory.note(facts);
  }

  #groupStands({ kind, group, rows }: ChangeOf<'group-added' | 'group-changed'>): void {
    const built = rows.map((facts) => ({ facts, row: this.#rows.build(facts) }));
    const event = this.#sink.record({
      type: kind === 'group-added' ? 'group.added' : 'group.changed',
      class: 'P1',
      group,
      process: '',
      cause: '',
      body: { kind: 'group-added', group, rows: built.map(({ row }) => row) },
    });
    this.#rows.removeGroup(group);
    for (const { facts, row } of built) this.#rows.set(facts, row, event.seq);
  }

  #groupRemoved(group: string): void {
    for (const row of this.rows())
      if (row.group === group) this.#memory.remove(nameKey({ group, process: row.process }));
    this.#rows.removeGroup(group);
    this.#sink.record({
      type: 'group.removed',
      class: 'P1',
      group,
      process: '',
      cause: '',
      body: { kind: 'group-removed', group },
    });
  }
}
