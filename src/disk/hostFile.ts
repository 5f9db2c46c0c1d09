import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { type NativeCipher, native } from '../native.js';
import { requireString } from './arguments.js';
import { DiskImageError, toDiskImageError } from './errors.js';
import type { GuestFile } from './guestFile.js';
import { type LockMode, lockImage, unlockImage } from './lock.js';

const open = promisify(fs.open);
const close = promisify(fs.close);
const fstat = promisify(fs.fstat);
const fdatasync = promisify(fs.fdatasync);
const ftruncate = promisify(fs.ftruncate);

type Positioned = (
  fd: number,
  buffer: Uint8Array,
  at: number,
  length: number,
  position: number,
  done: (error: Error | null, count: number) => void,
) => void;

/** fs.read or fs.write as a promise of the count; promisified they would hand back the buffer too. */
function counted(call: Positioned) {
  return (fd: number, buffer: Uint8Array, at: number, length: number, position: number) =>
    new Promise<number>((resolve, reject) => {
      call(fd, buffer, at, length, position, (error, count) => (error ? reject(error) : resolve(count)));
    });
}

const pread = counted(fs.read);
const pwrite = counted(fs.write);

/** `dev:ino`: the same for one file under all its names. */
export function identityOf({ dev, ino }: Pick<fs.Stats, 'dev' | 'ino'>): string {
  return `${dev}:${ino}`;
}

/**
 * An open regular file or block device: descriptor, identity, size and positioned whole reads and writes. As a GuestFile
 * it holds guest bytes as they are.
 */
export class HostFile implements GuestFile {
  readonly path: string;
  readonly writable: boolean;
  readonly isBlockDevice: boolean;
  /** `dev:ino`, to recognise the same file under two names. */
  readonly identity: string;
  readonly mode: number;
  readonly #fd: number;
  #size: number;
  #blocks: number;
  #closed = false;

  private constructor(fd: number, path: string, writable: boolean, stat: fs.Stats, size: number) {
    this.#fd = fd;
    this.path = path;
    this.writable = writable;
    this.isBlockDevice = stat.isBlockDevice();
    this.identity = identityOf(stat);
    this.mode = stat.mode & 0o7777;
    this.#size = size;
    this.#blocks = stat.blocks;
  }

  /**
   * Opens an existing regular file or block device.
   * @throws IO (ENOENT, EACCES …); INVALID_ARGUMENT for directories, FIFOs and character devices.
   */
  static async open(path: string, options: { write?: boolean } = {}): Promise<HostFile> {
    requireString(path, 'path', 'open');
    const write = options.write ?? false;
    let fd: number;
    try {
      // O_NONBLOCK: opening a FIFO must not hang; it has no effect on files and block devices.
      fd = await open(path, (write ? fs.constants.O_RDWR : fs.constants.O_RDONLY) | fs.constants.O_NONBLOCK);
    } catch (error) {
      throw toDiskImageError(error, { path, operation: 'open' });
    }
    return HostFile.fromFd(fd, path, write);
  }

  /** Takes over an open descriptor; closes it when it is not a file or block device. */
  static async fromFd(fd: number, path: string, writable: boolean): Promise<HostFile> {
    try {
      const stat = await fstat(fd);
      if (!stat.isFile() && !stat.isBlockDevice()) {
        throw new DiskImageError(
          'INVALID_ARGUMENT',
          `'${path}' is neither a regular file nor a block device`,
          {
            path,
            operation: 'open',
          },
        );
      }
      const size = stat.isBlockDevice() ? native.blockDeviceSize(fd) : stat.size;
      return new HostFile(fd, path, writable, stat, size);
    } catch (error) {
      fs.closeSync(fd);
      throw toDiskImageError(error, { path, operation: 'open' });
    }
  }

