import { ExtentColumns } from '../disk/extents.js';
import { alignDown, alignUp } from '../disk/offsets.js';
import type { GuestMap } from './guestMap.js';
import { cutColumns, holdsData } from './rows.js';

const ROWS = 4096;

export interface BatchLimits {
  /** Bytes; every batch but the last ends at a multiple of it. */
  alignment: number;
  /** Bytes of data in one batch, roughly: what bounds the results that come back for it. */
  data: number;
  /** Bytes of guest disk in one batch; multiple of alignment. */
  span: number;
  /** Extents in one batch, roughly; default 4096. */
  rows?: number;
}

export interface MapBatch {
  columns: ExtentColumns;
  start: number;
  end: number;
}

/** Cuts a map into batches for the engine, bounded in rows, data and guest span. */
export class Batches {
  readonly #map: GuestMap;
  readonly #end: number;
  readonly #limits: BatchLimits;
  readonly #spare: ExtentColumns[] = [];
  #at = 0;

  constructor(map: GuestMap, limits: BatchLimits, end = map.virtualSize) {
    this.#map = map;
    this.#end = end;
    this.#limits = limits;
  }

  /** The next batch, at most up to `until`; undefined at the end. Its columns are the caller's until recycled. */
  async next(until = this.#end): Promise<MapBatch | undefined> {
    const start = this.#at;
    if (start >= until) return undefined;
    const { alignment, data, span, rows = ROWS } = this.#limits;
    const columns = this.#spare.pop() ?? new ExtentColumns(ROWS);
    columns.clear();
    columns.capacity = rows;
    let limit = Math.min(until, start + span);
    let at = start;
    let room = data;
    while (at < limit) {
      const seen = columns.count;
      const next = await this.#map.map(columns, at, limit);
      if (next <= at) throw new RangeError(`map of [${at}, ${limit}) made no progress`);
      for (let row = Math.max(0, seen - 1); row < columns.count && room > 0; row++) {
        if (!holdsData(columns.kind[row])) continue;
        const from = Math.max(columns.start[row], at);
        const to = columns.start[row] + columns.length[row];
        if (to <= from) continue;
        if (to - from >= room) limit = Math.min(limit, this.#cut(start, from + room));
        room -= to - from;
      }
      at = next;
      if (at > limit) {
        cutColumns(columns, limit);
        at = limit;
      } else if (columns.full) {
        limit = Math.min(limit, alignUp(at, alignment));
        columns.capacity = columns.count + rows;
      }
    }
    this.#at = at;
    return { columns, start, end: at };
  }

  /** Goes back to `at`, where a batch was cut short by its user. */
  seek(at: number): void {
    this.#at = at;
  }

  /** Hands columns back for later batches. */
  recycle(columns: ExtentColumns): void {
    this.#spare.push(columns);
  }

  #cut(start: number, wanted: number): number {
    const { alignment } = this.#limits;
    return Math.max(start + alignment, alignDown(wanted, alignment));
  }
}
