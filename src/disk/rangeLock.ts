/** A held (or awaited) range; give it back with `release`. */
export interface RangeHold {
  readonly start: number;
  readonly end: number;
  readonly exclusive: boolean;
}

interface Entry extends RangeHold {
  readonly order: number;
  /** Earlier entries that must go first. */
  blockers: number;
  wake?: () => void;
}

/** Entries looked at for each new one; more wait outside, so that thousands of calls at once stay cheap. */
const MOST = 256;

/**
 * Orders requests on one disk: overlapping ones run one after another in the order they came, unless all of them
 * only read; the rest run side by side. Ranges in bytes, `end` exclusive.
 */
export class RangeLock {
  readonly #entries = new Set<Entry>();
  #outside: (() => void)[] = [];
  #outsideAt = 0;
  #order = 0;

  /** At once when nothing is in the way, else when it is the caller's turn. */
  acquire(start: number, end: number, exclusive: boolean): RangeHold | Promise<RangeHold> {
    if (this.#entries.size >= MOST || this.#outsideAt < this.#outside.length) {
      return new Promise((resolve) => {
        this.#outside.push(() => resolve(this.#enter(start, end, exclusive)));
      });
    }
    return this.#enter(start, end, exclusive);
  }

  /** Runs `work` while it holds [start, end). */
  async run<T>(start: number, end: number, exclusive: boolean, work: () => Promise<T>): Promise<T> {
    const entered = this.acquire(start, end, exclusive);
    const hold = entered instanceof Promise ? await entered : entered;
    try {
      return await work();
    } finally {
      this.release(hold);
    }
  }

  release(hold: RangeHold): void {
    const gone = hold as Entry;
    this.#entries.delete(gone);
    for (const entry of this.#entries) {
      if (entry.order < gone.order || !conflict(entry, gone)) continue;
      if (--entry.blockers === 0) entry.wake?.();
    }
    if (this.#outsideAt < this.#outside.length) this.#outside[this.#outsideAt++]();
    else if (this.#outsideAt > 0) {
      this.#outside = [];
      this.#outsideAt = 0;
    }
  }

  #enter(start: number, end: number, exclusive: boolean): RangeHold | Promise<RangeHold> {
    const entry: Entry = { start, end, exclusive, order: this.#order++, blockers: 0 };
    for (const other of this.#entries) if (conflict(entry, other)) entry.blockers++;
    this.#entries.add(entry);
    if (entry.blockers === 0) return entry;
    return new Promise((resolve) => {
      entry.wake = () => resolve(entry);
    });
  }
}

function conflict(a: RangeHold, b: RangeHold): boolean {
  return (a.exclusive || b.exclusive) && a.start < b.end && b.start < a.end;
}
