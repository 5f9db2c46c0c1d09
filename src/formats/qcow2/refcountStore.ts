// Refcount table and blocks of an image that changes: counts in memory until they are published.
import type { HostFile } from '../../disk/hostFile.js';
import type { PieceWriter } from '../pieceWriter.js';
import { corruptImage, hex } from './corrupt.js';
import type { Qcow2Header } from './header.js';
import { writeHeaderFields } from './headerUpdate.js';
import { entryOffset, tableWords } from './l2Entry.js';
import { MetadataCache } from './metadataCache.js';
import {
  maxRefcount,
  type RefcountGetter,
  type RefcountSetter,
  refcountGetter,
  refcountSetter,
  refcountsPerBlock,
} from './refcounts.js';

const ENTRY_BYTES = 8;
/** Clean blocks kept, bytes. */
const CLEAN_BYTES = 4 * 2 ** 20;

export class RefcountStore {
  readonly file: HostFile;
  readonly clusterSize: number;
  /** Counts in one block. */
  readonly perBlock: number;
  /** Largest count of the image's width. */
  readonly max: number;
  readonly #version: 2 | 3;
  readonly #order: number;
  readonly #get: RefcountGetter;
  readonly #set: RefcountSetter;
  readonly #blocks: MetadataCache<Uint8Array>;
  /** Host offsets of the blocks, 0 = none. */
  #table: Float64Array;
  #tableOffset: number;
  #tableClusters: number;
  #moved = false;
  readonly #newEntries = new Set<number>();
  /** Told of every change of counts. */
  observer: ((first: number, clusters: number, value: number) => void) | undefined;

  private constructor(file: HostFile, header: Qcow2Header, table: Float64Array) {
    this.file = file;
    this.clusterSize = header.clusterSize;
    this.perBlock = refcountsPerBlock(header.clusterSize, header.refcountOrder);
    this.max = maxRefcount(header.refcountOrder);
    this.#version = header.version;
    this.#order = header.refcountOrder;
    this.#get = refcountGetter(header.refcountOrder);
    this.#set = refcountSetter(header.refcountOrder);
    this.#blocks = MetadataCache.bytes(file, header.clusterSize, CLEAN_BYTES);
    this.#table = table;
    this.#tableOffset = header.refcountTableOffset;
    this.#tableClusters = header.refcountTableClusters;
  }

