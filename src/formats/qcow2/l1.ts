import { DiskImageError } from '../../disk/errors.js';
import type { HostFile } from '../../disk/hostFile.js';
import { entryOffset, L1_RESERVED_HI, L1_RESERVED_LO, tableWords } from './l2Entry.js';

/** An L1 table in memory as words (high, low per entry): 8 bytes an entry, at most Limits.l1Bytes. */
export class L1Table {
  /** Host offset of the table, bytes. */
  readonly offset: number;
  readonly words: Uint32Array;

  constructor(offset: number, words: Uint32Array) {
    this.offset = offset;
    this.words = words;
  }

  get entries(): number {
    return this.words.length >>> 1;
  }

  /** Index of the first entry at or after `from` that is not zero, at most `to`. */
  nextUsed(from: number, to: number): number {
    const { words } = this;
    for (let i = from; i < to; i++) if (words[2 * i] !== 0 || words[2 * i + 1] !== 0) return i;
    return to;
  }

  /** Host offset of the L2 table, 0 = none; unchecked. */
  l2Offset(index: number): number {
    return entryOffset(this.words[2 * index], this.words[2 * index + 1]);
  }

  /** Whether bits 0 to 8 and 56 to 62 are clear. */
  isClean(index: number): boolean {
    return (
      (this.words[2 * index] & L1_RESERVED_HI) === 0 && (this.words[2 * index + 1] & L1_RESERVED_LO) === 0
    );
  }

  /** The entry as QEMU prints it. */
  hex(index: number): string {
    return ((BigInt(this.words[2 * index]) << 32n) | BigInt(this.words[2 * index + 1])).toString(16);
  }
}

/**
 * Reads `entries` entries at `offset`. The caller has checked both against limits and the file's size.
 * @throws CORRUPT_IMAGE when the file ends first, unless `zeroFill`.
 */
export async function readL1(
  file: HostFile,
  offset: number,
  entries: number,
  options: { zeroFill?: boolean } = {},
): Promise<L1Table> {
  // Its own ArrayBuffer: words need alignment that pooled Buffers do not have.
  const bytes = new Uint8Array(entries * 8);
  if (entries > 0 && (await file.read(bytes, offset)) < bytes.length && !options.zeroFill) {
    throw new DiskImageError(
      'CORRUPT_IMAGE',
      `The L1 table at offset ${offset} needs ${bytes.length} bytes, but '${file.path}' ends before`,
      { path: file.path, offset, operation: 'open' },
    );
  }
  return new L1Table(offset, tableWords(bytes));
}
