import { setTimeout as sleep } from 'node:timers/promises';
import type { ExtentColumns } from '../disk/extents.js';
import type { Job } from './job.js';
import { holdsData } from './rows.js';

/** Cancel is answered within this time, whatever has still to be waited for. */
const SLICE_MS = 20;
/** A batch is a tenth of a second's bytes: little enough to go evenly. */
const BATCHES_PER_SECOND = 10;

/** Lets bytes pass at a rate: a batch goes when the ones before it have had their time. */
export class Pace {
  readonly #job: Job;
  readonly #rate: number;
  #free = 0;

  /** @param bytesPerSecond greater than 0 */
  constructor(job: Job, bytesPerSecond: number) {
    this.#job = job;
    this.#rate = bytesPerSecond;
  }

  /** Bytes that should go at once. */
  get portion(): number {
    return this.#rate / BATCHES_PER_SECOND;
  }

  /** Waits until `bytes` may go. @throws CANCELLED */
  async pass(bytes: number): Promise<void> {
    for (;;) {
      const left = this.#free - performance.now();
      if (left <= 0) break;
      await sleep(Math.min(left, SLICE_MS));
      this.#job.throwIfCancelled();
    }
    // Time that nobody used is not saved up.
    this.#free = Math.max(this.#free, performance.now()) + (bytes / this.#rate) * 1000;
  }
}

/** Bytes of guest data, not zeros, that the columns hold within [start, end). */
export function dataBytes(columns: ExtentColumns, start: number, end: number): number {
  let bytes = 0;
  for (let row = 0; row < columns.count; row++) {
    if (!holdsData(columns.kind[row])) continue;
    const from = Math.max(columns.start[row], start);
    const to = Math.min(columns.start[row] + columns.length[row], end);
    bytes += Math.max(0, to - from);
  }
  return bytes;
}
