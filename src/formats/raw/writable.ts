import type { Writable } from 'node:stream';
import { requireBuffer, requireRange } from '../../disk/arguments.js';
import { JobControl } from '../../disk/control.js';
import type { ResizeOptions, WritableDisk, WriteStreamOptions, ZeroOptions } from '../../disk/disk.js';
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import type { HostFile } from '../../disk/hostFile.js';
import { RangeLock } from '../../disk/rangeLock.js';
import { requireResize } from '../../disk/resizeRules.js';
import { WriteQueue } from '../../disk/writeQueue.js';
import { createWriteStream } from '../../disk/writeStream.js';
import { ENGINE_WRITE_BYTES, writeWhole } from '../../disk/writeWhole.js';
import { RawDisk } from './disk.js';
import { resizeRaw } from './resize.js';

/** A raw disk that changes in place: every byte has its place already, and nothing but bytes waits for a flush. */
export class WritableRawDisk extends RawDisk implements WritableDisk {
  readonly flushDue = false;
  readonly #requests = new RangeLock();
  readonly #queue: WriteQueue;
  #written = false;
  #closed: Promise<void> | undefined;

  constructor(file: HostFile) {
    super(file);
    this.#queue = new WriteQueue(file);
  }

  protected override readChecked(buffer: Uint8Array, start: number): Promise<void> {
    return this.#requests.run(start, start + buffer.length, false, () => super.readChecked(buffer, start));
  }

  async write(buffer: Uint8Array, start: number): Promise<void> {
    requireBuffer(buffer, 'the bytes to write', 'write');
    await this.#change(start, buffer.length, () =>
      buffer.length < ENGINE_WRITE_BYTES
        ? this.#queue.write(buffer, start)
        : writeWhole(this.file, buffer, start),
    );
  }

  zero(start: number, length: number, options: ZeroOptions = {}): Promise<void> {
    return this.#change(start, length, () => this.file.zero(start, length, options.control?.buffer));
  }

  /** Storage goes back to the host where file and filesystem can punch holes; the bytes read as zeros either way. */
  discard(start: number, length: number): Promise<void> {
    return this.zero(start, length);
  }

  async allocate(into: ExtentColumns, start: number, length: number): Promise<void> {
    this.#check(start, length);
    if (length > 0) into.pushPlaced(Kind.data, start, length, 0, this.file, start);
  }

  async flush(): Promise<void> {
    this.#written = false;
    await this.file.sync();
  }

  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    requireResize(this, size, options);
    await this.#requests.run(0, Number.MAX_SAFE_INTEGER, true, () =>
      resizeRaw(this, size, options.preallocation ?? 'off', new JobControl()),
    );
  }

  createWriteStream(options: WriteStreamOptions = {}): Writable {
    return createWriteStream(this, options);
  }

  override close(): Promise<void> {
    this.#closed ??= this.#requests.run(0, Number.MAX_SAFE_INTEGER, true, async () => {
      try {
        if (this.#written) await this.file.sync();
      } finally {
        await super.close();
      }
    });
    return this.#closed;
  }

  async #change(start: number, length: number, work: () => Promise<void>): Promise<void> {
    this.#check(start, length);
    if (length === 0) return;
    await this.#requests.run(start, start + length, true, async () => {
      try {
        await work();
      } finally {
        // Only now: a flush that came in between did not see all of it.
        this.#written = true;
      }
    });
  }

  #check(start: number, length: number): void {
    requireRange(start, start + length, this.virtualSize, { path: this.path, operation: 'write' });
    void this.file.fd;
  }
}
