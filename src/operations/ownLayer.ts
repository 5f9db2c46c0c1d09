import type { Disk } from '../disk/disk.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import { alignDown, alignUp } from '../disk/offsets.js';
import type { GuestMap } from './guestMap.js';

/**
 * What an overlay needs of its source (convert -B): the source's own layer, in whole clusters of the target.
 * Clusters the layer holds nothing of stay `unallocated` and are left to the target's backing file; one that it
 * holds in part is filled from the source's chain, for the target can't hold a part of a cluster.
 *
 * QEMU: convert_iteration_sectors with target_has_backing.
 */
export class OwnLayer implements GuestMap {
  readonly virtualSize: number;
  readonly #disk: Disk;
  readonly #cluster: number;
  /** Where unallocated bytes of the source stop meaning "see the backing file" and read as zeros. */
  readonly #sourceBacking: number;
  /** From here on the target's backing file reads as zeros, so zeros need no marking. */
  readonly #targetBacking: number;
  readonly #ends: readonly number[];
  readonly #own = new ExtentColumns();

  constructor(disk: Disk, cluster: number, targetBackingSize: number = Number.POSITIVE_INFINITY) {
    this.#disk = disk;
    this.virtualSize = alignUp(disk.virtualSize, 512);
    this.#cluster = cluster;
    this.#sourceBacking = disk.backing ? disk.backing.virtualSize : 0;
    this.#targetBacking = targetBackingSize;
    this.#ends = [this.#sourceBacking, targetBackingSize];
  }

  /** `start` is a multiple of the cluster; the result is too, or the end of the disk. */
  async map(into: ExtentColumns, start: number, end: number): Promise<number> {
    const own = this.#own;
    own.clear();
    own.capacity = Math.max(64, (into.capacity - into.count) >> 1);
    let at = await this.#mapOwn(start, end);
    if (at < end && at % this.#cluster !== 0) {
      const whole = alignDown(at, this.#cluster);
      if (whole > start) at = whole;
      else {
        const rest = Math.min(end, alignUp(at, this.#cluster));
        own.capacity = Number.POSITIVE_INFINITY;
        while (at < rest) at = await this.#mapOwn(at, rest);
      }
    }
    await this.#fill(into, start, at);
    return at;
  }

  async #mapOwn(start: number, end: number): Promise<number> {
    if (start >= this.#disk.virtualSize) {
      this.#own.pushEmpty(Kind.zero, start, end - start, 0);
      return end;
    }
    return this.#disk.map(this.#own, start, Math.min(end, this.#disk.virtualSize), { layer: 'own' });
  }

  /** Appends [start, end), where both are cluster boundaries or the end of the disk. */
  async #fill(into: ExtentColumns, start: number, end: number): Promise<void> {
    const own = this.#own;
    for (let row = 0, at = start; at < end; row++) {
      const rowEnd = Math.min(own.start[row] + own.length[row], end);
      while (at < rowEnd) {
        const kind = own.kind[row];
        const stop = this.#sliceEnd(kind, at, rowEnd);
        if (kind === Kind.unallocated && this.#isLeft(at)) await this.#leave(into, at, stop);
        else if (kind > Kind.zero) into.appendPart(own, row, at - own.start[row], stop - at, at);
        else into.pushEmpty(at < this.#targetBacking ? Kind.zero : Kind.unallocated, at, stop - at, 0);
        at = stop;
      }
    }
  }

  /** True where an unallocated byte of the source may stay unallocated in the target. */
  #isLeft(at: number): boolean {
    return at < this.#sourceBacking || at >= this.#targetBacking;
  }

  /** Rows change their meaning at the ends of the two backing files. */
  #sliceEnd(kind: number, at: number, rowEnd: number): number {
    let stop = rowEnd;
    const cuts = kind === Kind.unallocated && this.#sourceBacking >= this.#targetBacking ? [] : this.#ends;
    for (const cut of kind < Kind.data ? cuts : []) if (at < cut && cut < stop) stop = cut;
    return stop;
  }

  /** Leaves whole clusters to the backing file; parts of clusters at the ends come from the chain. */
  async #leave(into: ExtentColumns, start: number, end: number): Promise<void> {
    const first = alignUp(start, this.#cluster);
    const last = end === this.virtualSize ? end : alignDown(end, this.#cluster);
    if (last <= first) return this.#fromChain(into, start, end);
    await this.#fromChain(into, start, first);
    into.pushEmpty(Kind.unallocated, first, last - first, 0);
    await this.#fromChain(into, last, end);
  }

  async #fromChain(into: ExtentColumns, start: number, end: number): Promise<void> {
    const capacity = into.capacity;
    into.capacity = Number.POSITIVE_INFINITY;
    for (let at = start; at < end; ) at = await this.#disk.map(into, at, end);
    into.capacity = capacity;
  }
}
