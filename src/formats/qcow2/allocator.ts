// Host clusters of an image that is written in place: refcount table and blocks, kept in memory until they are
// published. New clusters count at once; freed ones only after nothing durable names them any more.

import { DiskImageError } from '../../disk/errors.js';
import type { HostFile } from '../../disk/hostFile.js';
import { divideUp } from '../../disk/offsets.js';
import { PieceWriter } from '../pieceWriter.js';
import { corruptImage, hex } from './corrupt.js';
import type { Qcow2Header } from './header.js';
import { entryOffset, tableWords } from './l2Entry.js';
import { includesSorted, type MetadataClusters } from './metadataClusters.js';
import {
  type RefcountGetter,
  type RefcountSetter,
  refcountGetter,
  refcountSetter,
  refcountsPerBlock,
} from './refcounts.js';

const ENTRY_BYTES = 8;
/** Clean blocks kept, bytes. */
const CACHE_BYTES = 4 * 2 ** 20;
/** Place of refcount_table_offset and refcount_table_clusters in the header. */
const HEADER_TABLE_FIELD = 48;

/** A run of host clusters. */
export interface HostRun {
  /** Bytes. */
  offset: number;
  clusters: number;
}

export class Allocator {
  readonly #file: HostFile;
  readonly #clusterSize: number;
  readonly #perBlock: number;
  readonly #tableLimit: number;
  readonly #get: RefcountGetter;
  readonly #set: RefcountSetter;
  /** Never handed out, however they are counted: a damaged image must not be made worse. */
  readonly #metadata: MetadataClusters;
  /** Host offsets of the blocks. */
  #table: Float64Array;
  #tableOffset: number;
  #tableClusters: number;
  /** Set when the table has moved. */
  #moved = false;
  readonly #newEntries = new Set<number>();
  /** Clusters of the blocks, sorted, and those that came since. */
  readonly #oldBlocks: Float64Array;
  readonly #newBlocks = new Set<number>();
  readonly #dirty = new Map<number, Uint8Array>();
  readonly #clean = new Map<number, Uint8Array>();
  /** References to take away, by host cluster. */
  readonly #freed = new Map<number, number>();
  #next = 0;

  private constructor(
    file: HostFile,
    header: Qcow2Header,
    table: Float64Array,
    tableLimit: number,
    metadata: MetadataClusters,
  ) {
    this.#file = file;
    this.#clusterSize = header.clusterSize;
    this.#perBlock = refcountsPerBlock(header.clusterSize, header.refcountOrder);
    this.#tableLimit = tableLimit;
    this.#get = refcountGetter(header.refcountOrder);
    this.#set = refcountSetter(header.refcountOrder);
    this.#metadata = metadata;
    this.#table = table;
    this.#tableOffset = header.refcountTableOffset;
    this.#tableClusters = header.refcountTableClusters;
    this.#oldBlocks = table.filter((offset) => offset !== 0).map((offset) => offset / header.clusterSize);
    this.#oldBlocks.sort();
  }

