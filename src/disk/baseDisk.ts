// What formats need not write themselves: reading and streams, made from `map`.
import type { Readable } from 'node:stream';
import { requireBuffer } from './arguments.js';
import type { Disk, DiskInfo, MapOptions, ReadStreamOptions } from './disk.js';
import type { ExtentColumns } from './extents.js';
import type { HostFile } from './hostFile.js';
import { readInto } from './readInto.js';
import { createReadStream, requireReadable } from './view.js';

export abstract class BaseDisk implements Disk {
  abstract readonly format: string;
  abstract readonly path: string;
  abstract readonly virtualSize: number;
  abstract readonly file: HostFile;
  abstract readonly warnings: readonly string[];
  abstract map(into: ExtentColumns, start: number, end: number, options?: MapOptions): Promise<number>;
  abstract info(): Promise<DiskInfo>;
  abstract close(): Promise<void>;

  read(start: number, length: number): Promise<Buffer>;
  read<T extends Uint8Array>(start: number, into: T): Promise<T>;
  async read(start: number, wanted: number | Uint8Array): Promise<Uint8Array> {
    if (typeof wanted !== 'number') requireBuffer(wanted, 'what to read', 'read');
    requireReadable(this, start, typeof wanted === 'number' ? wanted : wanted.length);
    const buffer = typeof wanted === 'number' ? Buffer.allocUnsafe(wanted) : wanted;
    if (buffer.length > 0) await this.readChecked(buffer, start);
    return buffer;
  }

  /** Fills `buffer`; the range is known to lie within the disk. */
  protected readChecked(buffer: Uint8Array, start: number): Promise<void> {
    return readInto(this, buffer, start);
  }

  createReadStream(options: ReadStreamOptions = {}): Readable {
    return createReadStream(this, options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
