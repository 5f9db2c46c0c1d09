import type { WritableDisk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import type { FormatOpenOptions } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import { alignDown, alignUp } from '../../disk/offsets.js';
import { readDisk } from '../../disk/view.js';
import { native } from '../../native.js';
import { Allocator } from './allocator.js';
import { compressedLength, compressedOffset } from './compressedDescriptor.js';
import { Autoclear, SUBCLUSTERS } from './constants.js';
import { Qcow2Disk, type Qcow2Parts } from './disk.js';
import { COMPRESSED_HI, COPIED_HI, entryOffset, entryWords, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import { checkedL2Offset } from './map.js';
import { openParts } from './open.js';
import { checkStandardEntry } from './writableEntry.js';
import { WritableL2Cache, WritableTables } from './writableTables.js';

const ALL = 0xffffffff;
/** Changed tables and refcount blocks kept until a flush, bytes. */
const MAX_DIRTY = 16 * 2 ** 20;
const MAX_FREES = 2 ** 17;
const AUTOCLEAR_FIELD = 88;

/**
 * Opens an existing image for writing in place.
 * @throws what openQcow2 throws; CORRUPT_IMAGE for a refcount table that makes no sense. Nothing on disk has changed.
 */
export async function openWritableQcow2(
  file: HostFile,
  options: FormatOpenOptions,
): Promise<WritableQcow2Disk> {
  const parts = await openParts(file, options);
  const l2 = new WritableL2Cache(file, parts.header.clusterSize);
  const disk = new WritableQcow2Disk({ ...parts, l2 }, l2);
  try {
    await disk.prepare();
    return disk;
  } catch (error) {
    await parts.backing?.close();
    await parts.dataFile?.close();
    throw error;
  }
}

/** The entry of one guest cluster, with the words it lies in. */
interface Slot {
  words: Uint32Array;
  /** Index of its first word. */
  at: number;
  /** Guest offset of the cluster, bytes. */
  guest: number;
}

/**
 * A qcow2 image that changes in place. Metadata stays in memory until `flush`, which publishes it in the order data,
 * refcounts, L2, L1, and frees clusters last: killed at any instant, the image has at most leaked clusters. Closing
 * without a flush drops what was not published.
 */
export class WritableQcow2Disk extends Qcow2Disk implements WritableDisk {
  readonly #l2: WritableL2Cache;
  #allocator!: Allocator;
  #tables!: WritableTables;
  #layer!: Layer;
  #begun = false;

  constructor(parts: Qcow2Parts, l2: WritableL2Cache) {
    super(parts);
    this.#l2 = l2;
  }

  async prepare(): Promise<void> {
    const { file, header, limits } = this;
    this.#layer = await this.layer();
    const { l1 } = this.#layer;
    const tables = new Float64Array(l1.entries);
    for (let i = 0; i < l1.entries; i++) tables[i] = l1.l2Offset(i) / header.clusterSize;
    tables.sort();
    const l1First = header.l1Offset / header.clusterSize;
    const l1End = l1First + Math.ceil((header.l1Entries * 8) / header.clusterSize);
    const isMetadata = (cluster: number) =>
      (cluster >= l1First && cluster < l1End) || includesSorted(tables, cluster);
    this.#allocator = await Allocator.open(file, header, limits.refcountTableBytes, isMetadata);
    this.#tables = new WritableTables(file, header, l1, this.#l2, this.#allocator);
  }

  async allocate(into: ExtentColumns, start: number, length: number): Promise<void> {
    this.#checkRange(start, length);
    await this.#begin();
    const end = start + length;
    for (let at = start; at < end; ) {
      await this.#relieve();
      const stop = Math.min(end, this.#groupEnd(at));
      await this.#allocateInTable(into, at, stop);
      at = stop;
    }
  }

  async zero(start: number, length: number): Promise<void> {
    this.#checkRange(start, length);
    await this.#begin();
    const { l1 } = this.#layer;
    const end = start + length;
    for (let at = start; at < end; ) {
      const index = Math.floor(at / this.header.l2Coverage);
      const stop = Math.min(end, this.#groupEnd(at));
      // Nothing is mapped, and nothing lies behind: it reads as zeros already.
      if (l1.l2Offset(index) === 0 && !this.#hasBacking) {
        const next = l1.nextUsed(index, l1.entries);
        at = Math.min(end, Math.max(stop, next * this.header.l2Coverage));
        continue;
      }
      await this.#relieve();
      await this.#zeroInTable(at, stop);
      at = stop;
    }
  }

  flush(): Promise<void> {
    return this.publish(true);
  }

  /** As flush; without `sync` the order is kept, but nothing waits for the storage. */
  async publish(sync: boolean): Promise<void> {
    if (sync && this.externalFile) await this.externalFile.sync();
    await this.#allocator.publish(sync);
    await this.#tables.publish(sync);
    await this.#allocator.settleFrees(sync);
  }

  get #hasBacking(): boolean {
    return this.header.backingFile !== undefined;
  }

  #groupEnd(at: number): number {
    return (Math.floor(at / this.header.l2Coverage) + 1) * this.header.l2Coverage;
  }

  #checkRange(start: number, length: number): void {
    if (Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0) {
      if (start + length <= this.virtualSize) return;
    }
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `Bytes ${start} to ${start + length} lie outside the disk of ${this.virtualSize} bytes`,
      { path: this.path, operation: 'write' },
    );
  }

  /** What vouches for things that a writer changes without maintaining them is taken back before the first change. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const { autoclear, version } = this.header;
    const kept = autoclear & Autoclear.dataFileRaw;
    if (version < 3 || kept === autoclear) return;
    const field = Buffer.alloc(8);
    field.writeBigUInt64BE(kept);
    await this.file.write(field, AUTOCLEAR_FIELD);
    await this.file.sync();
  }

  /** Keeps memory bounded. */
  async #relieve(): Promise<void> {
    const dirty = this.#tables.dirtyBytes + this.#allocator.dirtyBytes;
    if (dirty > MAX_DIRTY || this.#allocator.pendingFrees > MAX_FREES) await this.flush();
  }

  async #table(at: number, change: boolean): Promise<Uint32Array | undefined> {
    const index = Math.floor(at / this.header.l2Coverage);
    const offset = checkedL2Offset(this.#layer, index);
    if (change) return this.#tables.forChange(index, offset);
    return offset === 0 ? undefined : this.#l2.get(offset);
  }

  #slot(words: Uint32Array, guest: number): Slot {
    const { l2Coverage, clusterSize, l2EntryBytes } = this.header;
    return { words, guest, at: ((guest % l2Coverage) / clusterSize) * (l2EntryBytes / 4) };
  }

  async #allocateInTable(into: ExtentColumns, start: number, end: number): Promise<void> {
    const { clusterSize } = this.header;
    let words = await this.#table(start, false);
    let changing = false;
    for (let at = start; at < end; ) {
      const guest = alignDown(at, clusterSize);
      const stop = Math.min(end, guest + clusterSize);
      if (words) {
        const host = this.#inPlace(this.#slot(words, guest), at, stop);
        if (host !== undefined) {
          this.#push(into, at, stop, host + (at - guest));
          at = stop;
          continue;
        }
      }
      if (!changing) words = await this.#table(start, true);
      changing = true;
      at = await this.#place(into, words!, at, end);
    }
  }

  /** Host offset of the cluster when [from, to) can be overwritten as it is. */
  #inPlace(slot: Slot, from: number, to: number): number | undefined {
    const { words, at } = slot;
    const hi = words[at];
    if (hi & COMPRESSED_HI || !(hi & COPIED_HI)) return undefined;
    const offset = checkStandardEntry(this.#layer, slot);
    if (!this.header.extendedL2) return words[at + 1] & ZERO_LO ? undefined : offset;
    const touched = this.#subclusters(slot.guest, from, to);
    return (words[at + 3] & touched) >>> 0 === touched ? offset : undefined;
  }

  /** Places as many clusters from `at` on as come in one run; returns where it stopped. */
  async #place(into: ExtentColumns, words: Uint32Array, at: number, end: number): Promise<number> {
    const { clusterSize, externalData } = this.header;
    const first = this.#slot(words, alignDown(at, clusterSize));
    const reused = this.#reusable(first);
    let host: number;
    let clusters = 1;
    if (externalData) host = first.guest;
    else if (reused !== undefined) host = reused;
    else {
      const wanted = Math.ceil((end - first.guest) / clusterSize);
      let most = 1;
      while (most < wanted && this.#needsPlace(this.#slot(words, first.guest + most * clusterSize))) most++;
      ({ offset: host, clusters } = await this.#allocator.allocate(most));
    }
    let from = at;
    for (let i = 0; i < clusters; i++) {
      const slot = this.#slot(words, first.guest + i * clusterSize);
      const to = Math.min(end, slot.guest + clusterSize);
      const place = host + i * clusterSize;
      await this.#fillAndSet(slot, from, to, place, reused !== undefined);
      this.#push(into, from, to, place + (from - slot.guest));
      from = to;
    }
    return from;
  }

  /** A place of its own that only lacks content: zeros with a place, subclusters not written yet. */
  #reusable(slot: Slot): number | undefined {
    const hi = slot.words[slot.at];
    if (hi & COMPRESSED_HI || !(hi & COPIED_HI)) return undefined;
    return checkStandardEntry(this.#layer, slot);
  }

  #needsPlace(slot: Slot): boolean {
    return (slot.words[slot.at] & COMPRESSED_HI) !== 0 || (slot.words[slot.at] & COPIED_HI) === 0;
  }

  /** Writes what the caller will not ([from, to) is his), then lets the entry point to `host`. */
  async #fillAndSet(slot: Slot, from: number, to: number, host: number, reused: boolean): Promise<void> {
    const { clusterSize, extendedL2 } = this.header;
    const { words, at, guest } = slot;
    const hi = words[at];
    const compressed = (hi & COMPRESSED_HI) !== 0;
    const oldOffset = compressed ? 0 : checkStandardEntry(this.#layer, slot);
    const shared = !reused && (compressed || oldOffset !== undefined) && !this.header.externalData;
    let fillFrom = guest;
    let fillTo = guest + clusterSize;
    let allocated = ALL;
    let zeros = 0;
    if (extendedL2 && !shared) {
      const unit = clusterSize / SUBCLUSTERS;
      const touched = this.#subclusters(guest, from, to);
      fillFrom = alignDown(from, unit);
      fillTo = alignUp(to, unit);
      const held = words[at + 3];
      // The rest of a subcluster that has its content already stays as it is.
      if (held & this.#subclusters(guest, fillFrom, fillFrom + 1)) fillFrom = from;
      if (held & this.#subclusters(guest, fillTo - 1, fillTo)) fillTo = to;
      allocated = (held | touched) >>> 0;
      zeros = (words[at + 2] & ~touched) >>> 0;
    }
    await this.#fill(guest, host, fillFrom, from);
    await this.#fill(guest, host, to, fillTo);
    if (shared) this.#freeOld(slot, compressed);
    const [newHi, newLo] = entryWords(host, true);
    words[at] = newHi;
    words[at + 1] = newLo;
    if (extendedL2) {
      words[at + 2] = zeros;
      words[at + 3] = allocated;
    }
  }

  #freeOld({ words, at }: Slot, compressed: boolean): void {
    const { clusterBits, clusterSize } = this.header;
    const hi = words[at];
    const lo = words[at + 1];
    if (!compressed) this.#allocator.free(entryOffset(hi, lo), clusterSize);
    else {
      this.#allocator.free(compressedOffset(hi, lo, clusterBits), compressedLength(hi, lo, clusterBits));
    }
  }

  /** Guest bytes [from, to) of the cluster, as they read now, to its new place; zeros past the disk's end. */
  async #fill(guest: number, host: number, from: number, to: number): Promise<void> {
    if (to <= from) return;
    const content = Buffer.alloc(to - from);
    const held = Math.min(to, this.virtualSize);
    if (held > from) (await readDisk(this, from, held - from)).copy(content);
    await this.#layer.dataFile.write(content, host + (from - guest));
  }

  /** Bits of the subclusters that [from, to) touches. */
  #subclusters(guest: number, from: number, to: number): number {
    const unit = this.header.clusterSize / SUBCLUSTERS;
    const first = Math.floor((from - guest) / unit);
    const last = Math.ceil((to - guest) / unit);
    return last - first >= SUBCLUSTERS ? ALL : (((2 ** (last - first) - 1) * 2 ** first) | 0) >>> 0;
  }

  #push(into: ExtentColumns, from: number, to: number, host: number): void {
    into.pushPlaced(Kind.data, from, to - from, 0, this.#layer.dataFile, host);
  }

  async #zeroInTable(start: number, end: number): Promise<void> {
    const { clusterSize } = this.header;
    let words = await this.#table(start, false);
    let changing = false;
    for (let at = start; at < end; ) {
      const guest = alignDown(at, clusterSize);
      const stop = Math.min(end, guest + clusterSize);
      const whole = at === guest && (stop === guest + clusterSize || stop === this.virtualSize);
      const slot = words && this.#slot(words, guest);
      if (!whole || this.#storesZeros(slot)) {
        if (await this.#readsAsData(at, stop)) await this.#writeZeros(at, stop);
        // Writing may have given the table another place.
        words = await this.#table(start, false);
        changing = false;
      } else if (this.#needsZeroing(slot)) {
        if (!changing) words = await this.#table(start, true);
        changing = true;
        this.#setZero(this.#slot(words!, guest));
      }
      at = stop;
    }
  }

  /** Zeros that only bytes can express: version 2 over a backing file, and clusters of an external data file. */
  #storesZeros(slot: Slot | undefined): boolean {
    if (this.header.version < 3 && this.#hasBacking) return true;
    if (!this.header.externalData || !slot) return false;
    return (slot.words[slot.at] & COPIED_HI) !== 0;
  }

  #needsZeroing(slot: Slot | undefined): boolean {
    if (!slot) return this.#hasBacking;
    const { words, at } = slot;
    const empty = words[at] === 0 && (words[at + 1] & ~ZERO_LO) === 0;
    if (!empty) return true;
    if (this.header.extendedL2) return words[at + 2] !== ALL && this.#hasBacking;
    return words[at + 1] === 0 && this.#hasBacking;
  }

  #setZero(slot: Slot): void {
    const { words, at } = slot;
    const compressed = (words[at] & COMPRESSED_HI) !== 0;
    if (!this.header.externalData && (compressed || checkStandardEntry(this.#layer, slot) !== undefined)) {
      this.#freeOld(slot, compressed);
    }
    const flagged = this.header.version >= 3;
    words[at] = 0;
    words[at + 1] = flagged && !this.header.extendedL2 ? ZERO_LO : 0;
    if (this.header.extendedL2) {
      words[at + 2] = ALL;
      words[at + 3] = 0;
    }
  }

  /** False when [from, to) reads as zeros already. */
  async #readsAsData(from: number, to: number): Promise<boolean> {
    const columns = new ExtentColumns(64);
    for (let at = from; at < to; ) {
      columns.clear();
      at = await this.map(columns, at, to);
      for (let row = 0; row < columns.count; row++) if (columns.kind[row] >= Kind.data) return true;
    }
    return false;
  }

  async #writeZeros(from: number, to: number): Promise<void> {
    const columns = new ExtentColumns(64);
    await this.#allocateInTable(columns, from, to);
    const { dataFile } = this.#layer;
    for (let row = 0; row < columns.count; row++) {
      const length = columns.length[row];
      if (this.header.externalData) {
        await native.fallocatePunch(dataFile.fd, dataFile.path, columns.offset[row], length);
      } else await dataFile.write(Buffer.alloc(length), columns.offset[row]);
    }
  }
}

function includesSorted(sorted: Float64Array, value: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return value !== 0 && sorted[low] === value;
}
