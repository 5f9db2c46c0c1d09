import type { NativeCipher } from '../native.js';
import type { HostFile } from './hostFile.js';

/**
 * Where a layer keeps guest bytes: a host file as it is, or one whose sectors are encrypted (EncryptedFile). Extents name
 * it, so whoever moves bytes moves them through it, or hands its cipher to the engine. `offset` is a host, `guest` a
 * guest byte: both say where a buffer begins, which may be anywhere in a sector.
 */
export interface GuestFile {
  readonly host: HostFile;
  readonly cipher?: NativeCipher;
  readonly fd: number;
  readonly path: string;

  /** Fills `buffer`; bytes that the file does not have at its end are stored zeros. */
  readGuest(buffer: Uint8Array, offset: number, guest: number): Promise<void>;

  /** `buffer` must not change meanwhile, nor the rest of the sectors that it begins and ends in. */
  writeGuest(buffer: Uint8Array, offset: number, guest: number): Promise<void>;

  /** Piece i is the next lengths[i] bytes of `buffer`; in one trip to the engine. */
  writeGuestPieces(
    buffer: Uint8Array,
    offsets: Float64Array,
    lengths: Uint32Array,
    guests: Float64Array,
  ): Promise<void>;

  /**
   * What has to be stored for it to hold `buffer`, and where: for a write that is small. Undefined: the bytes as they
   * are.
   */
  seal(
    buffer: Uint8Array,
    offset: number,
    guest: number,
  ): Promise<{ bytes: Uint8Array; offset: number }> | undefined;

  /** The same file for guest bytes that are shown `by` bytes further on (back when negative) than the layer has them. */
  moved(by: number): GuestFile;
}

/** Both read the same from the same host and guest byte on. */
export function sameBytes(one: GuestFile, other: GuestFile): boolean {
  if (one.host.identity !== other.host.identity) return false;
  const { cipher: a } = one;
  const { cipher: b } = other;
  if (!a || !b) return a === b;
  return (
    a.mode === b.mode &&
    a.ivgen === b.ivgen &&
    a.numbering === b.numbering &&
    a.origin === b.origin &&
    Buffer.compare(a.key, b.key) === 0 &&
    Buffer.compare(a.ivKey, b.ivKey) === 0
  );
}
