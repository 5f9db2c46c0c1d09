// Writing disks of which every byte has its place from the start: raw, and what is raw but for a header or a cipher.
import { requireBuffer, requireRange } from './arguments.js';
import type { Disk, ZeroOptions } from './disk.js';
import { DiskImageError } from './errors.js';
import { type ExtentColumns, Kind } from './extents.js';
import type { GuestFile } from './guestFile.js';
import { alignDown, alignUp } from './offsets.js';
import { RangeLock } from './rangeLock.js';
import { WriteQueue } from './writeQueue.js';
import { ENGINE_WRITE_BYTES, writeWhole } from './writeWhole.js';

/** Two changes in one sector do not run at once: where it is encrypted, each writes all of it. */
const SECTOR = 512;
const EVERYTHING = Number.MAX_SAFE_INTEGER;
/** Zeros encrypted at a time. */
const ZERO_CHUNK = 2 ** 20;

/** Orders and makes the changes of one disk; nothing but bytes waits for a flush. */
export class FlatWriter {
  readonly #disk: Pick<Disk, 'path' | 'virtualSize'>;
  readonly #file: GuestFile;
  readonly #origin: number;
  readonly #requests = new RangeLock();
  readonly #queue: WriteQueue;
  #written = false;

  /** @param origin host offset of guest byte 0 */
  constructor(disk: Pick<Disk, 'path' | 'virtualSize'>, file: GuestFile, origin: number) {
    this.#disk = disk;
    this.#file = file;
    this.#origin = origin;
    this.#queue = new WriteQueue(file);
  }

  /** Runs a read of [start, end) when it is its turn. */
  reading<T>(start: number, end: number, work: () => Promise<T>): Promise<T> {
    return this.#requests.run(start, end, false, work);
  }

  /** Runs `work` while nothing else is under way. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#requests.run(0, EVERYTHING, true, work);
  }

  async write(buffer: Uint8Array, start: number): Promise<void> {
    requireBuffer(buffer, 'the bytes to write', 'write');
    const offset = this.#origin + start;
    await this.#change(start, buffer.length, () =>
      buffer.length < ENGINE_WRITE_BYTES
        ? this.#queue.write(buffer, offset, start)
        : writeWhole(this.#file, buffer, offset, start),
    );
  }

  zero(start: number, length: number, { control }: ZeroOptions = {}): Promise<void> {
    return this.#change(start, length, async () => {
      const { host, cipher } = this.#file;
      if (!cipher) return host.zero(this.#origin + start, length, control?.buffer);
      const zeros = Buffer.alloc(Math.min(length, ZERO_CHUNK));
      for (let at = start; at < start + length; at += ZERO_CHUNK) {
        if (control?.cancelled) {
          const { path } = this.#disk;
          throw new DiskImageError('CANCELLED', 'zero was cancelled', { path, operation: 'zero' });
        }
        const some = zeros.subarray(0, Math.min(ZERO_CHUNK, start + length - at));
        await this.#file.writeGuest(some, this.#origin + at, at);
      }
    });
  }

  allocate(into: ExtentColumns, start: number, length: number): void {
    this.#check(start, length);
    if (length > 0) into.pushPlaced(Kind.data, start, length, 0, this.#file, this.#origin + start);
  }

  async flush(): Promise<void> {
    this.#written = false;
    await this.#file.host.sync();
  }

  /** What was written is on storage before `work` runs, which closes the disk; it runs in any case. */
  close(work: () => Promise<void>): Promise<void> {
    return this.exclusive(async () => {
      try {
        if (this.#written) await this.#file.host.sync();
      } finally {
        await work();
      }
    });
  }

  async #change(start: number, length: number, work: () => Promise<void>): Promise<void> {
    this.#check(start, length);
    if (length === 0) return;
    const unit = this.#file.cipher ? SECTOR : 1;
    await this.#requests.run(alignDown(start, unit), alignUp(start + length, unit), true, async () => {
      try {
        await work();
      } finally {
        // Only now: a flush that came in between did not see all of it.
        this.#written = true;
      }
    });
  }

  #check(start: number, length: number): void {
    const { path, virtualSize } = this.#disk;
    requireRange(start, start + length, virtualSize, { path, operation: 'write' });
    void this.#file.fd;
  }
}