  /** The descriptor. @throws INVALID_ARGUMENT after close(): its number may be another file's by now. */
  get fd(): number {
    if (!this.#closed) return this.#fd;
    throw new DiskImageError('INVALID_ARGUMENT', `'${this.path}' is closed`, { path: this.path });
  }

  get host(): this {
    return this;
  }

  /** Bytes, as of open or the last refresh(). */
  get size(): number {
    return this.#size;
  }

  /** Bytes of storage occupied, as of open or the last refresh(). */
  get allocated(): number {
    return this.#blocks * 512;
  }

  async refresh(): Promise<void> {
    const stat = await fstat(this.fd);
    this.#blocks = stat.blocks;
    if (!this.isBlockDevice) this.#size = stat.size;
  }

  lock(mode: LockMode): void {
    lockImage(this.fd, this.path, mode);
  }

  unlock(): void {
    unlockImage(this.fd);
  }

  /** Reads until the buffer is full or the file ends; returns the bytes read. */
  async read(buffer: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      let count: number;
      try {
        count = await pread(this.fd, buffer, done, buffer.length - done, offset + done);
      } catch (error) {
        throw toDiskImageError(error, { path: this.path, offset: offset + done, operation: 'read' });
      }
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /**
   * Reads exactly `length` bytes; the caller has checked `length` against a limit.
   * @throws TRUNCATED naming `what` when the file ends first; nothing is allocated then.
   */
  async readExact(offset: number, length: number, what: string): Promise<Buffer> {
    if (offset + length > this.#size) throw this.#truncated(offset, length, what);
    const buffer = Buffer.allocUnsafe(length);
    if ((await this.read(buffer, offset)) < length) throw this.#truncated(offset, length, what);
    return buffer;
  }

  async write(buffer: Uint8Array, offset: number): Promise<void> {
    let done = 0;
    while (done < buffer.length) {
      try {
        done += await pwrite(this.fd, buffer, done, buffer.length - done, offset + done);
      } catch (error) {
        throw toDiskImageError(error, { path: this.path, offset: offset + done, operation: 'write' });
      }
    }
    if (!this.isBlockDevice && offset + buffer.length > this.#size) this.#size = offset + buffer.length;
  }

  /**
   * Writes many pieces in one trip to the engine: piece i is the next `lengths[i]` bytes of `buffer` and goes to
   * `offsets[i]`. The buffer must not change meanwhile. With `sealed` they are whole sectors, written encrypted.
   */
  async writePieces(
    buffer: Uint8Array,
    offsets: Float64Array,
    lengths: Uint32Array,
    sealed?: { cipher: NativeCipher; guests: Float64Array },
  ): Promise<void> {
    const { cipher, guests } = sealed ?? {};
    try {
      await native.writePieces(this.fd, this.path, buffer, offsets, lengths, cipher, guests);
    } catch (error) {
      throw toDiskImageError(error, { path: this.path, operation: 'write' });
    }
    if (this.isBlockDevice) return;
    for (let i = 0; i < offsets.length; i++) this.#size = Math.max(this.#size, offsets[i] + lengths[i]);
  }

  async readGuest(buffer: Uint8Array, offset: number): Promise<void> {
    const got = await this.read(buffer, offset);
    if (got < buffer.length) buffer.fill(0, got);
  }

  writeGuest(buffer: Uint8Array, offset: number): Promise<void> {
    return this.write(buffer, offset);
  }

  writeGuestPieces(buffer: Uint8Array, offsets: Float64Array, lengths: Uint32Array): Promise<void> {
    return this.writePieces(buffer, offsets, lengths);
  }

  seal(): undefined {
    return undefined;
  }

  moved(): this {
    return this;
  }

  /**
   * [offset, offset + length) reads as zeros from now on: a hole where the filesystem or device can, else written.
   * @throws CANCELLED through `control`: zeroed in part.
   */
  async zero(offset: number, length: number, control?: SharedArrayBuffer): Promise<void> {
    try {
      await native.zeroRange(this.fd, this.path, offset, length, control);
    } catch (error) {
      throw toDiskImageError(error, { path: this.path, offset, operation: 'zero' });
    }
  }

  async truncate(size: number): Promise<void> {
    try {
      await ftruncate(this.fd, size);
    } catch (error) {
      throw toDiskImageError(error, { path: this.path, operation: 'truncate' });
    }
    this.#size = size;
  }

  async sync(): Promise<void> {
    try {
      await fdatasync(this.fd);
    } catch (error) {
      throw toDiskImageError(error, { path: this.path, operation: 'sync' });
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await close(this.#fd);
  }

  #truncated(offset: number, length: number, what: string): DiskImageError {
    return new DiskImageError(
      'TRUNCATED',
      `${what} needs bytes ${offset} to ${offset + length - 1}, but '${this.path}' ends at ${this.#size}`,
      { path: this.path, offset, operation: 'read' },
    );
  }
}
