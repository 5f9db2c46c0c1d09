// Host clusters of an image that is written in place. New clusters count at once, in memory; freed ones only after
// nothing durable names them any more.
import { DiskImageError } from '../../disk/errors.js';
import type { HostFile } from '../../disk/hostFile.js';
import { divideUp } from '../../disk/offsets.js';
import type { PieceWriter } from '../pieceWriter.js';
import { corruptImage, hex } from './corrupt.js';
import type { MetadataClusters } from './metadataClusters.js';
import type { RefcountStore } from './refcountStore.js';

const ENTRY_BYTES = 8;
/** Counts looked at for one allocation, at most: its cost does not grow with the image. */
const SWEEP = 2 ** 15;

/** A run of host clusters. */
export interface HostRun {
  /** Bytes. */
  offset: number;
  clusters: number;
  /** Nothing was ever written there: it reads as zeros. */
  fresh: boolean;
}

export class Allocator {
  readonly counts: RefcountStore;
  readonly #file: HostFile;
  readonly #clusterSize: number;
  readonly #tableLimit: number;
  /** Never handed out, however they are counted: a damaged image must not be made worse. */
  #metadata: MetadataClusters | undefined;
  readonly #listMetadata: () => MetadataClusters;
  /** From this cluster on all are free; -1 = not known yet. */
  #tail = -1;
  /** Free clusters below the tail are looked for from here on. */
  #sweep = 0;
  /** Bytes from here on were never written. */
  #freshFrom: number;
  /** References to take away, by host cluster. */
  readonly #freed = new Map<number, number>();
  /** Clusters whose storage goes back to the host with their last reference. */
  readonly #punched = new Set<number>();
  readonly #writer: PieceWriter;

  /**
   * @param tableLimit most bytes a refcount table may have
   * @param listMetadata called once, before the first allocation
   */
  constructor(
    counts: RefcountStore,
    tableLimit: number,
    writer: PieceWriter,
    listMetadata: () => MetadataClusters,
  ) {
    this.counts = counts;
    this.#file = counts.file;
    this.#clusterSize = counts.clusterSize;
    this.#tableLimit = Math.max(tableLimit, counts.clusterSize);
    this.#writer = writer;
    this.#listMetadata = listMetadata;
    this.#freshFrom = counts.file.isBlockDevice ? Number.POSITIVE_INFINITY : counts.file.size;
  }

  /** Frees that wait for the next flush. */
  get pendingFrees(): number {
    return this.#freed.size;
  }

  /**
   * The next free run of at most `most` clusters; they have refcount 1 now.
   * @throws LIMIT_EXCEEDED when the refcount table cannot grow; CORRUPT_IMAGE when a free cluster holds metadata; IO
   * (ENOSPC) when a block device is full. Nothing has changed then.
   */
  async allocate(most: number): Promise<HostRun> {
    await this.#begin();
    const hole = await this.#findHole(most, SWEEP);
    if (hole) return this.#take(hole.first, hole.clusters);
    if (!this.#fits(1)) {
      const last = await this.#findHole(most, Number.POSITIVE_INFINITY);
      if (last) return this.#take(last.first, last.clusters);
    }
    return this.#takeTail(most);
  }

  /** Exactly `clusters` in one run, for tables that must lie in one piece. @throws as `allocate`. */
  async allocateContiguous(clusters: number): Promise<HostRun> {
    await this.#begin();
    return this.#takeTail(clusters);
  }

  /** Takes back what `allocate` gave and nothing names yet. */
  async cancel(run: HostRun): Promise<void> {
    const first = run.offset / this.#clusterSize;
    await this.counts.setRun(first, run.clusters, 0);
    this.#sweep = Math.min(this.#sweep, first);
  }

  /**
   * One reference less for every host cluster that [offset, offset + length) touches, at the next flush. `punch`: its
   * storage goes back to the host when that was the last. Bytes.
   */
  free(offset: number, length: number, punch = false): void {
    const first = Math.floor(offset / this.#clusterSize);
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = first; cluster <= last; cluster++) {
      this.#freed.set(cluster, (this.#freed.get(cluster) ?? 0) + 1);
      if (punch) this.#punched.add(cluster);
    }
  }

