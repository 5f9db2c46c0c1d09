// The 62-bit descriptor of a compressed cluster (specification, "Compressed Clusters Descriptor").

/** Bits of the host offset: x = 62 - (cluster_bits - 8). The rest, above, counts additional sectors. */
export function compressedOffsetBits(clusterBits: number): number {
  return 62 - (clusterBits - 8);
}

/** Largest host offset that a compressed descriptor can hold plus one, bytes; capped to 2^53. */
export function maxCompressedOffset(clusterBits: number): number {
  return 2 ** Math.min(53, compressedOffsetBits(clusterBits));
}

/** Host offset from an L2 entry's words. May exceed 2^53 for small clusters of a hostile image: compare, don't add. */
export function compressedOffset(hi: number, lo: number, clusterBits: number): number {
  const high = hi & ((1 << (compressedOffsetBits(clusterBits) - 32)) - 1);
  return high * 2 ** 32 + (lo >>> 0);
}

/** Bytes claimed from the offset: (additional sectors + 1) * 512 less the offset's place in its first sector. */
export function compressedLength(hi: number, lo: number, clusterBits: number): number {
  const sectors = (hi & 0x3fffffff) >>> (compressedOffsetBits(clusterBits) - 32);
  return (sectors + 1) * 512 - (lo & 511);
}

/**
 * L2 entry words [hi, lo] with the compressed flag set.
 * @throws RangeError when the offset or the sector count does not fit: the caller has sized both.
 */
export function encodeCompressed(offset: number, length: number, clusterBits: number): [number, number] {
  const shift = compressedOffsetBits(clusterBits) - 32;
  const sectors = Math.floor((offset + length - 1) / 512) - Math.floor(offset / 512);
  if (offset >= maxCompressedOffset(clusterBits)) {
    throw new RangeError(`compressed host offset ${offset} exceeds ${maxCompressedOffset(clusterBits) - 1}`);
  }
  if (length < 1 || sectors >= 2 ** (clusterBits - 8)) {
    throw new RangeError(`compressed length ${length} does not fit clusters of ${2 ** clusterBits} bytes`);
  }
  const hi = (0x40000000 | (sectors << shift) | Math.floor(offset / 2 ** 32)) >>> 0;
  return [hi, (offset % 2 ** 32) >>> 0];
}
