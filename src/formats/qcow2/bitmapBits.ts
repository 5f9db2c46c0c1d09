// The bits of a persistent bitmap as they are stored: clusters named by a table, least significant bit first.
import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import { divideUp } from '../../disk/offsets.js';
import { type Bitmap, readBitmaps } from './bitmaps.js';
import { corruptImage, hex } from './corrupt.js';
import type { Qcow2Header } from './header.js';

const ENTRY_BYTES = 8;
const OFFSET_MASK = 0x00fffffffffffe00n;
/** Table entries without a cluster. */
export const ALL_ZEROS = 0;
export const ALL_ONES = 1;
/** QEMU: BME_MAX_TABLE_SIZE, entries. */
export const MAX_TABLE_ENTRIES = 0x8000000;
/** QEMU: BME_MAX_PHYS_SIZE, bytes. */
export const MAX_BITMAP_BYTES = 0x20000000;

/** One bitmap in hand: what its directory entry says, and its table. */
export interface BitmapState {
  name: string;
  /** Guest bytes per bit. */
  granularity: number;
  inUse: boolean;
  auto: boolean;
  extraDataCompatible: boolean;
  extra: Buffer;
  /** Host offset of each cluster of bits, ALL_ZEROS or ALL_ONES. */
  table: Float64Array;
  /** Host offset of the table, 0 = not stored yet. */
  tableOffset: number;
  /** The table differs from what is stored. */
  changed: boolean;
}

/** Clusters of bits that a disk of `diskSize` bytes needs. */
export function bitmapClusters(diskSize: number, granularity: number, clusterSize: number): number {
  return divideUp(divideUp(divideUp(diskSize, granularity), 8), clusterSize);
}

/** All bitmaps that the image vouches for. @throws CORRUPT_IMAGE, LIMIT_EXCEEDED. */
export async function loadBitmaps(
  file: HostFile,
  header: Qcow2Header,
  limits: Readonly<Limits>,
): Promise<BitmapState[]> {
  if (!header.bitmapsValid) return [];
  const states: BitmapState[] = [];
  for (const bitmap of await readBitmaps(file, header, limits)) {
    const { name, granularity, inUse, auto, extraDataCompatible, extraLength, tableOffset } = bitmap;
    states.push({
      name,
      granularity,
      inUse,
      auto,
      extraDataCompatible,
      extra: await file.readExact(bitmap.entryOffset + 24, extraLength, `Bitmap '${name}'`),
      table: await readTable(file, header, bitmap),
      tableOffset,
      changed: false,
    });
  }
  return states;
}

async function readTable(file: HostFile, header: Qcow2Header, bitmap: Bitmap): Promise<Float64Array> {
  const { name, tableOffset, tableEntries } = bitmap;
  const bad = (why: string, at = tableOffset) => corruptImage(file.path, `Bitmap '${name}': ${why}`, at);
  if (tableEntries > MAX_TABLE_ENTRIES) throw bad(`table of ${tableEntries} entries is too large`);
  if (tableOffset % header.clusterSize !== 0 || tableOffset + tableEntries * ENTRY_BYTES > file.size) {
    throw bad(`table at ${hex(tableOffset)} is unaligned or past the end of the file`);
  }
  const bytes = await file.readExact(tableOffset, tableEntries * ENTRY_BYTES, `Bitmap '${name}'`);
  const table = new Float64Array(tableEntries);
  for (let i = 0; i < tableEntries; i++) {
    const entry = bytes.readBigUInt64BE(i * ENTRY_BYTES);
    const offset = Number(entry & OFFSET_MASK);
    const place = tableOffset + i * ENTRY_BYTES;
    if ((entry & ~OFFSET_MASK) > 1n || (offset !== 0 && (entry & 1n) !== 0n)) {
      throw bad(`table entry ${i} (${hex(entry)}) has reserved bits set`, place);
    }
    if (offset % header.clusterSize !== 0 || offset >= file.size) {
      throw bad(`table entry ${i} (${hex(entry)}) is unaligned or past the end of the file`, place);
    }
    table[i] = offset === 0 && (entry & 1n) !== 0n ? ALL_ONES : offset;
  }
  return table;
}

export function tableBytesOf({ table }: BitmapState): Buffer {
  const bytes = Buffer.alloc(table.length * ENTRY_BYTES);
  for (let i = 0; i < table.length; i++) bytes.writeBigUInt64BE(BigInt(table[i]), i * ENTRY_BYTES);
  return bytes;
}

/** Reads the bits of one bitmap, a cluster of them at a time. */
export class BitReader {
  readonly #file: HostFile;
  readonly state: BitmapState;
  readonly diskSize: number;
  readonly #clusterSize: number;
  #index = -1;
  #bits = new Uint8Array(0);

  constructor(file: HostFile, header: Qcow2Header, state: BitmapState) {
    this.#file = file;
    this.state = state;
    this.diskSize = header.diskSize;
    this.#clusterSize = header.clusterSize;
  }

  /** Bits in one cluster. */
  get perCluster(): number {
    return this.#clusterSize * 8;
  }

  /** Cluster `index` of the bits; undefined when all are clear. Bits past the disk's end are clear. */
  async cluster(index: number): Promise<Uint8Array | undefined> {
    const entry = index < this.state.table.length ? this.state.table[index] : ALL_ZEROS;
    if (entry === ALL_ZEROS) return undefined;
    if (index === this.#index) return this.#bits;
    const bits = new Uint8Array(this.#clusterSize);
    if (entry !== ALL_ONES) await this.#file.read(bits, entry);
    else {
      const count = divideUp(this.diskSize, this.state.granularity) - index * this.perCluster;
      setBits(bits, 0, Math.max(0, Math.min(this.perCluster, count)));
    }
    this.#index = index;
    this.#bits = bits;
    return bits;
  }

  /** Runs of set bits that touch guest bytes [from, to), as guest bytes cut to that range. */
  async *runs(from: number, to: number): AsyncGenerator<readonly [start: number, end: number]> {
    const { granularity } = this.state;
    const last = divideUp(to, granularity);
    for (let bit = Math.floor(from / granularity); bit < last; ) {
      const index = Math.floor(bit / this.perCluster);
      const base = index * this.perCluster;
      const stop = Math.min(last, base + this.perCluster);
      const bits = await this.cluster(index);
      while (bits && bit < stop) {
        const first = base + nextBit(bits, bit - base, stop - base, true);
        if (first >= stop) break;
        bit = base + nextBit(bits, first - base, stop - base, false);
        yield [Math.max(from, first * granularity), Math.min(to, bit * granularity)];
      }
      bit = stop;
    }
  }
}

/** Sets bits [from, to). */
export function setBits(bits: Uint8Array, from: number, to: number): void {
  let at = from;
  for (; at < to && (at & 7) !== 0; at++) bits[at >>> 3] |= 1 << (at & 7);
  const bytes = (to - at) >>> 3;
  bits.fill(255, at >>> 3, (at >>> 3) + bytes);
  for (at += bytes * 8; at < to; at++) bits[at >>> 3] |= 1 << (at & 7);
}

/** The first bit of [from, to) that is set, or clear; `to` when there is none. */
function nextBit(bits: Uint8Array, from: number, to: number, set: boolean): number {
  const skip = set ? 0 : 255;
  for (let at = from; at < to; ) {
    if ((at & 7) === 0 && bits[at >>> 3] === skip) {
      at += 8;
      continue;
    }
    if ((((bits[at >>> 3] >>> (at & 7)) & 1) === 1) === set) return at;
    at++;
  }
  return to;
}
