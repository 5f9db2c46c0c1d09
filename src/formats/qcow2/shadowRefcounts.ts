// Refcounts that change at many places at once, beside those that the image has: the header switches from one to the other.
import { DiskImageError } from '../../disk/errors.js';
import { PieceWriter } from '../pieceWriter.js';
import type { HostRun } from './allocator.js';
import { corruptImage, hex } from './corrupt.js';
import type { ImageCore } from './imageCore.js';
import { MetadataCache } from './metadataCache.js';
import type { RefcountStore } from './refcountStore.js';
import { type RefcountGetter, type RefcountSetter, refcountGetter, refcountSetter } from './refcounts.js';

const ENTRY_BYTES = 8;
const CLEAN_BYTES = 4 * 2 ** 20;
/** Changed blocks in memory after which they are written, bytes: nothing names their places yet. */
const MAX_PINNED = 8 * 2 ** 20;

/**
 * Blocks that change get a copy at a new place; the others are shared with the counts that the image has. Until the
 * header names the new table nothing on storage has changed but clusters that are free. Begins with everything published;
 * the core is to be reloaded in the end.
 */
export class ShadowRefcounts {
  readonly #core: ImageCore;
  readonly #counts: RefcountStore;
  readonly #clusterSize: number;
  readonly #writer: PieceWriter;
  readonly #get: RefcountGetter;
  readonly #set: RefcountSetter;
  readonly #blocks: MetadataCache<Uint8Array>;
  /** Host offsets of the copies, by index. */
  readonly #moved = new Map<number, number>();
  /** Clusters that lose one reference when everything else is settled. */
  readonly #left: number[] = [];
  /** Blocks that allocations have changed in memory: they must not stay what they are on storage. */
  readonly #touched = new Set<number>();
  #gained: [first: number, clusters: number][] = [];
  /** Old blocks and tables, by cluster: they are read until the end. */
  readonly #obsolete = new Set<number>();
  /** The block in hand, to change. */
  #index = -1;
  #block: Uint8Array = new Uint8Array(0);
  /** The block in hand, to look at. */
  #seenIndex = -1;
  #seen: Uint8Array = new Uint8Array(0);

