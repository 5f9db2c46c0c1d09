// Refcount entries of all widths, 1 to 64 bits (specification, "Host cluster management").

/** Reads entry `index` of a refcount block. 64-bit counts above 2^53 lose their low bits: no honest count is near. */
export type RefcountGetter = (block: Uint8Array, index: number) => number;
/** Writes entry `index`; `value` must fit the width (see maxRefcount). */
export type RefcountSetter = (block: Uint8Array, index: number, value: number) => void;

/** Largest count that a width of `1 << order` bits holds, capped to what a number holds exactly. */
export function maxRefcount(order: number): number {
  return order >= 6 ? Number.MAX_SAFE_INTEGER : 2 ** (1 << order) - 1;
}

/** Refcount entries in one block of `clusterSize` bytes. */
export function refcountsPerBlock(clusterSize: number, order: number): number {
  return (clusterSize * 8) / (1 << order);
}

/** Widths below a byte fill it from the low bits up; the others are big-endian. */
export function refcountGetter(order: number): RefcountGetter {
  switch (order) {
    case 0:
      return (block, i) => (block[i >>> 3] >>> (i & 7)) & 1;
    case 1:
      return (block, i) => (block[i >>> 2] >>> (2 * (i & 3))) & 3;
    case 2:
      return (block, i) => (block[i >>> 1] >>> (4 * (i & 1))) & 15;
    case 3:
      return (block, i) => block[i];
    case 4:
      return (block, i) => (block[2 * i] << 8) | block[2 * i + 1];
    case 5:
      return (block, i) => readU32(block, 4 * i);
    case 6:
      return (block, i) => readU32(block, 8 * i) * 2 ** 32 + readU32(block, 8 * i + 4);
    default:
      throw new RangeError(`refcount_order ${order} is not 0 to 6`);
  }
}

export function refcountSetter(order: number): RefcountSetter {
  switch (order) {
    case 0:
    case 1:
    case 2: {
      const width = 1 << order;
      const perByteShift = 3 - order;
      const mask = (1 << width) - 1;
      return (block, i, value) => {
        const shift = width * (i & ((1 << perByteShift) - 1));
        const byte = i >>> perByteShift;
        block[byte] = (block[byte] & ~(mask << shift)) | ((value & mask) << shift);
      };
    }
    case 3:
      return (block, i, value) => {
        block[i] = value;
      };
    case 4:
      return (block, i, value) => {
        block[2 * i] = value >>> 8;
        block[2 * i + 1] = value;
      };
    case 5:
      return (block, i, value) => writeU32(block, 4 * i, value);
    case 6:
      return (block, i, value) => {
        writeU32(block, 8 * i, Math.floor(value / 2 ** 32));
        writeU32(block, 8 * i + 4, value % 2 ** 32);
      };
    default:
      throw new RangeError(`refcount_order ${order} is not 0 to 6`);
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
