// Extended L2 entries: 16 bytes, 32 subclusters each (specification, "Extended L2 Entries").
import { type ExtentColumns, Kind } from '../../disk/extents.js';
import { SUBCLUSTERS } from './constants.js';
import {
  COMPRESSED_HI,
  COPIED_HI,
  entryOffset,
  L2_RESERVED_HI,
  L2_RESERVED_LO,
  SubclusterType,
  subclusterType,
} from './l2Entry.js';
import type { Layer } from './layer.js';
import { badEntry, checkPlace, type L2Table, pushCompressedCluster } from './map.js';

const ALL = 0xffffffff;

/** As mapStandardTable, for a table of extended entries. */
export function mapExtendedTable(
  layer: Layer,
  into: ExtentColumns,
  table: L2Table,
  start: number,
  end: number,
): number {
  const { header } = layer;
  const { clusterSize, l2Coverage, externalData } = header;
  const { words } = table;
  const base = table.index * l2Coverage;
  const stop = Math.ceil((end - base) / clusterSize);
  let at = start;
  for (let i = Math.floor((start - base) / clusterSize); i < stop; i++) {
    if (into.full) return at;
    const hi = words[4 * i];
    const lo = words[4 * i + 1];
    const zeros = words[4 * i + 2];
    const allocated = words[4 * i + 3];
    const guest = base + i * clusterSize;
    const to = Math.min(end, guest + clusterSize);
    if (hi & COMPRESSED_HI) {
      pushCompressedCluster(layer, into, table, i, guest, at, to);
      at = to;
      continue;
    }
    if ((hi & L2_RESERVED_HI) !== 0 || (lo & L2_RESERVED_LO) !== 0) {
      throw badEntry(layer, table, i, hi, lo, 'reserved bits are set');
    }
    const offset = entryOffset(hi, lo);
    const placed = offset !== 0 || (externalData && (hi & COPIED_HI) !== 0);
    if (placed) checkPlace(layer, table, i, hi, lo, guest, offset, 1, allocated === 0);
    if ((allocated & zeros) !== 0 || (allocated !== 0 && !placed)) {
      throw badEntry(
        layer,
        table,
        i,
        hi,
        lo,
        `its subcluster bitmap (allocated 0x${allocated.toString(16)}, zero 0x${zeros.toString(16)}) contradicts itself`,
      );
    }
    at = pushSubclusters(layer, into, { guest, offset, placed, allocated, zeros }, at, to);
  }
  return at;
}

interface ExtendedEntry {
  guest: number;
  offset: number;
  placed: boolean;
  allocated: number;
  zeros: number;
}

function pushSubclusters(
  layer: Layer,
  into: ExtentColumns,
  entry: ExtendedEntry,
  start: number,
  end: number,
): number {
  const { guest, placed, allocated, zeros } = entry;
  const size = layer.header.clusterSize / SUBCLUSTERS;
  const uniform = (allocated === 0 && (zeros === 0 || zeros === ALL)) || (allocated === ALL && zeros === 0);
  let at = start;
  while (at < end) {
    const index = Math.floor((at - guest) / size);
    const type = subclusterType(placed, allocated, zeros, index);
    let next = uniform ? SUBCLUSTERS : index + 1;
    while (next < SUBCLUSTERS && subclusterType(placed, allocated, zeros, next) === type) next++;
    const to = Math.min(end, guest + next * size);
    const offset = entry.offset + (at - guest);
    switch (type) {
      case SubclusterType.data:
        into.pushPlaced(Kind.data, at, to - at, 0, layer.guest, offset);
        break;
      case SubclusterType.zeroPlaced:
        into.pushPlaced(Kind.zero, at, to - at, 0, layer.guest, offset);
        break;
      case SubclusterType.zero:
        into.pushEmpty(Kind.zero, at, to - at, 0);
        break;
      case SubclusterType.unallocatedPlaced:
        into.pushPlaced(Kind.unallocated, at, to - at, 0, layer.guest, offset);
        break;
      default:
        into.pushEmpty(Kind.unallocated, at, to - at, 0);
    }
    at = to;
  }
  return at;
}
