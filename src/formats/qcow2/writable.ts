import type { Writable } from 'node:stream';
import { requireBuffer, requireRange } from '../../disk/arguments.js';
import type { ResizeOptions, WritableDisk, WriteStreamOptions, ZeroOptions } from '../../disk/disk.js';
import { DiskImageError, toDiskImageError } from '../../disk/errors.js';
import type { ExtentColumns } from '../../disk/extents.js';
import type { FormatOpenOptions } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import { Mutex } from '../../disk/mutex.js';
import { alignDown, alignUp } from '../../disk/offsets.js';
import { RangeLock } from '../../disk/rangeLock.js';
import { requireResize } from '../../disk/resizeRules.js';
import { createWriteStream } from '../../disk/writeStream.js';
import { BitmapTracker } from './bitmapTracker.js';
import { KNOWN_AUTOCLEAR } from './constants.js';
import { repairDirty } from './damaged.js';
import { Qcow2Disk, type Qcow2Parts } from './disk.js';
import { GuestWriter } from './guestWriter.js';
import type { Qcow2Header } from './header.js';
import { ImageCore } from './imageCore.js';
import type { L1Table } from './l1.js';
import type { Layer } from './layer.js';
import { openParts } from './open.js';
import { WritableL2Cache } from './writableL2Cache.js';

/** Reads up to this size skip the map where one piece of the file has it all. */
const SMALL_READ = 2 ** 20;
/** The same where they have to be decrypted. */
const SMALL_DECRYPTED = 2 ** 16;
const EVERYTHING = Number.MAX_SAFE_INTEGER;

/**
 * Opens an existing image for writing in place; one that is marked dirty is repaired first.
 * @throws what openQcow2 throws; INVALID_ARGUMENT for an overlay without its chain; CORRUPT_IMAGE for a refcount table
 * that makes no sense. But for that repair nothing on disk has changed.
 */
export async function openWritableQcow2(
  file: HostFile,
  options: FormatOpenOptions,
): Promise<WritableQcow2Disk> {
  const parts = await openParts(file, options);
  try {
    const sound = await repairDirty(parts);
    const l2 = new WritableL2Cache(file, parts.header.clusterSize);
    const disk = new WritableQcow2Disk({ ...sound, l2 }, l2);
    await disk.prepare();
    return disk;
  } catch (error) {
    await parts.backing?.close();
    await parts.dataFile?.close();
    throw error;
  }
}

/**
 * A qcow2 image that changes in place. Metadata stays in memory until it is published, by `flush` or when some MiB of
 * it wait, in the order data, refcounts, L2, L1, and frees last: killed at any instant, the image has at most leaked
 * clusters. Refcounts are always kept exactly; with lazy_refcounts too, so that the dirty bit is never needed.
 */