  /**
   * Reads the refcount table.
   * @param tableLimit most bytes a refcount table may have
   * @throws CORRUPT_IMAGE for an entry that cannot be a block's place; IO.
   */
  static async open(
    file: HostFile,
    header: Qcow2Header,
    tableLimit: number,
    metadata: MetadataClusters,
  ): Promise<Allocator> {
    const { clusterSize, refcountTableOffset: at } = header;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterSize);
    await file.read(bytes, at);
    const words = tableWords(bytes);
    const table = new Float64Array(words.length / 2);
    for (let i = 0; i < table.length; i++) {
      table[i] = entryOffset(words[2 * i], words[2 * i + 1]);
      if (table[i] % clusterSize === 0 && table[i] < Math.max(file.size, 1)) continue;
      throw corruptImage(
        file.path,
        `Refcount table entry ${i}: block offset ${hex(table[i])} is unaligned or past the end of the file at ${hex(file.size)}`,
        at + i * ENTRY_BYTES,
      );
    }
    return new Allocator(file, header, table, tableLimit, metadata);
  }

  /** Frees that wait for the next flush. */
  get pendingFrees(): number {
    return this.#freed.size;
  }

  /** Bytes of blocks that wait for the next flush. */
  get dirtyBytes(): number {
    return this.#dirty.size * this.#clusterSize;
  }

  /**
   * The first free run of at most `most` clusters; they have refcount 1 now, and the file reaches over them.
   * @throws LIMIT_EXCEEDED when the refcount table cannot grow; CORRUPT_IMAGE when a free cluster holds metadata.
   */
  async allocate(most: number): Promise<HostRun> {
    let first = -1;
    let count = 0;
    for (let cluster = this.#next; count < most; cluster++) {
      const index = Math.floor(cluster / this.#perBlock);
      if (index >= this.#table.length || this.#table[index] === 0) {
        if (count > 0) break;
        await this.#addBlock(index, cluster);
        continue;
      }
      const block = await this.#block(index);
      if (this.#get(block, cluster % this.#perBlock) !== 0) {
        if (count > 0) break;
        continue;
      }
      this.#refuseTaken(cluster);
      if (first < 0) first = cluster;
      count++;
    }
    this.#next = first + count;
    await this.#count(first, count);
    return { offset: first * this.#clusterSize, clusters: count };
  }

  /** One reference less for every host cluster that [offset, offset + length) touches, at the next flush. Bytes. */
  free(offset: number, length: number): void {
    const first = Math.floor(offset / this.#clusterSize);
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = first; cluster <= last; cluster++) {
      this.#freed.set(cluster, (this.#freed.get(cluster) ?? 0) + 1);
    }
  }

  /** Writes counts of new clusters and makes them durable, the blocks before whatever points to them. */
  async publish(sync: boolean): Promise<void> {
    await this.#writeBlocks();
    if (this.#moved) await this.#writeTable();
    if (sync) await this.#file.sync();
    if (!this.#moved && this.#newEntries.size === 0) return;
    if (this.#moved) await this.#switchTable();
    else await this.#writeEntries();
    this.#newEntries.clear();
    if (sync) await this.#file.sync();
  }

  /** Takes the freed references away: nothing durable names them any more. */
  async settleFrees(sync: boolean): Promise<void> {
    if (this.#freed.size === 0) return;
    for (const [cluster, references] of this.#freed) {
      const index = Math.floor(cluster / this.#perBlock);
      const at = cluster % this.#perBlock;
      const block = this.#table[index] ? await this.#block(index) : undefined;
      const count = block ? this.#get(block, at) : 0;
      if (!block || count < references) {
        throw corruptImage(
          this.#file.path,
          `Host cluster ${cluster} has refcount ${count}, but ${references} references to it were dropped`,
          cluster * this.#clusterSize,
        );
      }
      this.#set(this.#change(index, block), at, count - references);
      if (count === references) this.#next = Math.min(this.#next, cluster);
    }
    this.#freed.clear();
    await this.#writeBlocks();
    if (sync) await this.#file.sync();
  }

  /** Lets the file reach to host byte `end` at least: what lies before it may be mapped. */
  async reach(end: number): Promise<void> {
    if (!this.#file.isBlockDevice && this.#file.size < end) await this.#file.truncate(end);
  }

  async #count(first: number, count: number): Promise<void> {
    for (let cluster = first; cluster < first + count; cluster++) {
      const index = Math.floor(cluster / this.#perBlock);
      this.#set(this.#change(index, await this.#block(index)), cluster % this.#perBlock, 1);
    }
    await this.reach((first + count) * this.#clusterSize);
  }

  #refuseTaken(cluster: number): void {
    const tableFirst = this.#tableOffset / this.#clusterSize;
    const taken =
      (cluster >= tableFirst && cluster < tableFirst + this.#tableClusters) ||
      this.#newBlocks.has(cluster) ||
      includesSorted(this.#oldBlocks, cluster) ||
      this.#metadata.has(cluster);
    if (!taken) return;
    throw corruptImage(
      this.#file.path,
      `Host cluster ${cluster} at ${hex(cluster * this.#clusterSize)} has refcount 0 but holds metadata`,
      cluster * this.#clusterSize,
    );
  }

  async #block(index: number): Promise<Uint8Array> {
    const held = this.#dirty.get(index) ?? this.#clean.get(index);
    if (held) return held;
    const block = new Uint8Array(this.#clusterSize);
    await this.#file.read(block, this.#table[index]);
    this.#clean.set(index, block);
    for (const oldest of this.#clean.keys()) {
      if (this.#clean.size * this.#clusterSize <= CACHE_BYTES || oldest === index) break;
      this.#clean.delete(oldest);
    }
    return block;
  }

  #change(index: number, block: Uint8Array): Uint8Array {
    this.#clean.delete(index);
    this.#dirty.set(index, block);
    return block;
  }

  /** A block for a stretch that has none, where all clusters are free: it takes the first one that is wanted itself. */
  async #addBlock(index: number, cluster: number): Promise<void> {
    if (index >= this.#table.length) return this.#growTable(index, cluster);
    this.#refuseTaken(cluster);
    this.#placeBlock(index, cluster);
    await this.#count(cluster, 1);
  }

  #placeBlock(index: number, cluster: number): void {
    this.#table[index] = cluster * this.#clusterSize;
    this.#newBlocks.add(cluster);
    this.#newEntries.add(index);
    this.#dirty.set(index, new Uint8Array(this.#clusterSize));
  }

  /** Everything from `cluster` on is free: the missing blocks and a table half as large again go there. */
  async #growTable(index: number, cluster: number): Promise<void> {
    const perTableCluster = this.#clusterSize / ENTRY_BYTES;
    let clusters = Math.max(
      divideUp(index + 1, perTableCluster),
      Math.min(Math.ceil(this.#tableClusters * 1.5), Math.floor(this.#tableLimit / this.#clusterSize)),
    );
    let blocks: number;
    for (;;) {
      blocks = 1;
      while (divideUp(cluster + blocks + clusters, this.#perBlock) - index > blocks) {
        blocks = divideUp(cluster + blocks + clusters, this.#perBlock) - index;
      }
      if (index + blocks <= clusters * perTableCluster) break;
      clusters = divideUp(index + blocks, perTableCluster);
    }
    if (clusters * this.#clusterSize > Math.max(this.#tableLimit, this.#clusterSize)) {
      throw new DiskImageError(
        'LIMIT_EXCEEDED',
        `A refcount table of ${clusters} clusters exceeds the limit of ${Math.floor(this.#tableLimit / this.#clusterSize)} ('${this.#file.path}')`,
        { path: this.#file.path, operation: 'allocate' },
      );
    }
    for (let i = 0; i < blocks + clusters; i++) this.#refuseTaken(cluster + i);
    const grown = new Float64Array(clusters * perTableCluster);
    grown.set(this.#table);
    this.free(this.#tableOffset, this.#tableClusters * this.#clusterSize);
    this.#table = grown;
    this.#tableOffset = (cluster + blocks) * this.#clusterSize;
    this.#tableClusters = clusters;
    this.#moved = true;
    for (let i = 0; i < blocks; i++) this.#placeBlock(index + i, cluster + i);
    await this.#count(cluster, blocks + clusters);
  }

  async #writeBlocks(): Promise<void> {
    const writer = new PieceWriter(this.#file);
    for (const [index, block] of this.#dirty) {
      await writer.write(this.#table[index], block);
      this.#clean.set(index, block);
    }
    await writer.flush();
    this.#dirty.clear();
  }

  async #writeTable(): Promise<void> {
    await this.#file.write(tableEntries(this.#table), this.#tableOffset);
  }

  async #writeEntries(): Promise<void> {
    for (const index of this.#newEntries) {
      await this.#file.write(
        tableEntries(this.#table.subarray(index, index + 1)),
        this.#tableOffset + index * ENTRY_BYTES,
      );
    }
  }

  /** Offset and size of the table lie side by side in the header's first sector: one write, whole or not at all. */
  async #switchTable(): Promise<void> {
    const field = Buffer.alloc(12);
    field.writeBigUInt64BE(BigInt(this.#tableOffset), 0);
    field.writeUInt32BE(this.#tableClusters, 8);
    await this.#file.write(field, HEADER_TABLE_FIELD);
    this.#moved = false;
  }
}

function tableEntries(offsets: Float64Array): Buffer {
  const bytes = Buffer.alloc(offsets.length * ENTRY_BYTES);
  for (let i = 0; i < offsets.length; i++) bytes.writeBigUInt64BE(BigInt(offsets[i]), i * ENTRY_BYTES);
  return bytes;
}
