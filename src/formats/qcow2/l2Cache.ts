import type { HostFile } from '../../disk/hostFile.js';
import { tableWords } from './l2Entry.js';

/** L2 tables that lie one after another in the file and were read in one go. */
interface Slab {
  first: number;
  tables: number;
  words: Uint32Array;
}

const DEFAULT_BYTES = 4 * 2 ** 20;
const SLAB_BYTES = 2 ** 20;

/**
 * L2 tables by host offset, as words (high, low per 64 bits), least recently used out first. Holds at most `bytes`
 * and always at least the table asked for last.
 */
export class L2Cache {
  readonly #file: HostFile;
  readonly clusterSize: number;
  readonly #bytes: number;
  /** Every table's slab by the table's host offset. */
  readonly #byOffset = new Map<number, Slab>();
  /** Slabs by age: a Map iterates in insertion order. */
  readonly #slabs = new Map<Slab, true>();
  #held = 0;

  constructor(file: HostFile, clusterSize: number, bytes = DEFAULT_BYTES) {
    this.#file = file;
    this.clusterSize = clusterSize;
    this.#bytes = bytes;
  }

  /** Tables worth reading in one go. */
  get maxAhead(): number {
    return Math.max(1, Math.min(SLAB_BYTES, this.#bytes) / this.clusterSize);
  }

  /** The table if it is in memory. */
  peek(offset: number): Uint32Array | undefined {
    const slab = this.#byOffset.get(offset);
    if (!slab) return undefined;
    this.#slabs.delete(slab);
    this.#slabs.set(slab, true);
    const words = this.clusterSize >>> 2;
    const at = ((offset - slab.first) / this.clusterSize) * words;
    return slab.words.subarray(at, at + words);
  }

  /**
   * The table at `offset`; with `ahead` > 1 the tables that follow it in the file are read with it, when they are not
   * in memory. The caller has checked that the table starts within the file; what the file lacks reads as zeros.
   */
  async get(offset: number, ahead = 1): Promise<Uint32Array> {
    const held = this.peek(offset);
    if (held) return held;
    let tables = 1;
    while (
      tables < Math.min(ahead, this.maxAhead) &&
      !this.#byOffset.has(offset + tables * this.clusterSize)
    ) {
      tables++;
    }
    // Not pooled, for alignment; not cleared, as nearly all of it is read over at once.
    const bytes = Buffer.allocUnsafeSlow(tables * this.clusterSize);
    bytes.fill(0, await this.#file.read(bytes, offset));
    const slab: Slab = { first: offset, tables, words: tableWords(bytes) };
    this.#insert(slab);
    return slab.words.subarray(0, this.clusterSize >>> 2);
  }

  /** Forgets the table (and its slab), because the file has changed there. */
  invalidate(offset: number): void {
    const slab = this.#byOffset.get(offset);
    if (slab) this.#remove(slab);
  }

  clear(): void {
    this.#byOffset.clear();
    this.#slabs.clear();
    this.#held = 0;
  }

  #insert(slab: Slab): void {
    for (let i = 0; i < slab.tables; i++) {
      // Two readers may have read the same table at once: the newer slab takes the offsets over.
      this.#byOffset.set(slab.first + i * this.clusterSize, slab);
    }
    this.#slabs.set(slab, true);
    this.#held += slab.words.byteLength;
    for (const oldest of this.#slabs.keys()) {
      if (this.#held <= this.#bytes || oldest === slab) break;
      this.#remove(oldest);
    }
  }

  #remove(slab: Slab): void {
    for (let i = 0; i < slab.tables; i++) {
      const offset = slab.first + i * this.clusterSize;
      if (this.#byOffset.get(offset) === slab) this.#byOffset.delete(offset);
    }
    if (this.#slabs.delete(slab)) this.#held -= slab.words.byteLength;
  }
}