  /**
   * Reads the refcount table, no blocks.
   * @throws CORRUPT_IMAGE for an entry that cannot be a block's place; IO.
   */
  static async open(file: HostFile, header: Qcow2Header): Promise<RefcountStore> {
    const { clusterSize, refcountTableOffset: at } = header;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterSize);
    await file.read(bytes, at);
    const words = tableWords(bytes);
    const table = new Float64Array(words.length / 2);
    for (let i = 0; i < table.length; i++) {
      const [hi, lo] = [words[2 * i], words[2 * i + 1]];
      if (hi === 0 && lo === 0) continue;
      table[i] = entryOffset(hi, lo);
      if (table[i] % clusterSize === 0 && table[i] < Math.max(file.size, 1)) continue;
      throw corruptImage(
        file.path,
        `Refcount table entry ${i}: block offset ${hex(table[i])} is unaligned or past the end of the file at ${hex(file.size)}`,
        at + i * ENTRY_BYTES,
      );
    }
    return new RefcountStore(file, header, table);
  }

  /** Entries of the table. */
  get tableEntries(): number {
    return this.#table.length;
  }

  get tableOffset(): number {
    return this.#tableOffset;
  }

  get tableClusters(): number {
    return this.#tableClusters;
  }

  get dirtyBytes(): number {
    return this.#blocks.dirtyBytes;
  }

  /** Bytes of blocks that wait in memory. */
  get pinnedBytes(): number {
    return this.#blocks.pinnedBytes;
  }

  /** Something must be published before any entry may name a new cluster. */
  get changed(): boolean {
    return this.#blocks.dirtyBytes > 0 || this.#moved || this.#newEntries.size > 0;
  }

  /** Cluster number of block `index`, 0 = none. */
  blockCluster(index: number): number {
    return index < this.#table.length ? this.#table[index] / this.clusterSize : 0;
  }

  hasBlock(index: number): boolean {
    return index < this.#table.length && this.#table[index] !== 0;
  }

  /** Cluster numbers of all blocks, in no particular order. */
  blockClusters(): Float64Array {
    return this.#table.filter((offset) => offset !== 0).map((offset) => offset / this.clusterSize);
  }

  /** Index of the last block; -1 when there is none. */
  get lastBlock(): number {
    let index = this.#table.length - 1;
    while (index >= 0 && this.#table[index] === 0) index--;
    return index;
  }

  /** The counts of block `index`, to look at with `countIn`. */
  block(index: number): Promise<Uint8Array> | Uint8Array {
    return this.#blocks.peek(this.#table[index]) ?? this.#blocks.get(this.#table[index]);
  }

  countIn(block: Uint8Array, cluster: number): number {
    return this.#get(block, cluster % this.perBlock);
  }

  /** 0 where there is no block. */
  async count(cluster: number): Promise<number> {
    const index = Math.floor(cluster / this.perBlock);
    if (!this.hasBlock(index)) return 0;
    return this.countIn(await this.block(index), cluster);
  }

  /** Gives `clusters` clusters from `first` on the count `value`; blocks must be there. */
  async setRun(first: number, clusters: number, value: number): Promise<void> {
    this.observer?.(first, clusters, value);
    for (let at = first; at < first + clusters; ) {
      const index = Math.floor(at / this.perBlock);
      const stop = Math.min(first + clusters, (index + 1) * this.perBlock);
      const block = await this.block(index);
      const from = at % this.perBlock;
      for (; at < stop; at++) this.#set(block, at % this.perBlock, value);
      this.#touch(index, block, from, (stop - 1) % this.perBlock);
    }
  }

  /** A new, empty block for stretch `index` at host cluster `cluster`, which the caller counts. */
  placeBlock(index: number, cluster: number): void {
    const offset = cluster * this.clusterSize;
    this.#table[index] = offset;
    this.#newEntries.add(index);
    this.#blocks.create(offset, new Uint8Array(this.clusterSize));
  }

  /** The table goes to `clusters` clusters at host cluster `first`; giving up its old place is the caller's part. */
  moveTable(first: number, clusters: number): void {
    const grown = new Float64Array((clusters * this.clusterSize) / ENTRY_BYTES);
    grown.set(this.#table);
    this.#table = grown;
    this.#tableOffset = first * this.clusterSize;
    this.#tableClusters = clusters;
    this.#moved = true;
  }

  /** Writes counts and, after them, whatever points to new blocks. The caller syncs the file afterwards. */
  async publish(writer: PieceWriter, sync: boolean): Promise<void> {
    await this.#blocks.writeBack(writer);
    if (!this.#moved && this.#newEntries.size === 0) return;
    if (this.#moved) await this.file.write(entryBytes(this.#table), this.#tableOffset);
    if (sync) await this.file.sync();
    if (this.#moved) {
      // Offset and size of the table lie side by side in the header's first sector: one write, whole or not at all.
      await writeHeaderFields(this.file, this.#version, {
        refcountTableOffset: this.#tableOffset,
        refcountTableClusters: this.#tableClusters,
      });
      this.#moved = false;
    } else {
      for (const index of this.#newEntries) {
        const entry = entryBytes(this.#table.subarray(index, index + 1));
        await this.file.write(entry, this.#tableOffset + index * ENTRY_BYTES);
      }
    }
    this.#newEntries.clear();
  }

  /** Counts [from, to] of a block were changed. */
  #touch(index: number, block: Uint8Array, from: number, to: number): void {
    const first = Math.floor((from * 2 ** this.#order) / 8);
    const last = Math.floor(((to + 1) * 2 ** this.#order - 1) / 8);
    this.#blocks.markDirty(this.#table[index], block, first, last - first + 1);
  }
}

function entryBytes(offsets: Float64Array): Buffer {
  const bytes = Buffer.alloc(offsets.length * ENTRY_BYTES);
  for (let i = 0; i < offsets.length; i++) bytes.writeBigUInt64BE(BigInt(offsets[i]), i * ENTRY_BYTES);
  return bytes;
}
