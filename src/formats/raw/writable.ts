import type { Writable } from 'node:stream';
import { JobControl } from '../../disk/control.js';
import type { ResizeOptions, WritableDisk, WriteStreamOptions, ZeroOptions } from '../../disk/disk.js';
import type { ExtentColumns } from '../../disk/extents.js';
import { FlatWriter } from '../../disk/flatWriter.js';
import type { HostFile } from '../../disk/hostFile.js';
import { requireResize } from '../../disk/resizeRules.js';
import { createWriteStream } from '../../disk/writeStream.js';
import { RawDisk } from './disk.js';
import { resizeRaw } from './resize.js';

/** A raw disk that changes in place: every byte has its place already, and nothing but bytes waits for a flush. */
export class WritableRawDisk extends RawDisk implements WritableDisk {
  readonly flushDue = false;
  readonly #writer: FlatWriter;
  #closed: Promise<void> | undefined;

  constructor(file: HostFile) {
    super(file);
    this.#writer = new FlatWriter(this, file, 0);
  }

  protected override readChecked(buffer: Uint8Array, start: number): Promise<void> {
    return this.#writer.reading(start, start + buffer.length, () => super.readChecked(buffer, start));
  }

  write(buffer: Uint8Array, start: number): Promise<void> {
    return this.#writer.write(buffer, start);
  }

  zero(start: number, length: number, options: ZeroOptions = {}): Promise<void> {
    return this.#writer.zero(start, length, options);
  }

  /** Storage goes back to the host where file and filesystem can punch holes; the bytes read as zeros either way. */
  discard(start: number, length: number): Promise<void> {
    return this.zero(start, length);
  }

  async allocate(into: ExtentColumns, start: number, length: number): Promise<void> {
    this.#writer.allocate(into, start, length);
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  async resize(size: number, options: ResizeOptions = {}): Promise<void> {
    requireResize(this, size, options);
    await this.#writer.exclusive(() =>
      resizeRaw(this, size, options.preallocation ?? 'off', new JobControl()),
    );
  }

  createWriteStream(options: WriteStreamOptions = {}): Writable {
    return createWriteStream(this, options);
  }

  override close(): Promise<void> {
    this.#closed ??= this.#writer.close(() => super.close());
    return this.#closed;
  }
}
