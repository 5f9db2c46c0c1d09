import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { toDiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';

const open = promisify(fs.open);

/** Bytes written at a time. */
const BLOCK = 2 ** 20;
/** Zero runs of this size and alignment become holes; small enough to find most, large enough to cost nothing. */
const HOLE = 2 ** 16;
const ZEROS = Buffer.alloc(HOLE);

/**
 * A file written from front to back while the next bytes are on their way: one block is filled while the one before
 * is being stored. Blocks of zeros become holes.
 */
export class PartFile {
  readonly file: HostFile;
  /** Called with the size of the file, bytes, after each block. */
  onStored: ((end: number) => void) | undefined;
  #stored: number;
  #block = Buffer.allocUnsafe(BLOCK);
  #spare = Buffer.allocUnsafe(BLOCK);
  #filled = 0;
  #pending: Promise<void> = Promise.resolve();

  private constructor(file: HostFile) {
    this.file = file;
    this.#stored = file.size;
  }

  /** Opens or makes the file; writing goes on at its end. */
  static async open(path: string): Promise<PartFile> {
    try {
      const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants;
      const fd = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644);
      return new PartFile(await HostFile.fromFd(fd, path, true));
    } catch (error) {
      throw toDiskImageError(error, { path, operation: 'create' });
    }
  }

  /** Bytes accepted so far. */
  get position(): number {
    return this.#stored + this.#filled;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const room = BLOCK - (this.position % BLOCK);
      const piece = bytes.subarray(at, at + room);
      this.#block.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (piece.length === room) await this.#store();
    }
  }

  /** Resolves when everything accepted is in the file (not yet on stable storage). */
  async flush(): Promise<void> {
    if (this.#filled > 0) await this.#store();
    await this.#pending;
    if (this.file.size < this.#stored) await this.file.truncate(this.#stored);
  }

  /** Drops everything from byte `size` on. */
  async cut(size: number): Promise<void> {
    await this.#pending.catch(() => {}); // what failed to be written is dropped here
    this.#pending = Promise.resolve();
    this.#filled = 0;
    await this.file.truncate(Math.min(size, this.file.size));
    this.#stored = this.file.size;
  }

  async close(): Promise<void> {
    await this.#pending.catch(() => {}); // flush() reports it to whoever wants the bytes
    await this.file.close();
  }

  async #store(): Promise<void> {
    await this.#pending;
    const block = this.#block.subarray(0, this.#filled);
    const offset = this.#stored;
    this.#pending = this.#write(block, offset);
    this.#pending.catch(() => {}); // rethrown to the next caller that waits
    [this.#block, this.#spare] = [this.#spare, this.#block];
    this.#stored += block.length;
    this.#filled = 0;
  }

  async #write(block: Buffer, offset: number): Promise<void> {
    let dataStart = -1;
    for (let at = 0; at < block.length; at += HOLE) {
      const piece = block.subarray(at, at + HOLE);
      const zero = piece.equals(piece.length === HOLE ? ZEROS : ZEROS.subarray(0, piece.length));
      if (!zero && dataStart < 0) dataStart = at;
      if (zero && dataStart >= 0) {
        await this.file.write(block.subarray(dataStart, at), offset + dataStart);
        dataStart = -1;
      }
    }
    // Zeros at the end wait for the next data, or for flush(): growing the file is a journal entry each time.
    if (dataStart >= 0) await this.file.write(block.subarray(dataStart), offset + dataStart);
    this.onStored?.(this.file.size);
  }
}