  /** Undoes `free`, as long as no flush came in between. */
  keep(offset: number, length: number): void {
    const first = Math.floor(offset / this.#clusterSize);
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = first; cluster <= last; cluster++) {
      const references = (this.#freed.get(cluster) ?? 0) - 1;
      if (references > 0) this.#freed.set(cluster, references);
      else this.#freed.delete(cluster);
    }
  }

  /**
   * One reference more for every host cluster that [offset, offset + length) touches; returns the highest count that
   * came out. Published counts that nothing names yet are leaks, no more: it may be published at any time.
   * @throws LIMIT_EXCEEDED when a count would not fit refcount_bits; CORRUPT_IMAGE for a cluster that is not in use.
   */
  async retain(offset: number, length: number): Promise<number> {
    await this.#begin();
    const first = Math.floor(offset / this.#clusterSize);
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    let highest = 0;
    for (let cluster = first; cluster <= last; cluster++) {
      const count = await this.counts.count(cluster);
      if (count === 0) throw this.#notCounted(cluster, 0, 1);
      if (count >= this.counts.max) {
        throw new DiskImageError(
          'LIMIT_EXCEEDED',
          `Host cluster ${cluster} has refcount ${count}, the most that ${Math.log2(this.counts.max + 1)} refcount bits hold ('${this.#file.path}')`,
          { path: this.#file.path, offset: cluster * this.#clusterSize, operation: 'allocate' },
        );
      }
      await this.counts.setRun(cluster, 1, count + 1);
      highest = Math.max(highest, count + 1);
    }
    return highest;
  }

  /**
   * Lets the file reach to the last cluster handed out: what lies before it may be mapped. Not while clusters are handed
   * out elsewhere.
   */
  async reach(): Promise<void> {
    const end = this.#tail * this.#clusterSize;
    if (!this.#file.isBlockDevice && this.#file.size < end) await this.#file.truncate(end);
  }

  /** Writes counts of new clusters, then whatever points to new blocks. The caller syncs. */
  async publish(sync: boolean): Promise<void> {
    if (this.#tail > 0) await this.reach();
    await this.counts.publish(this.#writer, sync);
  }

  /** Takes the freed references away: nothing durable names them any more. A crash before it is written leaks them. */
  async settleFrees(): Promise<void> {
    if (this.#freed.size === 0) return;
    await this.#begin();
    const holes: number[] = [];
    for (const [cluster, references] of this.#freed) {
      const count = await this.counts.count(cluster);
      if (count < references) throw this.#notCounted(cluster, count, references);
      await this.counts.setRun(cluster, 1, count - references);
      this.#freed.delete(cluster);
      if (count > references) continue;
      this.#metadata?.release(cluster);
      this.#sweep = Math.min(this.#sweep, cluster);
      if (this.#punched.has(cluster)) holes.push(cluster);
    }
    this.#punched.clear();
    await this.counts.publish(this.#writer, false);
    await this.#punch(holes);
  }

  /** References that wait to be taken away, by host cluster; they are the caller's to settle from now on. */
  takeFrees(): Map<number, number> {
    const taken = new Map(this.#freed);
    this.#freed.clear();
    this.#punched.clear();
    return taken;
  }

  /** Clusters from `first` on are cut off the file (all are free): for verbs that shrink it. */
  forgetTail(first: number): void {
    this.#tail = Math.min(this.#tail, first);
    this.#sweep = Math.min(this.#sweep, first);
    this.#freshFrom = Math.min(this.#freshFrom, first * this.#clusterSize);
  }

  /** First cluster after all that are in use; where a shrinking verb may cut the file. */
  async end(): Promise<number> {
    await this.#begin();
    return this.#tail;
  }

  async #begin(): Promise<void> {
    if (this.#tail >= 0) return;
    const { counts } = this;
    let tail = 1;
    for (let index = counts.lastBlock; index >= 0; index--) {
      if (!counts.hasBlock(index)) continue;
      const block = await counts.block(index);
      let cluster = (index + 1) * counts.perBlock - 1;
      while (cluster >= index * counts.perBlock && counts.countIn(block, cluster) === 0) cluster--;
      if (cluster < index * counts.perBlock) continue;
      tail = cluster + 1;
      break;
    }
    this.#metadata = this.#listMetadata();
    this.#tail = tail;
  }

  /** A free run below the tail, looked for among the next `budget` counts. */
  async #findHole(most: number, budget: number): Promise<{ first: number; clusters: number } | undefined> {
    const { counts } = this;
    let left = budget;
    while (this.#sweep < this.#tail && left > 0) {
      const index = Math.floor(this.#sweep / counts.perBlock);
      const end = Math.min(this.#tail, (index + 1) * counts.perBlock);
      if (!counts.hasBlock(index)) {
        // Free, but uncounted: a block would have to come first. Not worth it below the end of the file.
        this.#sweep = end;
        left -= 64;
        continue;
      }
      const held = counts.block(index);
      const block = held instanceof Promise ? await held : held;
      const stop = Math.min(end, this.#sweep + left);
      let at = this.#sweep;
      while (at < stop && counts.countIn(block, at) !== 0) at++;
      left -= at - this.#sweep;
      this.#sweep = at;
      if (at === stop) continue;
      let after = at + 1;
      while (after < end && after < at + most && counts.countIn(block, after) === 0) after++;
      return { first: at, clusters: after - at };
    }
    return undefined;
  }

  async #take(first: number, clusters: number): Promise<HostRun> {
    for (let i = 0; i < clusters; i++) this.#refuseTaken(first + i);
    await this.counts.setRun(first, clusters, 1);
    if (first === this.#sweep) this.#sweep = first + clusters;
    return { offset: first * this.#clusterSize, clusters, fresh: false };
  }

  /** Clusters at the end, behind the refcount blocks and the bigger table that they may need. */
  async #takeTail(clusters: number): Promise<HostRun> {
    const { counts } = this;
    const perTableCluster = this.#clusterSize / ENTRY_BYTES;
    const start = this.#tail;
    let missing: number[] = [];
    let table = 0;
    for (;;) {
      const end = start + missing.length + table + clusters;
      const wanted: number[] = [];
      const last = Math.floor((end - 1) / counts.perBlock);
      for (let i = Math.floor(start / counts.perBlock); i <= last; i++)
        if (!counts.hasBlock(i)) wanted.push(i);
      const grown = last < counts.tableEntries ? 0 : this.#grownTable(divideUp(last + 1, perTableCluster));
      const settled = wanted.length === missing.length && grown === table;
      missing = wanted;
      table = grown;
      if (settled) break;
    }
    const own = missing.length + table;
    if (!this.#fits(own + clusters)) throw this.#full(own + clusters);
    for (let i = 0; i < own + clusters; i++) this.#refuseTaken(start + i);
    if (table > 0) {
      this.free(counts.tableOffset, counts.tableClusters * this.#clusterSize);
      counts.moveTable(start + missing.length, table);
    }
    for (const [i, index] of missing.entries()) counts.placeBlock(index, start + i);
    await counts.setRun(start, own + clusters, 1);
    this.#tail = start + own + clusters;
    if (this.#sweep === start) this.#sweep = this.#tail;
    const offset = (start + own) * this.#clusterSize;
    return { offset, clusters, fresh: offset >= this.#freshFrom };
  }

  /** Clusters of a table with room for `needed` clusters' worth of entries, half as large again as it was. */
  #grownTable(needed: number): number {
    const most = Math.floor(this.#tableLimit / this.#clusterSize);
    if (needed > most) {
      throw new DiskImageError(
        'LIMIT_EXCEEDED',
        `A refcount table of ${needed} clusters exceeds the limit of ${most} ('${this.#file.path}')`,
        { path: this.#file.path, operation: 'allocate' },
      );
    }
    return Math.max(needed, Math.min(most, Math.ceil(this.counts.tableClusters * 1.5)));
  }

  #fits(clusters: number): boolean {
    return !this.#file.isBlockDevice || (this.#tail + clusters) * this.#clusterSize <= this.#file.size;
  }

  #full(clusters: number): DiskImageError {
    return new DiskImageError(
      'IO',
      `Device '${this.#file.path}' of ${this.#file.size} bytes has no room for ${clusters} more clusters of ${this.#clusterSize}`,
      { path: this.#file.path, operation: 'allocate', errno: 'ENOSPC', syscall: 'write' },
    );
  }

  #refuseTaken(cluster: number): void {
    if (!this.#metadata!.has(cluster)) return;
    throw corruptImage(
      this.#file.path,
      `Host cluster ${cluster} at ${hex(cluster * this.#clusterSize)} has refcount 0 but holds metadata`,
      cluster * this.#clusterSize,
    );
  }

  #notCounted(cluster: number, count: number, references: number): DiskImageError {
    return corruptImage(
      this.#file.path,
      `Host cluster ${cluster} has refcount ${count}, but ${references} references to it were in use`,
      cluster * this.#clusterSize,
    );
  }

  /** A device keeps its storage anyway. */
  async #punch(clusters: number[]): Promise<void> {
    if (this.#file.isBlockDevice) return;
    clusters.sort((a, b) => a - b);
    for (let i = 0; i < clusters.length; ) {
      let end = i + 1;
      while (end < clusters.length && clusters[end] === clusters[end - 1] + 1) end++;
      const length = (end - i) * this.#clusterSize;
      await this.#file.zero(clusters[i] * this.#clusterSize, length);
      i = end;
    }
  }
}
