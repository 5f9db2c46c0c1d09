// Gives guest clusters of an existing image places that may be written to: copy-on-write at the level of L2 entries.
import type { Disk } from '../../disk/disk.js';
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import { alignDown, alignUp } from '../../disk/offsets.js';
import { readDisk } from '../../disk/view.js';
import type { Allocator } from './allocator.js';
import { compressedLength, compressedOffset } from './compressedDescriptor.js';
import { SUBCLUSTERS } from './constants.js';
import { entryOffset, entryWords, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import { checkedL2Offset } from './map.js';
import {
  checkStandardEntry,
  isCompressed,
  ownsCluster,
  type Slot,
  slotAt,
  subclusterBits,
} from './writableEntry.js';
import type { WritableTables } from './writableTables.js';

const ALL = 0xffffffff;

export class ClusterWriter {
  readonly layer: Layer;
  readonly #disk: Disk;
  readonly #allocator: Allocator;
  readonly #tables: WritableTables;

  /** @param disk what the clusters hold now, backing chain included */
  constructor(disk: Disk, layer: Layer, allocator: Allocator, tables: WritableTables) {
    this.layer = layer;
    this.#disk = disk;
    this.#allocator = allocator;
    this.#tables = tables;
  }

  /** The L2 table that maps guest byte `at`, to look at; undefined when there is none. */
  async tableToRead(at: number): Promise<Uint32Array | undefined> {
    const offset = checkedL2Offset(this.layer, this.#group(at));
    return offset === 0 ? undefined : this.layer.l2.get(offset);
  }

  /** The same to change: one that belongs to the active layer alone. */
  tableToChange(at: number): Promise<Uint32Array> {
    const index = this.#group(at);
    return this.#tables.forChange(index, checkedL2Offset(this.layer, index));
  }

  /**
   * Places for guest bytes [start, end), which lie in one L2 table; rows are appended to `into`. What the clusters held
   * around them is copied to their new places.
   */
  async allocate(into: ExtentColumns, start: number, end: number): Promise<void> {
    const { header } = this.layer;
    let words = await this.tableToRead(start);
    let changing = false;
    for (let at = start; at < end; ) {
      const guest = alignDown(at, header.clusterSize);
      const stop = Math.min(end, guest + header.clusterSize);
      if (words) {
        const host = this.#inPlace(slotAt(header, words, guest), at, stop);
        if (host !== undefined) {
          this.#push(into, at, stop, host + (at - guest));
          at = stop;
          continue;
        }
      }
      if (!changing) words = await this.tableToChange(start);
      changing = true;
      at = await this.#place(into, words!, at, end);
    }
  }

  /** Gives up what the entry refers to, at the next flush; the entry is the caller's to change. */
  release({ words, at }: Slot): void {
    const { clusterBits, clusterSize } = this.layer.header;
    const hi = words[at];
    const lo = words[at + 1];
    if (isCompressed({ words, at, guest: 0 })) {
      this.#allocator.free(compressedOffset(hi, lo, clusterBits), compressedLength(hi, lo, clusterBits));
    } else this.#allocator.free(entryOffset(hi, lo), clusterSize);
  }

  #group(at: number): number {
    return Math.floor(at / this.layer.header.l2Coverage);
  }

  /** Host offset of the cluster when [from, to) can be overwritten as it is. */
  #inPlace(slot: Slot, from: number, to: number): number | undefined {
    const { words, at } = slot;
    const { header } = this.layer;
    if (!ownsCluster(slot)) return undefined;
    const offset = checkStandardEntry(this.layer, slot);
    if (!header.extendedL2) return words[at + 1] & ZERO_LO ? undefined : offset;
    const touched = subclusterBits(header, slot, from, to);
    return (words[at + 3] & touched) >>> 0 === touched ? offset : undefined;
  }

  /** Places as many clusters from `at` on as come in one run; returns where it stopped. */
  async #place(into: ExtentColumns, words: Uint32Array, at: number, end: number): Promise<number> {
    const { header } = this.layer;
    const { clusterSize } = header;
    const first = slotAt(header, words, alignDown(at, clusterSize));
    // A place of its own that only lacks content: zeros with a place, subclusters not written yet.
    const reused = ownsCluster(first) ? checkStandardEntry(this.layer, first) : undefined;
    let host: number;
    let clusters = 1;
    if (header.externalData) host = first.guest;
    else if (reused !== undefined) {
      host = reused;
      await this.#allocator.reach(host + clusterSize);
    } else {
      const wanted = Math.ceil((end - first.guest) / clusterSize);
      let most = 1;
      while (most < wanted && !ownsCluster(slotAt(header, words, first.guest + most * clusterSize))) most++;
      ({ offset: host, clusters } = await this.#allocator.allocate(most));
    }
    let from = at;
    for (let i = 0; i < clusters; i++) {
      const slot = slotAt(header, words, first.guest + i * clusterSize);
      const to = Math.min(end, slot.guest + clusterSize);
      const place = host + i * clusterSize;
      await this.#fillAndSet(slot, from, to, place, reused !== undefined);
      this.#push(into, from, to, place + (from - slot.guest));
      from = to;
    }
    return from;
  }

  /** Writes what the caller will not ([from, to) is his), then lets the entry point to `host`. */
  async #fillAndSet(slot: Slot, from: number, to: number, host: number, reused: boolean): Promise<void> {
    const { header } = this.layer;
    const { clusterSize, extendedL2 } = header;
    const { words, at, guest } = slot;
    const held = isCompressed(slot) || checkStandardEntry(this.layer, slot) !== undefined;
    const replaced = held && !reused && !header.externalData;
    let fillFrom = guest;
    let fillTo = guest + clusterSize;
    let allocated = ALL;
    let zeros = 0;
    if (extendedL2 && !replaced) {
      const unit = clusterSize / SUBCLUSTERS;
      const touched = subclusterBits(header, slot, from, to);
      fillFrom = alignDown(from, unit);
      fillTo = alignUp(to, unit);
      const filled = words[at + 3];
      // The rest of a subcluster that has its content already stays as it is.
      if (filled & subclusterBits(header, slot, fillFrom, fillFrom + 1)) fillFrom = from;
      if (filled & subclusterBits(header, slot, fillTo - 1, fillTo)) fillTo = to;
      allocated = (filled | touched) >>> 0;
      zeros = (words[at + 2] & ~touched) >>> 0;
    }
    await this.#fill(guest, host, fillFrom, from);
    await this.#fill(guest, host, to, fillTo);
    if (replaced) this.release(slot);
    const [hi, lo] = entryWords(host, true);
    words[at] = hi;
    words[at + 1] = lo;
    if (extendedL2) {
      words[at + 2] = zeros;
      words[at + 3] = allocated;
    }
  }

  /** Guest bytes [from, to) of the cluster, as they read now, to its new place; zeros past the disk's end. */
  async #fill(guest: number, host: number, from: number, to: number): Promise<void> {
    if (to <= from) return;
    const content = Buffer.alloc(to - from);
    const held = Math.min(to, this.#disk.virtualSize);
    if (held > from) (await readDisk(this.#disk, from, held - from)).copy(content);
    await this.layer.dataFile.write(content, host + (from - guest));
  }

  #push(into: ExtentColumns, from: number, to: number, host: number): void {
    into.pushPlaced(Kind.data, from, to - from, 0, this.layer.dataFile, host);
  }
}
