// Persistent bitmaps made, removed, cleared, switched and merged. Whatever changes gets a new place; the header switches
// to a new directory, and the old one is freed.
import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { BitmapEditor } from '../../disk/format.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import {
  ALL_ZEROS,
  type BitmapState,
  BitReader,
  bitmapClusters,
  loadBitmaps,
  MAX_BITMAP_BYTES,
  MAX_TABLE_ENTRIES,
  setBits,
  tableBytesOf,
} from './bitmapBits.js';
import { Autoclear, ExtensionType } from './constants.js';
import { repairDirty } from './damaged.js';
import { Qcow2Disk } from './disk.js';
import { BITMAPS_EXTENSION_BYTES } from './extensions.js';
import type { HeaderFields } from './header.js';
import { switchHeader } from './headerSwitch.js';
import { ImageCore } from './imageCore.js';
import { readL1 } from './l1.js';
import { WritableL2Cache } from './writableL2Cache.js';

const MIN_GRANULARITY = 512;
const MAX_GRANULARITY = 2 ** 31;
const MAX_NAME = 1023;
const MAX_BITMAPS = 65535;
const MAX_DIRECTORY = MAX_BITMAPS * 1024;
const FIXED_BYTES = 24;
const IN_USE = 1;
const AUTO = 2;
const EXTRA_COMPATIBLE = 4;
const TYPE_DIRTY_TRACKING = 1;

/**
 * Begins to edit the bitmaps of an image that was opened for writing; its chain need not be open.
 * @throws CORRUPT_IMAGE, LIMIT_EXCEEDED, IO.
 */
export async function editBitmaps(disk: Disk): Promise<BitmapEditor> {
  if (!(disk instanceof Qcow2Disk)) throw new RangeError(`'${disk.path}' is not a qcow2 disk`);
  const { header, file, limits } = await repairDirty(disk);
  const core = await ImageCore.open({
    file,
    dataFile: file,
    guest: file,
    header,
    limits,
    l1: await readL1(file, header.l1Offset, header.l1Entries),
    l2: new WritableL2Cache(file, header.clusterSize),
  });
  return new Editor(core, await loadBitmaps(file, header, limits));
}

/** Gives all bitmaps the size that a disk of `diskSize` bytes needs; bits behind its end are cleared. */
export async function resizeBitmaps(core: ImageCore, diskSize: number): Promise<void> {
  const bitmaps = await loadBitmaps(core.file, core.header, core.limits);
  if (bitmaps.length === 0) return;
  const editor = new Editor(core, bitmaps);
  await editor.resize(diskSize);
  await editor.finish();
}

class Editor implements BitmapEditor {
  readonly #core: ImageCore;
  readonly #bitmaps: BitmapState[];
  /** New ones come behind these, the newest first: QEMU's order. */
  readonly #stored: number;
  /** Places that nothing names after the switch: offset, bytes. */
  readonly #given: [offset: number, bytes: number][] = [];
  #changed = false;

  constructor(core: ImageCore, bitmaps: BitmapState[]) {
    this.#core = core;
    this.#bitmaps = bitmaps;
    this.#stored = bitmaps.length;
  }

  get names(): string[] {
    return this.#bitmaps.map(({ name }) => name);
  }