  constructor(core: ImageCore) {
    const { refcountOrder, clusterSize } = core.header;
    this.#core = core;
    this.#counts = core.allocator.counts;
    this.#clusterSize = clusterSize;
    this.#writer = new PieceWriter(core.file);
    this.#get = refcountGetter(refcountOrder);
    this.#set = refcountSetter(refcountOrder);
    this.#blocks = MetadataCache.bytes(core.file, clusterSize, CLEAN_BYTES);
    this.#counts.observer = (first, clusters, value) => {
      if (value !== 1) throw new RangeError(`count ${value} while counts are being copied`);
      this.#gained.push([first, clusters]);
    };
  }

  /** New clusters, counted once; `contiguous`: exactly as many, in one run. They are free in what storage holds. */
  async allocate(most: number, contiguous = false): Promise<HostRun> {
    const { allocator } = this.#core;
    const run = contiguous ? await allocator.allocateContiguous(most) : await allocator.allocate(most);
    await this.#mirror();
    return run;
  }

  /**
   * `delta` references more for every host cluster that [offset, offset + length) touches, bytes. A promise only when
   * a block has to be got.
   * @throws CORRUPT_IMAGE for a cluster that is not counted; LIMIT_EXCEEDED.
   */
  add(offset: number, length: number, delta: number): Promise<void> | undefined {
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster <= last; cluster++) {
      if (Math.floor(cluster / this.#counts.perBlock) !== this.#index) {
        return this.#addSlowly(cluster, last, delta);
      }
      this.#change(cluster, delta);
    }
    return undefined;
  }

  /** The count of a cluster; a promise only when a block has to be got. */
  count(cluster: number): number | Promise<number> {
    const index = Math.floor(cluster / this.#counts.perBlock);
    if (index === this.#index) return this.#get(this.#block, cluster % this.#counts.perBlock);
    if (index === this.#seenIndex) return this.#get(this.#seen, cluster % this.#counts.perBlock);
    return this.#look(index).then(() => this.#get(this.#seen, cluster % this.#counts.perBlock));
  }

  /** One reference less, in the end: what is there is read until then. Bytes. */
  release(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster <= last; cluster++) {
      this.#left.push(cluster);
      this.#obsolete.add(cluster);
    }
  }

  /**
   * Writes the blocks and a table that names them; the caller syncs, and writes its place into the header together with
   * whatever else changes.
   */
  async finish(): Promise<{ refcountTableOffset: number; refcountTableClusters: number }> {
    const counts = this.#counts;
    let table = await this.allocate(counts.tableClusters, true);
    let released = -1;
    for (;;) {
      await this.#settle(released);
      if (released !== counts.tableOffset) {
        released = counts.tableOffset;
        this.release(released, counts.tableClusters * this.#clusterSize);
      } else if (counts.tableClusters > table.clusters) {
        this.release(table.offset, table.clusters * this.#clusterSize);
        table = await this.allocate(counts.tableClusters, true);
      } else break;
    }
    this.#index = -1;
    await this.#blocks.writeBack(this.#writer);
    const bytes = Buffer.alloc(table.clusters * this.#clusterSize);
    for (let i = 0; i < counts.tableEntries; i++) {
      const offset = this.#moved.get(i) ?? counts.blockCluster(i) * this.#clusterSize;
      bytes.writeBigUInt64BE(BigInt(offset), i * ENTRY_BYTES);
    }
    await this.#core.file.write(bytes, table.offset);
    await this.#core.allocator.reach();
    return { refcountTableOffset: table.offset, refcountTableClusters: table.clusters };
  }

  /** After the switch: storage of clusters that are free now goes back to the host. */
  async punch(): Promise<void> {
    const { file } = this.#core;
    if (file.isBlockDevice) return;
    const counts = this.#counts;
    let first = -1;
    let next = -1;
    const give = async () => {
      if (first >= 0) await file.zero(first * this.#clusterSize, (next - first) * this.#clusterSize);
      first = -1;
    };
    for (const [index, offset] of [...this.#moved].sort(([a], [b]) => a - b)) {
      const before = await counts.block(index);
      const after = await this.#blocks.get(offset);
      for (let i = 0; i < counts.perBlock; i++) {
        if (this.#get(before, i) === 0 || this.#get(after, i) !== 0) continue;
        const cluster = index * counts.perBlock + i;
        if (this.#obsolete.has(cluster)) continue;
        if (cluster !== next) {
          await give();
          first = cluster;
        }
        next = cluster + 1;
      }
    }
    await give();
    for (const cluster of this.#obsolete) {
      if ((await this.count(cluster)) === 0) await file.zero(cluster * this.#clusterSize, this.#clusterSize);
    }
  }

  /** Until no block that changed has its old place, and nothing waits to be released. */
  async #settle(releasedTable: number): Promise<void> {
    const counts = this.#counts;
    for (;;) {
      for (const [cluster, references] of this.#core.allocator.takeFrees()) {
        // A table that moved once more after it was released here.
        if (cluster * this.#clusterSize === releasedTable) continue;
        for (let i = 0; i < references; i++) this.release(cluster * this.#clusterSize, 1);
      }
      const unmoved = [...this.#touched].find((index) => !this.#moved.has(index));
      if (unmoved !== undefined) await this.#move(unmoved);
      else if (this.#left.length > 0) {
        const cluster = this.#left.pop()!;
        if (!counts.hasBlock(Math.floor(cluster / counts.perBlock))) throw this.#notCounted(cluster);
        await this.add(cluster * this.#clusterSize, 1, -1);
      } else return;
    }
  }

  async #addSlowly(first: number, last: number, delta: number): Promise<void> {
    for (let cluster = first; cluster <= last; cluster++) {
      const index = Math.floor(cluster / this.#counts.perBlock);
      if (index !== this.#index) await this.#take(index, cluster);
      this.#change(cluster, delta);
    }
  }

  #change(cluster: number, delta: number): void {
    const at = cluster % this.#counts.perBlock;
    const before = this.#get(this.#block, at);
    const count = before + delta;
    if (before === 0 || count < 0) throw this.#notCounted(cluster);
    if (count > this.#counts.max) {
      throw new DiskImageError(
        'LIMIT_EXCEEDED',
        `Host cluster ${cluster} has refcount ${before}, the most that ${Math.log2(this.#counts.max + 1)} refcount bits hold ('${this.#core.file.path}')`,
        {
          path: this.#core.file.path,
          offset: cluster * this.#clusterSize,
          operation: 'snapshot',
          errno: 'EINVAL',
        },
      );
    }
    this.#set(this.#block, at, count);
  }

  /** Takes the copy of block `index` in hand, to change it. */
  async #take(index: number, cluster: number): Promise<void> {
    if (this.#blocks.pinnedBytes > MAX_PINNED) {
      this.#index = -1;
      await this.#blocks.writeBack(this.#writer);
    }
    if (!this.#counts.hasBlock(index)) throw this.#notCounted(cluster);
    if (!this.#moved.has(index)) await this.#move(index);
    const offset = this.#moved.get(index)!;
    this.#block = await this.#blocks.get(offset);
    // Nearly all of it changes.
    this.#blocks.markDirty(offset, this.#block, 0, this.#clusterSize);
    this.#index = index;
    if (this.#seenIndex === index) this.#seenIndex = -1;
  }

  async #look(index: number): Promise<void> {
    const moved = this.#moved.get(index);
    if (moved !== undefined) this.#seen = await this.#blocks.get(moved);
    else if (this.#counts.hasBlock(index)) this.#seen = await this.#counts.block(index);
    else this.#seen = new Uint8Array(this.#clusterSize);
    this.#seenIndex = index;
  }

  /** Gives block `index` a copy at a new place. */
  async #move(index: number): Promise<void> {
    const run = await this.allocate(1);
    const old = this.#counts.blockCluster(index) * this.#clusterSize;
    // What is in memory counts the allocations so far.
    this.#blocks.create(run.offset, Uint8Array.from(await this.#counts.block(index)));
    this.#moved.set(index, run.offset);
    this.#seenIndex = -1;
    this.release(old, this.#clusterSize);
  }

  /** Counts in the copies what was allocated meanwhile. */
  async #mirror(): Promise<void> {
    const { perBlock } = this.#counts;
    if (this.#gained.length > 0) this.#seenIndex = -1;
    while (this.#gained.length > 0) {
      const [first, clusters] = this.#gained.shift()!;
      for (let cluster = first; cluster < first + clusters; cluster++) {
        const index = Math.floor(cluster / perBlock);
        this.#touched.add(index);
        const moved = this.#moved.get(index);
        if (moved === undefined) continue;
        const block = await this.#blocks.get(moved);
        this.#set(block, cluster % perBlock, 1);
        this.#blocks.markDirty(moved, block, 0, this.#clusterSize);
      }
    }
  }

  #notCounted(cluster: number): DiskImageError {
    const at = cluster * this.#clusterSize;
    return corruptImage(
      this.#core.file.path,
      `Host cluster ${cluster} at ${hex(at)} is in use, but has too few references`,
      at,
    );
  }
}
