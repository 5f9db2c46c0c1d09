// Refcounts of an image that is written front to back: blocks leave memory as soon as nothing before them can
// change any more.
import { divideUp } from '../../disk/offsets.js';
import type { PieceWriter } from '../pieceWriter.js';
import { type Geometry, MAX_REFCOUNT_TABLE_BYTES, tooLarge } from './layout.js';
import {
  maxRefcount,
  type RefcountGetter,
  type RefcountSetter,
  refcountGetter,
  refcountSetter,
} from './refcounts.js';

const ENTRY_BYTES = 8;
/** The newest blocks are kept in memory. */
const OPEN_BLOCKS = 2;

/**
 * Block k lies at host offset k * coverage, so its place is known before anything is packed; the blocks whose place
 * the L1 table takes lie right behind the header instead.
 */
export class RefcountStream {
  /** Blocks right behind the header. */
  readonly early: number;
  /** Clusters that header, early blocks and `after` take. */
  readonly firstFree: number;
  readonly #shape: Geometry;
  readonly #writer: PieceWriter;
  readonly #path: string;
  readonly #get: RefcountGetter;
  readonly #set: RefcountSetter;
  readonly #most: number;
  readonly #open = new Map<number, Buffer>();
  #newest = -1;
  /** Block of the cluster that compressed data is being packed into. */
  #filling = -1;
  /** From this cluster on no block lies at its own place. */
  #limit = Number.POSITIVE_INFINITY;

  /** @param after clusters of other tables (L1) right behind the early blocks */
  constructor(shape: Geometry, after: number, writer: PieceWriter, path: string) {
    this.#shape = shape;
    this.#writer = writer;
    this.#path = path;
    this.#get = refcountGetter(shape.refcountOrder);
    this.#set = refcountSetter(shape.refcountOrder);
    this.#most = maxRefcount(shape.refcountOrder);
    let early = 1;
    while (divideUp(1 + early + after, shape.refcountsPerBlock) > early) {
      early = divideUp(1 + early + after, shape.refcountsPerBlock);
    }
    this.early = early;
    this.firstFree = 1 + early + after;
  }

  /** Counts the clusters before firstFree. */
  async begin(): Promise<void> {
    await this.addRun(0, this.firstFree);
  }

  async addRun(cluster: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#addOne(cluster + i);
  }

  /** One more reference to every host cluster that [offset, offset + length) touches. Bytes. */
  add(offset: number, length: number): Promise<void> | undefined {
    const { clusterSize, refcountCoverage } = this.#shape;
    const first = Math.floor(offset / clusterSize);
    const last = Math.floor((offset + length - 1) / clusterSize);
    // A half-filled cluster waits for the next compressed one, however much is stored plain in between.
    if (length < clusterSize) this.#filling = Math.floor((offset + length - 1) / refcountCoverage);
    for (let cluster = first; cluster <= last; cluster++) {
      const opening = this.#addOne(cluster);
      if (opening) return opening.then(() => this.addRun(cluster + 1, last - cluster));
    }
    return undefined;
  }

  /**
   * Writes the last blocks and the refcount table at host cluster `end`.
   * @returns the table's place, and the clusters of the whole file
   */
  async finish(end: number): Promise<{ tableOffset: number; tableClusters: number; clusters: number }> {
    const { clusterSize, refcountsPerBlock } = this.#shape;
    const placed = Math.max(this.early, divideUp(end, refcountsPerBlock));
    let extra = 0;
    let tableClusters = 1;
    for (;;) {
      const blocks = Math.max(placed, divideUp(end + extra + tableClusters, refcountsPerBlock));
      const nextTable = Math.max(1, divideUp(blocks * ENTRY_BYTES, clusterSize));
      if (blocks - placed === extra && nextTable === tableClusters) break;
      extra = blocks - placed;
      tableClusters = nextTable;
    }
    if (tableClusters * clusterSize > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterSize))
      throw tooLarge(this.#path);
    const place = (index: number) =>
      index < placed ? this.#place(index) : (end + index - placed) * clusterSize;
    this.#limit = end;
    await this.addRun(end, extra + tableClusters);
    for (const [index, block] of this.#open) await this.#writer.write(place(index), block);
    this.#open.clear();
    const table = Buffer.alloc(tableClusters * clusterSize);
    for (let i = 0; i < placed + extra; i++) table.writeBigUInt64BE(BigInt(place(i)), i * ENTRY_BYTES);
    const tableOffset = (end + extra) * clusterSize;
    await this.#writer.write(tableOffset, table);
    return { tableOffset, tableClusters, clusters: end + extra + tableClusters };
  }

  #place(index: number): number {
    const { clusterSize, refcountCoverage } = this.#shape;
    return index < this.early ? (1 + index) * clusterSize : index * refcountCoverage;
  }

  /** A promise only when a block had to be opened. */
  #addOne(cluster: number): Promise<void> | undefined {
    const { refcountsPerBlock } = this.#shape;
    const index = Math.floor(cluster / refcountsPerBlock);
    const block = this.#open.get(index);
    if (!block) return this.#openUpTo(index).then(() => this.#addOne(cluster));
    const at = cluster % refcountsPerBlock;
    const count = this.#get(block, at) + 1;
    if (count > this.#most) {
      throw new RangeError(
        `host cluster ${cluster} is shared by more than ${this.#most} compressed clusters`,
      );
    }
    this.#set(block, at, count);
    return undefined;
  }

  async #openUpTo(index: number): Promise<void> {
    if (index <= this.#newest) throw new RangeError(`refcount block ${index} was written already`);
    while (this.#newest < index) {
      const next = ++this.#newest;
      const block = Buffer.alloc(this.#shape.clusterSize);
      // A block at its own place counts itself; those behind the header are counted with the other tables.
      const counted = next >= this.early && next * this.#shape.refcountsPerBlock < this.#limit;
      if (counted) this.#set(block, 0, 1);
      this.#open.set(next, block);
    }
    for (const [old, done] of this.#open) {
      if (old > index - OPEN_BLOCKS || old === this.#filling) continue;
      await this.#writer.write(this.#place(old), done);
      this.#open.delete(old);
    }
  }
}
