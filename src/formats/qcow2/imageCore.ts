import type { GuestFile } from '../../disk/guestFile.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import { PieceWriter } from '../pieceWriter.js';
import { Allocator } from './allocator.js';
import type { Qcow2Header } from './header.js';
import { type PatchableFields, writeHeaderFields } from './headerUpdate.js';
import { L1Table, readL1 } from './l1.js';
import { tableBytes } from './l2Entry.js';
import type { Layer } from './layer.js';
import { MetadataClusters } from './metadataClusters.js';
import { readHeader } from './readHeader.js';
import { RefcountStore } from './refcountStore.js';
import type { WritableL2Cache } from './writableL2Cache.js';
import { WritableTables } from './writableTables.js';

/** Changed tables and refcount blocks after which a flush is due, bytes. */
const MAX_PINNED = 8 * 2 ** 20;
/** Freed clusters after which a flush is due. */
const MAX_FREES = 2 ** 16;
const ENTRY_BYTES = 8;

export interface CoreParts {
  file: HostFile;
  /** The image itself, or its external data file. */
  dataFile: HostFile;
  /** The same for guest bytes. */
  guest: GuestFile;
  header: Qcow2Header;
  limits: Readonly<Limits>;
  l1: L1Table;
  l2: WritableL2Cache;
}

/**
 * The metadata of an image that changes, and the order in which it reaches the storage. All calls that change anything
 * are made one at a time (WritableQcow2Disk.exclusive). Verbs that change an image as a whole stand on this.
 */
export class ImageCore {
  readonly file: HostFile;
  readonly dataFile: HostFile;
  /** dataFile for guest bytes, which may be encrypted there. */
  readonly guest: GuestFile;
  readonly limits: Readonly<Limits>;
  readonly l2: WritableL2Cache;
  readonly #writer: PieceWriter;
  #allocator!: Allocator;
  #tables!: WritableTables;
  #layer: Layer;

  private constructor(parts: CoreParts, counts: RefcountStore) {
    this.file = parts.file;
    this.dataFile = parts.dataFile;
    this.guest = parts.guest;
    this.limits = parts.limits;
    this.l2 = parts.l2;
    this.#layer = {
      header: parts.header,
      file: parts.file,
      dataFile: parts.dataFile,
      guest: parts.guest,
      l1: parts.l1,
      l2: parts.l2,
    };
    this.#writer = new PieceWriter(parts.file);
    this.#attach(counts);
  }

  /** @throws CORRUPT_IMAGE for a refcount table that makes no sense; IO. */
  static async open(parts: CoreParts): Promise<ImageCore> {
    return new ImageCore(parts, await RefcountStore.open(parts.file, parts.header));
  }

  get allocator(): Allocator {
    return this.#allocator;
  }

  get tables(): WritableTables {
    return this.#tables;
  }

  get header(): Qcow2Header {
    return this.#layer.header;
  }

  get l1(): L1Table {
    return this.#layer.l1;
  }

  /** What mapping needs, as it is now. */
  get layer(): Layer {
    return this.#layer;
  }

  /** Something waits to be published. */
  get changed(): boolean {
    return this.tables.changed || this.allocator.counts.changed || this.allocator.pendingFrees > 0;
  }

  get publishDue(): boolean {
    const pinned = this.tables.pinnedBytes + this.allocator.counts.pinnedBytes;
    return pinned > MAX_PINNED || this.allocator.pendingFrees > MAX_FREES;
  }

  /**
   * Data and new refcounts first, then L2 tables, L1 entries, and frees last: cut off anywhere, the image is sound or
   * leaks. Without `sync` the order is kept, but nothing waits for the storage.
   */
  async publish(sync: boolean): Promise<void> {
    if (sync && this.dataFile !== this.file) await this.dataFile.sync();
    await this.allocator.publish(sync);
    if (sync) await this.file.sync();
    if (this.tables.changed) await this.tables.publish(this.#writer, sync);
    await this.allocator.settleFrees();
    const { tableOffset, tableClusters } = this.allocator.counts;
    if (tableOffset !== this.header.refcountTableOffset) {
      this.noteHeader({ refcountTableOffset: tableOffset, refcountTableClusters: tableClusters });
    }
  }

  /**
   * Header fields, in one write that storage does whole or not at all. What they point to must be published and synced
   * before; this is synced here.
   */
  async updateHeader(change: Partial<PatchableFields>): Promise<void> {
    await writeHeaderFields(this.file, this.header.version, change);
    await this.file.sync();
    this.noteHeader(change);
  }

  /** The header in memory after its fields were written. */
  noteHeader(change: Partial<Qcow2Header>): void {
    const header = Object.freeze({ ...this.header, ...change });
    this.#layer = { ...this.#layer, header };
  }

  /**
   * Everything anew from the file, after tables were put there past this core: nothing of what waits in memory is
   * written.
   */
  async reload(): Promise<void> {
    const { file, limits } = this;
    const header = await readHeader(file, limits);
    this.l2.clear();
    const l1 = await readL1(file, header.l1Offset, header.l1Entries);
    this.#layer = { ...this.#layer, header, l1 };
    this.#attach(await RefcountStore.open(file, header));
  }

  /**
   * An L1 table of `entries` entries at a new place, and the disk's size together with it; the old place is freed. What
   * else waits is published first. Fewer entries than now: those cut off must be empty.
   * @throws LIMIT_EXCEEDED (l1Bytes, refcount table), IO. The image has its old table and size then.
   */
  async moveL1(entries: number, virtualSize = this.header.virtualSize): Promise<void> {
    const { l1, header } = this;
    const run = await this.allocator.allocateContiguous(
      Math.max(1, Math.ceil((entries * ENTRY_BYTES) / header.clusterSize)),
    );
    await this.publish(true);
    const words = new Uint32Array(2 * entries);
    words.set(l1.words.subarray(0, 2 * entries));
    const table = Buffer.alloc(run.clusters * header.clusterSize);
    tableBytes(words).copy(table);
    await this.file.write(table, run.offset);
    await this.file.sync();
    await this.updateHeader({ virtualSize, l1Entries: entries, l1Offset: run.offset });
    this.noteHeader({ diskSize: virtualSize - (virtualSize % 512) });
    this.tables.l1Written();
    this.#layer = { ...this.#layer, l1: new L1Table(run.offset, words) };
    if (l1.entries > 0) this.allocator.free(l1.offset, l1.entries * ENTRY_BYTES);
  }

  #attach(counts: RefcountStore): void {
    this.#allocator = new Allocator(
      counts,
      this.limits.refcountTableBytes,
      this.#writer,
      () => new MetadataClusters(this.header, this.l1, counts.blockClusters()),
    );
    this.#tables = new WritableTables(this, this.#allocator);
  }
}