export class WritableQcow2Disk extends Qcow2Disk implements WritableDisk {
  readonly #l2: WritableL2Cache;
  readonly #requests = new RangeLock();
  readonly #metadata = new Mutex();
  #core: ImageCore | undefined;
  #guest!: GuestWriter;
  #bitmaps: BitmapTracker | undefined;
  /** Autoclear bits are cleared; bitmaps are marked. */
  #begun: Promise<void> | undefined;
  #ready = false;
  /** Something was changed since the last flush. */
  #changed = false;
  /** Places were handed out whose bytes may not be written yet: entries must not be published. */
  #handedOut = false;
  /** A change of metadata failed in the middle: what is on storage is sound, but not what is in memory. */
  #failure: DiskImageError | undefined;
  #closing: Promise<void> | undefined;

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
    const { l1, dataFile, guest } = await super.layer();
    const core = await ImageCore.open({ file, dataFile, guest, header, limits, l1, l2: this.#l2 });
    this.#core = core;
    this.#guest = new GuestWriter(core, this, this.#metadata, () => this.#publishDue());
  }

  /** Metadata and its order of publication, for verbs that change the image as a whole: see `exclusive`. */
  get core(): ImageCore {
    return this.#core!;
  }

  override get header(): Qcow2Header {
    return this.#core?.header ?? super.header;
  }

  override async loadL1(): Promise<L1Table> {
    return this.#core?.l1 ?? super.loadL1();
  }

  override async layer(): Promise<Layer> {
    return this.#core?.layer ?? super.layer();
  }

  get flushDue(): boolean {
    return this.core.publishDue;
  }

  protected override readChecked(buffer: Uint8Array, start: number): Promise<void> {
    const end = start + buffer.length;
    return this.#requests.run(start, end, false, () => {
      const { guest } = this.core;
      const small = buffer.length <= (guest.cipher ? SMALL_DECRYPTED : SMALL_READ);
      const host = small ? this.#guest.placeOf(start, end) : undefined;
      if (host === undefined) return super.readChecked(buffer, start);
      return guest.readGuest(buffer, host, start);
    });
  }

  async write(buffer: Uint8Array, start: number): Promise<void> {
    requireBuffer(buffer, 'the bytes to write', 'write');
    await this.#change(start, buffer.length, () => this.#guest.write(buffer, start));
  }

  async zero(start: number, length: number, options: ZeroOptions = {}): Promise<void> {
    await this.#change(start, length, () => this.#guest.zero(start, start + length, options));
  }

  async discard(start: number, length: number): Promise<void> {
    this.#check(start, length);
    const { clusterSize, virtualSize } = this;
    const end = start + length === virtualSize ? virtualSize : alignDown(start + length, clusterSize);
    const from = alignUp(start, clusterSize);
    // Version 2 has no zero flag: what lies behind would show.
    const shows = this.header.version < 3 && this.backing !== undefined;
    if (from >= end || shows) return;
    await this.#change(from, end - from, () => this.#guest.discard(from, end, false));
  }

  async allocate(into: ExtentColumns, start: number, length: number): Promise<void> {
    await this.#change(start, length, () => {
      this.#handedOut = true;
      return this.#guest.allocate(into, start, start + length);
    });
  }

  async flush(): Promise<void> {
    await this.publish(true);
  }

  /** As flush; without `sync` the order is kept, but nothing waits for the storage. */
  async publish(sync: boolean): Promise<void> {
    this.#refuseBroken();
    await this.#metadata.run(async () => {
      this.#changed = false;
      this.#handedOut = false;
      await this.#publish(sync);
    });
  }

  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    requireResize(this, size, options);
    const { resizeQcow2 } = await import('./resize.js');
    await resizeQcow2(this, size, options.preallocation ?? 'off');
  }

  createWriteStream(options: WriteStreamOptions = {}): Writable {
    return createWriteStream(this, options);
  }

  /**
   * Runs `work` with the image to itself: no read or write is under way, everything before is published, and nothing but
   * `work` changes metadata, through `core`. What it does not publish itself, the next flush does. When it throws, what
   * it left unpublished never will be, and the disk takes no more changes.
   */
  async exclusive<T>(work: (core: ImageCore) => Promise<T>): Promise<T> {
    this.#refuseBroken();
    return this.#requests.run(0, EVERYTHING, true, () =>
      this.#metadata.run(async () => {
        const { core } = this;
        if (core.changed) await this.#publish(true);
        await this.#clearAutoclear();
        try {
          const result = await work(core);
          this.#changed ||= core.changed;
          return result;
        } catch (error) {
          if (core.changed) this.#failure = toDiskImageError(error, { path: this.path });
          throw error;
        }
      }),
    );
  }

  /**
   * Empties the whole clusters of [start, end), bytes, so that what lies behind this layer shows (commit, rebase,
   * shrinking). `end` may be the disk's end.
   */
  async unmap(start: number, end: number): Promise<void> {
    await this.#change(start, end - start, () => this.#guest.discard(start, end, true));
  }

  /**
   * Changes of guest ranges with the image to itself that no bitmap sees, as the guest wrote nothing. Places that are
   * allocated have their bytes before anything is published.
   */
  async unmarked<T>(work: (guest: GuestWriter) => Promise<T>): Promise<T> {
    this.#refuseBroken();
    return this.#requests.run(0, EVERYTHING, true, async () => {
      await this.#metadata.run(() => this.#clearAutoclear());
      try {
        return await work(this.#guest);
      } finally {
        this.#changed = true;
      }
    });
  }

  /** Stores the bitmaps that follow writes; the next write reads them again. For changes of the bitmaps themselves. */
  async settleBitmaps(): Promise<void> {
    this.#refuseBroken();
    await this.#requests.run(0, EVERYTHING, true, () =>
      this.#metadata.run(async () => {
        if (this.#bitmaps?.pending) await this.#bitmaps.store(true);
        this.#bitmaps = undefined;
        this.#begun = undefined;
        this.#ready = false;
      }),
    );
  }

  override close(): Promise<void> {
    this.#closing ??= this.#requests.run(0, EVERYTHING, true, async () => {
      try {
        if (!this.#failure && !this.#handedOut) await this.#metadata.run(() => this.#finish());
      } finally {
        await super.close();
      }
    });
    return this.#closing;
  }

  async #finish(): Promise<void> {
    if (this.#bitmaps?.pending) await this.#bitmaps.store(true);
    if (this.#changed) await this.#publish(true);
    this.#changed = false;
  }

  /** One request that changes guest bytes [start, start + length). */
  async #change(start: number, length: number, work: () => Promise<void>): Promise<void> {
    this.#check(start, length);
    this.#refuseBroken();
    if (length === 0) return;
    const { clusterSize } = this;
    const end = start + length;
    const entered = this.#requests.acquire(alignDown(start, clusterSize), alignUp(end, clusterSize), true);
    const hold = entered instanceof Promise ? await entered : entered;
    try {
      if (!this.#ready) await this.#begin();
      const marked = this.#bitmaps?.mark(start, end);
      if (marked) await marked;
      await work();
      if (this.#bitmaps?.storeDue && !this.#handedOut) {
        await this.#metadata.run(() => this.#bitmaps!.store(false));
      }
    } finally {
      // Only now: a flush that came in between did not see all of it.
      this.#changed = true;
      this.#requests.release(hold);
    }
  }

  /** In the middle of many changes, so that what waits in memory stays bounded. */
  async #publishDue(): Promise<void> {
    if (this.core.publishDue && !this.#handedOut) await this.#publish(true);
  }

  async #publish(sync: boolean): Promise<void> {
    try {
      await this.core.publish(sync);
    } catch (error) {
      const { errno } = error as DiskImageError;
      // With more room the next attempt may succeed: everything is dirty still. All else is lost between here and there.
      if (errno !== 'ENOSPC' && errno !== 'EDQUOT') this.#failure = error as DiskImageError;
      this.#changed = true;
      throw error;
    }
  }

  /** What vouches for things that a writer changes without maintaining them is taken back before the first change. */
  async #begin(): Promise<void> {
    this.#begun ??= this.#metadata.run(async () => {
      this.#bitmaps = await BitmapTracker.open(this.core);
      await this.#clearAutoclear();
      if (this.#bitmaps) {
        await this.#bitmaps.begin();
        await this.file.sync();
      }
      this.#ready = true;
    });
    try {
      await this.#begun;
    } catch (error) {
      this.#begun = undefined;
      throw error;
    }
  }

  async #clearAutoclear(): Promise<void> {
    const { autoclear, version } = this.header;
    const kept = autoclear & KNOWN_AUTOCLEAR;
    if (version < 3 || kept === autoclear) return;
    await this.core.updateHeader({ autoclear: kept });
  }

  #check(start: number, length: number): void {
    requireRange(start, start + length, this.virtualSize, { path: this.path, operation: 'write' });
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new DiskImageError('INVALID_ARGUMENT', `${length} is no number of bytes`, {
        path: this.path,
        operation: 'write',
      });
    }
    void this.file.fd;
  }

  #refuseBroken(): void {
    if (!this.#failure) return;
    throw new DiskImageError(
      this.#failure.code === 'CORRUPT_IMAGE' ? 'CORRUPT_IMAGE' : 'IO',
      `'${this.path}' takes no more changes since some could not be finished: ${this.#failure.message}`,
      { path: this.path, operation: 'write', errno: this.#failure.errno, cause: this.#failure },
    );
  }
}
