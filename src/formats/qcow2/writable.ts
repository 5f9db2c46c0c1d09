import type { WritableDisk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { ExtentColumns } from '../../disk/extents.js';
import type { FormatOpenOptions } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import { Allocator } from './allocator.js';
import { ClusterWriter } from './clusterWriter.js';
import { ClusterZeroer } from './clusterZeroer.js';
import { Autoclear } from './constants.js';
import { Qcow2Disk, type Qcow2Parts } from './disk.js';
import { MetadataClusters } from './metadataClusters.js';
import { openParts } from './open.js';
import { WritableL2Cache, WritableTables } from './writableTables.js';

/** Changed tables and refcount blocks after which a flush is due, bytes. */
const MAX_DIRTY = 8 * 2 ** 20;
/** Freed clusters after which a flush is due. */
const MAX_FREES = 2 ** 16;
const AUTOCLEAR_FIELD = 88;

/**
 * Opens an existing image for writing in place.
 * @throws what openQcow2 throws; INVALID_ARGUMENT for an overlay without its chain; CORRUPT_IMAGE for a refcount table
 * that makes no sense. Nothing on disk has changed.
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

/**
 * A qcow2 image that changes in place. Metadata stays in memory until `flush`, which publishes it in the order data,
 * refcounts, L2, L1, and frees clusters last: killed at any instant, the image has at most leaked clusters. Closing
 * without a flush drops what was not published.
 */
export class WritableQcow2Disk extends Qcow2Disk implements WritableDisk {
  readonly #l2: WritableL2Cache;
  #allocator!: Allocator;
  #tables!: WritableTables;
  #writer!: ClusterWriter;
  #zeroer!: ClusterZeroer;
  #begun = false;
  /** Places were handed out whose bytes may not be written yet: entries must not be published. */
  #handedOut = false;

  constructor(parts: Qcow2Parts, l2: WritableL2Cache) {
    super(parts);
    this.#l2 = l2;
  }

  async prepare(): Promise<void> {
    const { file, header, limits } = this;
    if (header.backingFile !== undefined && !this.backing) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `Overlay '${file.path}' cannot be written to without its backing file '${header.backingFile}'`,
        { path: file.path, operation: 'open' },
      );
    }
    const layer = await this.layer();
    const metadata = new MetadataClusters(header, layer.l1);
    this.#allocator = await Allocator.open(file, header, limits.refcountTableBytes, metadata);
    this.#tables = new WritableTables(file, header, layer.l1, this.#l2, this.#allocator);
    this.#writer = new ClusterWriter(this, layer, this.#allocator, this.#tables);
    this.#zeroer = new ClusterZeroer(this, this.#writer);
  }

  get flushDue(): boolean {
    const dirty = this.#tables.dirtyBytes + this.#allocator.dirtyBytes;
    return dirty > MAX_DIRTY || this.#allocator.pendingFrees > MAX_FREES;
  }

  async allocate(into: ExtentColumns, start: number, length: number): Promise<void> {
    this.#checkRange(start, length);
    await this.#begin();
    this.#handedOut = true;
    const end = start + length;
    for (let at = start; at < end; ) {
      const stop = Math.min(end, this.#groupEnd(at));
      await this.#writer.allocate(into, at, stop);
      at = stop;
    }
  }

  async zero(start: number, length: number): Promise<void> {
    this.#checkRange(start, length);
    await this.#begin();
    const { l2Coverage, backingFile } = this.header;
    const { l1 } = this.#writer.layer;
    const end = start + length;
    for (let at = start; at < end; ) {
      const index = Math.floor(at / l2Coverage);
      const stop = Math.min(end, this.#groupEnd(at));
      // Nothing is mapped, and nothing lies behind: it reads as zeros already.
      if (l1.l2Offset(index) === 0 && backingFile === undefined) {
        const next = l1.nextUsed(index, l1.entries);
        at = Math.min(end, Math.max(stop, next * l2Coverage));
        continue;
      }
      if (this.flushDue && !this.#handedOut) await this.flush();
      await this.#zeroer.zero(at, stop);
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
    this.#handedOut = false;
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
}
