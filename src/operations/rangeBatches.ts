import { ExtentColumns } from '../disk/extents.js';
import type { MapBatch } from './batches.js';
import type { GuestMap } from './guestMap.js';
import { cutColumns } from './rows.js';

const ROWS = 4096;
/** Ranges in one batch. */
const RANGES = 2 ** 16;

export interface RangeBatch extends MapBatch {
  /** Ranges [first, until) touch the batch. */
  first: number;
  until: number;
}

/** Cuts the map of chosen ranges into batches; what lies between the ranges is not looked at. */
export class RangeBatches {
  readonly #map: GuestMap;
  /** Start and length in turn. */
  readonly #ranges: Float64Array;
  readonly #spare: ExtentColumns[] = [];
  #range = 0;
  /** Bytes of that range that are in batches already. */
  #done = 0;

  constructor(map: GuestMap, ranges: Float64Array) {
    this.#map = map;
    this.#ranges = ranges;
  }

  /** The next batch; undefined at the end. Its columns are the caller's until recycled. */
  async next(): Promise<RangeBatch | undefined> {
    const ranges = this.#ranges;
    const count = ranges.length / 2;
    if (this.#range === count) return undefined;
    const columns = this.#spare.pop() ?? new ExtentColumns(ROWS);
    columns.clear();
    columns.capacity = ROWS;
    const first = this.#range;
    const start = ranges[2 * first] + this.#done;
    let until = first;
    let end = start;
    while (this.#range < count && !columns.full && this.#range - first < RANGES) {
      const from = ranges[2 * this.#range] + this.#done;
      const to = ranges[2 * this.#range] + ranges[2 * this.#range + 1];
      end = await this.#map.map(columns, from, to);
      if (end <= from) throw new RangeError(`map of [${from}, ${to}) made no progress`);
      if (end > to) {
        cutColumns(columns, to);
        end = to;
      }
      until = this.#range + 1;
      this.#done += end - from;
      if (end < to) continue;
      this.#range++;
      this.#done = 0;
    }
    return { columns, start, end, first, until };
  }

  /** Hands columns back for later batches. */
  recycle(columns: ExtentColumns): void {
    this.#spare.push(columns);
  }
}