  add(name: string, granularity?: number, enabled = true): void {
    const { header } = this.#core;
    const bits = granularity || Math.min(65536, Math.max(4096, header.clusterSize));
    if (name === '') throw this.#refused('Bitmap name cannot be empty');
    if (!isPowerOfTwo(bits) || bits < MIN_GRANULARITY || bits > MAX_GRANULARITY) {
      throw this.#refused('Granularity must be power of 2 and at least 512');
    }
    this.#checkRoom(name, bits);
    if (this.#bitmaps.some((one) => one.name === name)) {
      throw this.#refused(`Bitmap already exists: ${name}`);
    }
    this.#bitmaps.splice(Math.min(this.#stored, this.#bitmaps.length), 0, {
      name,
      granularity: bits,
      inUse: false,
      auto: enabled,
      extraDataCompatible: false,
      extra: Buffer.alloc(0),
      table: new Float64Array(bitmapClusters(header.diskSize, bits, header.clusterSize)),
      tableOffset: 0,
      changed: true,
    });
    this.#changed = true;
  }

  remove(name: string): void {
    const bitmap = this.#named(name);
    this.#bitmaps.splice(this.#bitmaps.indexOf(bitmap), 1);
    this.#giveBits(bitmap);
    this.#giveTable(bitmap);
    this.#changed = true;
  }

  clear(name: string): void {
    const bitmap = this.#usable(this.#named(name));
    this.#giveBits(bitmap);
    bitmap.table.fill(ALL_ZEROS);
    this.#noteChange(bitmap);
  }

  enable(name: string, enabled = true): void {
    const bitmap = this.#usable(this.#named(name));
    if (bitmap.auto === enabled) return;
    bitmap.auto = enabled;
    this.#changed = true;
  }

  async merge(name: string, from: Disk | undefined, source: string): Promise<void> {
    const target = this.#named(name);
    const reader = await this.#reader(from, source);
    const { core, diskSize } = { core: this.#core, diskSize: this.#core.header.diskSize };
    this.#usable(reader.state);
    if (reader.diskSize !== diskSize) {
      throw this.#refused(
        `Bitmaps are of different sizes (destination size is ${diskSize}, source size is ${reader.diskSize}) ` +
          "and can't be merged",
      );
    }
    this.#usable(target);
    if (reader.state === target) return;
    const { clusterSize } = core.header;
    const own = new BitReader(core.file, core.header, target);
    const span = own.perCluster * target.granularity;
    for (let index = 0; index < target.table.length; index++) {
      const base = index * span;
      let bits: Uint8Array | undefined;
      for await (const [start, end] of reader.runs(base, Math.min(diskSize, base + span))) {
        bits ??= Uint8Array.from((await own.cluster(index)) ?? new Uint8Array(clusterSize));
        const first = Math.floor((start - base) / target.granularity);
        setBits(bits, first, divideUp(end - base, target.granularity));
      }
      if (!bits) continue;
      const { offset } = await core.allocator.allocate(1);
      await core.file.write(bits, offset);
      if (target.table[index] > 1) this.#given.push([target.table[index], clusterSize]);
      target.table[index] = offset;
      this.#noteChange(target);
    }
  }

  async resize(diskSize: number): Promise<void> {
    const { header, allocator, file } = this.#core;
    const { clusterSize } = header;
    for (const bitmap of this.#bitmaps) {
      const clusters = bitmapClusters(diskSize, bitmap.granularity, clusterSize);
      const bits = divideUp(diskSize, bitmap.granularity) - (clusters - 1) * clusterSize * 8;
      const last = clusters - 1;
      if (clusters !== bitmap.table.length) {
        this.#noteChange(bitmap);
        for (const entry of bitmap.table.subarray(clusters))
          if (entry > 1) this.#given.push([entry, clusterSize]);
        const table = new Float64Array(clusters);
        table.set(bitmap.table.subarray(0, clusters));
        bitmap.table = table;
      }
      // Bits that a smaller disk has not got, and that a larger one must not find.
      const kept = await new BitReader(file, header, bitmap).cluster(last);
      if (!kept || bits >= clusterSize * 8) continue;
      const cut = Uint8Array.from(kept);
      cut.fill(0, Math.ceil(bits / 8));
      if (bits % 8 !== 0) cut[Math.floor(bits / 8)] &= (1 << (bits % 8)) - 1;
      if (Buffer.compare(cut, kept) === 0 && bitmap.table[last] > 1) continue;
      this.#noteChange(bitmap);
      if (bitmap.table[last] > 1) this.#given.push([bitmap.table[last], clusterSize]);
      const { offset } = await allocator.allocate(1);
      await file.write(cut, offset);
      bitmap.table[last] = offset;
    }
  }

  async finish(): Promise<void> {
    if (!this.#changed) return;
    const core = this.#core;
    const { header, file } = core;
    for (const bitmap of this.#bitmaps) {
      if (!bitmap.changed || bitmap.table.length === 0) continue;
      bitmap.tableOffset = await this.#place(tableBytesOf(bitmap));
      bitmap.changed = false;
    }
    const directory = Buffer.concat(this.#bitmaps.map(directoryEntry));
    const offset = directory.length > 0 ? await this.#place(directory) : 0;
    await core.publish(true);
    const old = header.bitmapsValid ? header.bitmaps : undefined;
    await switchHeader(file, this.#headerFields(offset, directory.length));
    await core.reload();
    if (old) core.allocator.free(old.directoryOffset, old.directorySize);
    for (const [at, bytes] of this.#given) core.allocator.free(at, bytes);
    await core.publish(true);
    await file.sync();
    this.#changed = false;
  }

  #headerFields(directoryOffset: number, directorySize: number): HeaderFields {
    const { header } = this.#core;
    const extensions = header.extensions.filter(({ type }) => type !== ExtensionType.bitmaps);
    if (directorySize === 0) {
      return { ...header, extensions, autoclear: header.autoclear & ~Autoclear.bitmaps };
    }
    const data = Buffer.alloc(BITMAPS_EXTENSION_BYTES);
    data.writeUInt32BE(this.#bitmaps.length, 0);
    data.writeBigUInt64BE(BigInt(directorySize), 8);
    data.writeBigUInt64BE(BigInt(directoryOffset), 16);
    const bitmaps = { type: ExtensionType.bitmaps, data };
    return {
      ...header,
      extensions: [...extensions, bitmaps],
      autoclear: header.autoclear | Autoclear.bitmaps,
    };
  }

  /** Writes bytes to new clusters, the last one filled up with zeros. */
  async #place(bytes: Buffer): Promise<number> {
    const { allocator, header, file } = this.#core;
    const padded = Buffer.alloc(alignUp(bytes.length, header.clusterSize));
    bytes.copy(padded);
    const clusters = padded.length / header.clusterSize;
    const run = clusters === 1 ? await allocator.allocate(1) : await allocator.allocateContiguous(clusters);
    await file.write(padded, run.offset);
    return run.offset;
  }

  async #reader(from: Disk | undefined, name: string): Promise<BitReader> {
    const { file, header, limits } = from instanceof Qcow2Disk ? from : this.#core;
    const bitmaps = !from
      ? this.#bitmaps
      : from instanceof Qcow2Disk
        ? await loadBitmaps(file, header, limits)
        : [];
    const found = bitmaps.find((one) => one.name === name);
    if (!found) throw this.#missing(name);
    return new BitReader(file, header, found);
  }

  #named(name: string): BitmapState {
    const found = this.#bitmaps.find((one) => one.name === name);
    if (!found) throw this.#missing(name);
    return found;
  }

  #usable(bitmap: BitmapState): BitmapState {
    if (!bitmap.inUse) return bitmap;
    throw this.#refused(
      `Bitmap '${bitmap.name}' is inconsistent and cannot be used\n` +
        'Try block-dirty-bitmap-remove to delete this bitmap from disk',
    );
  }

  #noteChange(bitmap: BitmapState): void {
    this.#changed = true;
    if (bitmap.changed) return;
    bitmap.changed = true;
    this.#giveTable(bitmap);
  }

  #giveBits({ table }: BitmapState): void {
    for (const entry of table) if (entry > 1) this.#given.push([entry, this.#core.header.clusterSize]);
  }

  #giveTable({ table, tableOffset }: BitmapState): void {
    if (tableOffset > 0 && table.length > 0) this.#given.push([tableOffset, table.length * 8]);
  }

  /** QEMU: qcow2_co_can_store_new_dirty_bitmap. */
  #checkRoom(name: string, granularity: number): void {
    const { header } = this.#core;
    const fail = (why: string) =>
      this.#refused(`Can't make bitmap '${name}' persistent in '#block0': ${why}`);
    if (header.version < 3) throw fail('Cannot store dirty bitmaps in qcow2 v2 files');
    const bytes = divideUp(divideUp(header.diskSize, granularity), 8);
    if (bytes > Math.min(MAX_BITMAP_BYTES, MAX_TABLE_ENTRIES * header.clusterSize)) {
      throw fail('Too much space will be occupied by the bitmap. Use larger granularity');
    }
    if (Buffer.byteLength(name) > MAX_NAME)
      throw fail(`Name length exceeds maximum (${MAX_NAME} characters)`);
    if (this.#bitmaps.length >= MAX_BITMAPS)
      throw fail('Maximum number of persistent bitmaps is already reached');
    const used = this.#bitmaps.reduce((sum, one) => sum + directoryEntry(one).length, 0);
    if (used + alignUp(FIXED_BYTES + Buffer.byteLength(name), 8) > MAX_DIRECTORY) {
      throw fail('Not enough space in the bitmap directory');
    }
  }

  #missing(name: string): DiskImageError {
    return this.#refused(`Dirty bitmap '${name}' not found`);
  }

  #refused(message: string): DiskImageError {
    return new DiskImageError('INVALID_ARGUMENT', message, {
      path: this.#core.file.path,
      operation: 'bitmap',
    });
  }
}

function directoryEntry(bitmap: BitmapState): Buffer {
  const name = Buffer.from(bitmap.name, 'utf8');
  const { extra, granularity, inUse, auto, extraDataCompatible } = bitmap;
  const bytes = Buffer.alloc(alignUp(FIXED_BYTES + extra.length + name.length, 8));
  bytes.writeBigUInt64BE(BigInt(bitmap.tableOffset), 0);
  bytes.writeUInt32BE(bitmap.table.length, 8);
  const flags = (inUse ? IN_USE : 0) | (auto ? AUTO : 0) | (extraDataCompatible ? EXTRA_COMPATIBLE : 0);
  bytes.writeUInt32BE(flags, 12);
  bytes[16] = TYPE_DIRTY_TRACKING;
  bytes[17] = Math.log2(granularity);
  bytes.writeUInt16BE(name.length, 18);
  bytes.writeUInt32BE(extra.length, 20);
  extra.copy(bytes, FIXED_BYTES);
  name.copy(bytes, FIXED_BYTES + extra.length);
  return bytes;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
