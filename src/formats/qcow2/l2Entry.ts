// L1 and L2 entries as pairs of 32-bit words, high word first: exact, and without BigInt in the loops.

/** Bits of the high word. */
export const COPIED_HI = 0x80000000;
export const COMPRESSED_HI = 0x40000000;
/** Bits 56 to 61 (to 62 in L1 entries) of an entry must be zero. */
export const L2_RESERVED_HI = 0x3f000000;
export const L1_RESERVED_HI = 0x7f000000;
/** Bits of the low word: bit 0 is the zero flag of a standard L2 entry, 1 to 8 are reserved. */
export const ZERO_LO = 1;
export const L2_RESERVED_LO = 0x1fe;
export const L1_RESERVED_LO = 0x1ff;

const OFFSET_HI = 0x00ffffff;
const OFFSET_LO = 0xfffffe00;

/** Host offset of an entry (bits 9 to 55), bytes; can reach 2^56 in a hostile image. */
export function entryOffset(hi: number, lo: number): number {
  return (hi & OFFSET_HI) * 2 ** 32 + ((lo & OFFSET_LO) >>> 0);
}

/** Entry words for a host cluster; `offset` is cluster-aligned, below 2^53. */
export function entryWords(offset: number, copied: boolean, zero = false): [number, number] {
  const hi = (Math.floor(offset / 2 ** 32) | (copied ? COPIED_HI : 0)) >>> 0;
  return [hi, ((offset % 2 ** 32) | (zero ? ZERO_LO : 0)) >>> 0];
}

/** What an extended L2 entry says of one subcluster. */
export const SubclusterType = {
  unallocated: 0,
  /** Allocated space without data: reads through to the backing file. */
  unallocatedPlaced: 1,
  zero: 2,
  zeroPlaced: 3,
  data: 4,
  invalid: 5,
} as const;
export type SubclusterTypeCode = (typeof SubclusterType)[keyof typeof SubclusterType];

/**
 * Type of subcluster `index` (0 to 31) of an extended entry: `allocated` and `zeros` are the low and high words of
 * its bitmap.
 */
export function subclusterType(
  placed: boolean,
  allocated: number,
  zeros: number,
  index: number,
): SubclusterTypeCode {
  const isAllocated = (allocated >>> index) & 1;
  const isZero = (zeros >>> index) & 1;
  if (isAllocated) return isZero || !placed ? SubclusterType.invalid : SubclusterType.data;
  if (isZero) return placed ? SubclusterType.zeroPlaced : SubclusterType.zero;
  return placed ? SubclusterType.unallocatedPlaced : SubclusterType.unallocated;
}

/** A big-endian table as host-order words, in place: word 2i is the high half of 64-bit entry i. */
export function tableWords(bytes: Uint8Array): Uint32Array {
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).swap32();
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}

/** Words as big-endian bytes, copied. */
export function tableBytes(words: Uint32Array): Buffer {
  const bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
  const copy = Buffer.allocUnsafe(bytes.length);
  bytes.copy(copy);
  return copy.swap32();
}
