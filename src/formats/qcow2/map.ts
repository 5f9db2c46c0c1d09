// From L1 and L2 tables to extents: one layer, no backing files (those are joined in disk.ts).
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import { compressedLength, compressedOffset } from './compressedDescriptor.js';
import { corruptImage, entryHex, hex } from './corrupt.js';
import { COMPRESSED_HI, COPIED_HI, entryOffset, L2_RESERVED_HI, L2_RESERVED_LO, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import { mapExtendedTable } from './mapExtended.js';

/**
 * Appends this layer's rows for [start, x), x <= end, and returns x: the whole range, or the end of the L2 table
 * at which `into` was full. What the layer does not hold is `unallocated`.
 * @throws CORRUPT_IMAGE naming the entry, its indexes and host offset.
 */
export async function mapLayer(
  layer: Layer,
  into: ExtentColumns,
  start: number,
  end: number,
): Promise<number> {
  const { l1, header } = layer;
  const { l2Coverage } = header;
  let at = start;
  while (at < end && !into.full) {
    const index = Math.floor(at / l2Coverage);
    const last = Math.min(Math.ceil(end / l2Coverage), l1.entries);
    const used = index < last ? l1.nextUsed(index, last) : last;
    if (used > index || index >= last) {
      const stop = used < last ? used * l2Coverage : end;
      into.pushEmpty(Kind.unallocated, at, stop - at, 0);
      at = stop;
      continue;
    }
    const stop = Math.min(end, (index + 1) * l2Coverage);
    const offset = checkedL2Offset(layer, index);
    if (offset === 0) {
      into.pushEmpty(Kind.unallocated, at, stop - at, 0);
      at = stop;
      continue;
    }
    const words =
      layer.l2.peek(offset) ?? (await layer.l2.get(offset, neighbours(layer, index, last, offset)));
    const table: L2Table = { words, index, offset };
    at = header.extendedL2
      ? mapExtendedTable(layer, into, table, at, stop)
      : mapStandardTable(layer, into, table, at, stop);
  }
  return at;
}

/** One L2 table: its words, and its L1 index and host offset for messages. */
export interface L2Table {
  words: Uint32Array;
  index: number;
  offset: number;
}

/** Host offset of the L2 table of L1 entry `index`, 0 = none. */
export function checkedL2Offset(layer: Layer, index: number): number {
  const { l1, header, file } = layer;
  const bad = (why: string, offset: number) =>
    corruptImage(file.path, `L1 entry ${index} (${hex(BigInt(`0x${l1.hex(index)}`))}): ${why}`, offset);
  const entryAt = l1.offset + 8 * index;
  if (!l1.isClean(index)) throw bad('reserved bits are set', entryAt);
  const offset = l1.l2Offset(index);
  if (offset % header.clusterSize !== 0) {
    throw bad(
      `L2 table offset ${hex(offset)} is not a multiple of the cluster size ${header.clusterSize}`,
      entryAt,
    );
  }
  if (offset >= file.size) {
    throw bad(`L2 table offset ${hex(offset)} lies past the end of the file at ${hex(file.size)}`, entryAt);
  }
  const owner = metadataAt(layer, offset, header.clusterSize);
  if (offset !== 0 && owner) throw bad(`L2 table offset ${hex(offset)} overlaps the ${owner}`, entryAt);
  return offset;
}

/** How many L2 tables from `index` on lie one after another in the file and are wanted. */
export function neighbours(layer: Layer, index: number, last: number, offset: number): number {
  const { l1, header, l2 } = layer;
  const most = Math.min(last - index, l2.maxAhead);
  let count = 1;
  while (count < most && l1.l2Offset(index + count) === offset + count * header.clusterSize) count++;
  return count;
}

/** The metadata that [offset, offset + length) of the image file runs into, if any. */
export function metadataAt(layer: Layer, offset: number, length: number): string | undefined {
  const { header, l1 } = layer;
  const end = offset + length;
  const meets = (start: number, size: number) => size > 0 && offset < start + size && start < end;
  if (meets(0, header.clusterSize)) return 'header';
  if (meets(l1.offset, l1.entries * 8)) return 'L1 table';
  if (meets(header.refcountTableOffset, header.refcountTableClusters * header.clusterSize)) {
    return 'refcount table';
  }
  return undefined;
}

function mapStandardTable(
  layer: Layer,
  into: ExtentColumns,
  table: L2Table,
  start: number,
  end: number,
): number {
  const { header, guest: guestFile } = layer;
  const { clusterSize, l2Coverage, externalData } = header;
  const { words } = table;
  const base = table.index * l2Coverage;
  const first = Math.floor((start - base) / clusterSize);
  const stop = Math.ceil((end - base) / clusterSize);
  let at = start;
  for (let i = first; i < stop; ) {
    if (into.full) return at;
    const hi = words[2 * i];
    const lo = words[2 * i + 1];
    const guest = base + i * clusterSize;
    let next = i + 1;
    if (hi & COMPRESSED_HI) {
      const to = Math.min(end, guest + clusterSize);
      pushCompressedCluster(layer, into, table, i, guest, at, to);
      at = to;
      i = next;
      continue;
    }
    if ((hi & L2_RESERVED_HI) !== 0 || (lo & L2_RESERVED_LO) !== 0) {
      throw badEntry(layer, table, i, hi, lo, 'reserved bits are set');
    }
    const zero = (lo & ZERO_LO) !== 0;
    const offset = entryOffset(hi, lo);
    if (offset !== 0 || (externalData && !zero && hi & COPIED_HI)) {
      for (
        let expected = lo + clusterSize;
        next < stop && words[2 * next + 1] === expected && words[2 * next] === hi;
        expected += clusterSize
      ) {
        next++;
      }
      const to = Math.min(end, base + next * clusterSize);
      checkPlace(layer, table, i, hi, lo, guest, offset, next - i, zero);
      into.pushPlaced(zero ? Kind.zero : Kind.data, at, to - at, 0, guestFile, offset + (at - guest));
      at = to;
    } else {
      if (zero && header.version < 3)
        throw badEntry(layer, table, i, hi, lo, 'zero flag in a version 2 image');
      while (next < stop && words[2 * next + 1] === lo && words[2 * next] === hi) next++;
      const to = Math.min(end, base + next * clusterSize);
      into.pushEmpty(zero ? Kind.zero : Kind.unallocated, at, to - at, 0);
      at = to;
    }
    i = next;
  }
  return at;
}

/** Checks a run of `clusters` data (or reserved zero) clusters at `offset`. */
export function checkPlace(
  layer: Layer,
  table: L2Table,
  index: number,
  hi: number,
  lo: number,
  guest: number,
  offset: number,
  clusters: number,
  zero: boolean,
): void {
  const { header, file } = layer;
  const { clusterSize } = header;
  const bad = (why: string) => badEntry(layer, table, index, hi, lo, why);
  if (zero && header.version < 3) throw bad('zero flag in a version 2 image');
  if (offset % clusterSize !== 0) {
    throw bad(`cluster offset ${hex(offset)} is not a multiple of the cluster size ${clusterSize}`);
  }
  if (header.externalData) {
    if (offset !== guest) {
      throw bad(`external data file offset ${hex(offset)} does not match the guest offset ${hex(guest)}`);
    }
    return;
  }
  const owner = metadataAt(layer, offset, clusters * clusterSize);
  if (owner) throw bad(`cluster offset ${hex(offset)} overlaps the ${owner}`);
  // Reserved clusters need no bytes in the file, and the last data cluster may be cut short: its rest is zeros.
  const lastStart = offset + (clusters - 1) * clusterSize;
  if (!zero && lastStart >= file.size) {
    throw bad(`cluster offset ${hex(lastStart)} lies past the end of the file at ${hex(file.size)}`);
  }
}

/** One compressed cluster: rows [from, to) of the guest cluster at `guest`. */
export function pushCompressedCluster(
  layer: Layer,
  into: ExtentColumns,
  table: L2Table,
  index: number,
  guest: number,
  from: number,
  to: number,
): void {
  const { header, file } = layer;
  const { clusterBits, clusterSize, compressionType } = header;
  const step = header.extendedL2 ? 4 : 2;
  const hi = table.words[step * index];
  const lo = table.words[step * index + 1];
  if (header.externalData) {
    throw badEntry(layer, table, index, hi, lo, 'compressed cluster in an image with an external data file');
  }
  const offset = compressedOffset(hi, lo, clusterBits);
  if (offset >= file.size) {
    throw badEntry(
      layer,
      table,
      index,
      hi,
      lo,
      `compressed cluster at ${hex(offset)} lies past the end of the file at ${hex(file.size)}`,
    );
  }
  const owner = metadataAt(layer, offset, 1);
  if (owner)
    throw badEntry(layer, table, index, hi, lo, `compressed cluster at ${hex(offset)} overlaps the ${owner}`);
  // The last sector a descriptor claims may be missing from the file: the stream ends before it.
  const length = Math.min(compressedLength(hi, lo, clusterBits), file.size - offset);
  into.pushCompressed(
    compressionType === 'zstd' ? Kind.zstd : Kind.deflate,
    from,
    to - from,
    0,
    file,
    offset,
    length,
    from - guest,
    clusterSize,
  );
}

export function badEntry(layer: Layer, table: L2Table, index: number, hi: number, lo: number, why: string) {
  const at = table.offset + index * layer.header.l2EntryBytes;
  return corruptImage(
    layer.file.path,
    `L2 entry ${index} (${entryHex(hi, lo)}) of L1 entry ${table.index}, at offset ${hex(at)}: ${why}`,
    at,
  );
}
