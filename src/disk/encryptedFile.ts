import { type NativeCipher, native } from '../native.js';
import { CIPHER_SECTOR, type DiskCipher, nativeCipher, wipeCipher } from './cipher.js';
import type { GuestFile } from './guestFile.js';
import type { HostFile } from './hostFile.js';
import { alignUp } from './offsets.js';

/** Up to this many bytes are encrypted on the JavaScript thread. */
const SMALL = 2 ** 16;
/** One piece's length is a 32-bit number for the engine. */
const MAX_PIECE = 2 ** 30;

/**
 * Guest bytes that lie encrypted in a host file. It does not own the file. Where a write covers part of a sector, the
 * sector is read, changed and written back: the caller keeps other changes of that sector apart.
 */
export class EncryptedFile implements GuestFile {
  readonly host: HostFile;
  readonly cipher: NativeCipher;
  readonly #moved = new Map<number, EncryptedFile>();

  private constructor(host: HostFile, cipher: NativeCipher) {
    this.host = host;
    this.cipher = cipher;
  }

  /** Keeps copies of the keys until `forget`. @throws INVALID_ARGUMENT for a key of the wrong length. */
  static of(host: HostFile, cipher: DiskCipher): EncryptedFile {
    return new EncryptedFile(host, nativeCipher(cipher));
  }

  get fd(): number {
    return this.host.fd;
  }

  get path(): string {
    return this.host.path;
  }

  async readGuest(buffer: Uint8Array, offset: number, guest: number): Promise<void> {
    const { sector, skip } = this.#place(offset, guest);
    const length = alignUp(skip + buffer.length, CIPHER_SECTOR);
    const whole = length === buffer.length ? buffer : Buffer.allocUnsafe(length);
    await this.host.readGuest(whole, offset - skip);
    this.#crypt('decrypt', whole, sector);
    if (whole !== buffer) buffer.set(whole.subarray(skip, skip + buffer.length));
  }

  async writeGuest(buffer: Uint8Array, offset: number, guest: number): Promise<void> {
    if (buffer.length <= SMALL) {
      const { bytes, offset: at } = await this.seal(buffer, offset, guest);
      await this.host.write(bytes, at);
      return;
    }
    // Parts of sectors at the ends, and what lies between.
    const { skip } = this.#place(offset, guest);
    const head = skip === 0 ? 0 : CIPHER_SECTOR - skip;
    const tail = (skip + buffer.length) % CIPHER_SECTOR;
    const end = buffer.length - tail;
    if (head > 0) await this.writeGuest(buffer.subarray(0, head), offset, guest);
    for (let at = head; at < end; at += MAX_PIECE) {
      const part = buffer.subarray(at, Math.min(end, at + MAX_PIECE));
      await this.#writePieces(part, [offset + at], [part.length], [guest + at]);
    }
    if (tail > 0) await this.writeGuest(buffer.subarray(end), offset + end, guest + end);
  }

  async writeGuestPieces(
    buffer: Uint8Array,
    offsets: Float64Array,
    lengths: Uint32Array,
    guests: Float64Array,
  ): Promise<void> {
    const aligned = offsets.every(
      (offset, i) => this.#place(offset, guests[i]).skip === 0 && lengths[i] % CIPHER_SECTOR === 0,
    );
    if (aligned) {
      await this.#writePieces(buffer, offsets, lengths, guests);
      return;
    }
    for (let i = 0, at = 0; i < offsets.length; at += lengths[i++]) {
      await this.writeGuest(buffer.subarray(at, at + lengths[i]), offsets[i], guests[i]);
    }
  }

  async seal(
    buffer: Uint8Array,
    offset: number,
    guest: number,
  ): Promise<{ bytes: Uint8Array; offset: number }> {
    const { sector, skip } = this.#place(offset, guest);
    const bytes = Buffer.allocUnsafe(alignUp(skip + buffer.length, CIPHER_SECTOR));
    const last = bytes.length - CIPHER_SECTOR;
    const cutShort = (skip + buffer.length) % CIPHER_SECTOR !== 0;
    if (skip !== 0 || (cutShort && last === 0)) await this.#readSector(bytes, 0, offset - skip, sector);
    if (cutShort && last > 0) {
      await this.#readSector(bytes, last, offset - skip + last, sector + last / CIPHER_SECTOR);
    }
    bytes.set(buffer, skip);
    this.#crypt('encrypt', bytes, sector);
    return { bytes, offset: offset - skip };
  }

  moved(by: number): EncryptedFile {
    if (by === 0 || this.cipher.numbering === 'host') return this;
    let moved = this.#moved.get(by);
    if (!moved) {
      moved = new EncryptedFile(this.host, { ...this.cipher, origin: this.cipher.origin + by });
      this.#moved.set(by, moved);
    }
    return moved;
  }

  /** Overwrites the keys, after the host file was closed. */
  forget(): void {
    wipeCipher(this.cipher);
  }

  /** Where a byte is: the number of its sector, and how far into it. */
  #place(offset: number, guest: number): { sector: number; skip: number } {
    const { numbering, origin } = this.cipher;
    const position = (numbering === 'guest' ? guest : offset) - origin;
    return { sector: Math.floor(position / CIPHER_SECTOR), skip: position % CIPHER_SECTOR };
  }

  /** In place. @throws INVALID_ARGUMENT once the file is closed: there are no keys any more. */
  #crypt(direction: 'encrypt' | 'decrypt', bytes: Uint8Array, sector: number): void {
    void this.fd;
    native.cryptSectors(this.cipher, direction, bytes, bytes, sector);
  }

  async #readSector(into: Buffer, at: number, offset: number, sector: number): Promise<void> {
    const bytes = into.subarray(at, at + CIPHER_SECTOR);
    await this.host.readGuest(bytes, offset);
    this.#crypt('decrypt', bytes, sector);
  }

  #writePieces(
    buffer: Uint8Array,
    offsets: ArrayLike<number>,
    lengths: ArrayLike<number>,
    guests: ArrayLike<number>,
  ): Promise<void> {
    return this.host.writePieces(buffer, Float64Array.from(offsets), Uint32Array.from(lengths), {
      cipher: this.cipher,
      guests: Float64Array.from(guests),
    });
  }
}
