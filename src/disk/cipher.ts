// How the guest bytes of one layer are encrypted where they are stored, sector by sector.
import { createHash } from 'node:crypto';
import { type NativeCipher, native } from '../native.js';
import { DiskImageError } from './errors.js';

/** Bytes that are encrypted as one: QEMU's legacy AES and LUKS version 1 know no other unit. */
export const CIPHER_SECTOR = 512;

export interface DiskCipher {
  readonly algorithm: 'aes-128' | 'aes-192' | 'aes-256';
  readonly mode: 'ecb' | 'cbc' | 'xts' | 'ctr';
  /**
   * The initialisation vector of a sector, 16 bytes: zeros (`none`); its number in 32 bits (`plain`) or 64 bits
   * (`plain64`), little-endian, and zeros; or the latter encrypted by the hash of the key (`essiv`). ecb uses none.
   */
  readonly ivgen: 'none' | 'plain' | 'plain64' | 'essiv';
  /** essiv: whose length is one of an AES key (16 bytes: AES-128, 32 bytes: AES-256). */
  readonly essivHash?: 'md5' | 'sha256';
  /** 16, 24 or 32 bytes; twice that for xts. */
  readonly key: Uint8Array;
  /** Bytes. */
  readonly sectorSize: typeof CIPHER_SECTOR;
  /**
   * Whose offset, less `origin` and divided by the sector size, numbers the sectors: the guest's (legacy AES of qcow2), or
   * the host's in the file that holds the data (LUKS).
   */
  readonly numbering: 'guest' | 'host';
  /** Bytes: the payload offset in format luks, else 0. */
  readonly origin: number;
}

/** Bytes of `DiskCipher.key`. */
export function cipherKeyBytes(algorithm: DiskCipher['algorithm'], mode: DiskCipher['mode']): number {
  const bytes = Number(algorithm.slice(4)) / 8;
  return mode === 'xts' ? 2 * bytes : bytes;
}

/** What of a cipher says how one sector becomes another. */
export type SectorCipher = Pick<
  DiskCipher,
  'algorithm' | 'mode' | 'ivgen' | 'essivHash' | 'key' | 'sectorSize'
>;

/**
 * `bytes` encrypted as whole sectors, the first of which has number `sector`; the last may be short, but whole blocks of
 * 16 bytes. For pieces that are small: key material, single sectors.
 * @throws INVALID_ARGUMENT for a key of the wrong length and bytes that are no whole blocks.
 */
export function encryptSectors(cipher: SectorCipher, bytes: Uint8Array, sector: number): Buffer {
  return crypt('encrypt', cipher, bytes, sector);
}

/** The reverse of encryptSectors. */
export function decryptSectors(cipher: SectorCipher, bytes: Uint8Array, sector: number): Buffer {
  return crypt('decrypt', cipher, bytes, sector);
}

function crypt(
  direction: 'encrypt' | 'decrypt',
  cipher: SectorCipher,
  bytes: Uint8Array,
  sector: number,
): Buffer {
  if (bytes.length % 16 !== 0) {
    throw new DiskImageError('INVALID_ARGUMENT', `${bytes.length} bytes are no whole blocks of 16`);
  }
  const out = Buffer.alloc(bytes.length);
  const own = nativeCipher({ ...cipher, numbering: 'host', origin: 0 });
  native.cryptSectors(own, direction, bytes, out, sector);
  wipeCipher(own);
  return out;
}

/**
 * The cipher as the engine takes it, with copies of its keys.
 * @throws INVALID_ARGUMENT for a key of the wrong length.
 */
export function nativeCipher(cipher: DiskCipher): NativeCipher {
  const { algorithm, mode, ivgen, essivHash = 'sha256', key, numbering, origin } = cipher;
  const expected = cipherKeyBytes(algorithm, mode);
  if (key.length !== expected) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `The key of ${algorithm}-${mode} has ${expected} bytes, not ${key.length}`,
    );
  }
  const ivKey = ivgen === 'essiv' ? createHash(essivHash).update(key).digest() : Buffer.alloc(0);
  return { mode, ivgen, key: Buffer.from(key), ivKey, numbering, origin };
}

/** Nothing may use it afterwards. */
export function wipeCipher({ key, ivKey }: NativeCipher): void {
  key.fill(0);
  ivKey.fill(0);
}
