// One L2 entry of an image that is written in place.
import { SUBCLUSTERS } from './constants.js';
import type { Qcow2Header } from './header.js';
import { COMPRESSED_HI, COPIED_HI, entryOffset, L2_RESERVED_HI, L2_RESERVED_LO, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import { badEntry, checkPlace, type L2Table } from './map.js';

/** All bits of one half of a subcluster bitmap. */
export const ALL_SUBCLUSTERS = 0xffffffff;

/** The entry of one guest cluster, in its table. */
export interface Slot {
  table: L2Table;
  /** Index of its first word. */
  at: number;
  /** Guest offset of the cluster, bytes. */
  guest: number;
}

/** The entry of the cluster at `guest` in its table. */
export function slotAt(header: Qcow2Header, table: L2Table, guest: number): Slot {
  const { l2Coverage, clusterSize, l2EntryBytes } = header;
  return { table, guest, at: ((guest % l2Coverage) / clusterSize) * (l2EntryBytes / 4) };
}

export function isCompressed({ table, at }: Slot): boolean {
  return (table.words[at] & COMPRESSED_HI) !== 0;
}

/** Its host cluster belongs to this entry alone (COPIED, not compressed): it may be overwritten where it is. */
export function ownsCluster({ table, at }: Slot): boolean {
  const hi = table.words[at];
  return (hi & COMPRESSED_HI) === 0 && (hi & COPIED_HI) !== 0;
}

/** Bits of the subclusters that guest bytes [from, to) of the cluster touch. */
export function subclusterBits(header: Qcow2Header, { guest }: Slot, from: number, to: number): number {
  const unit = header.clusterSize / SUBCLUSTERS;
  const first = Math.floor((from - guest) / unit);
  const last = Math.ceil((to - guest) / unit);
  return last - first >= SUBCLUSTERS ? ALL_SUBCLUSTERS : (((2 ** (last - first) - 1) * 2 ** first) | 0) >>> 0;
}

/**
 * Host offset of an entry without the compressed flag, undefined when it has none; checked, because it is about to be
 * written to or freed.
 * @throws CORRUPT_IMAGE naming the entry.
 */
export function checkStandardEntry(layer: Layer, slot: Slot): number | undefined {
  const { header } = layer;
  const { table, at, guest } = slot;
  const hi = table.words[at];
  const lo = table.words[at + 1];
  if (hi === 0 && (lo & ~ZERO_LO) === 0 && !header.extendedL2) return undefined;
  const index = at / (header.l2EntryBytes / 4);
  const reserved = header.extendedL2 ? L2_RESERVED_LO | ZERO_LO : L2_RESERVED_LO;
  if ((hi & L2_RESERVED_HI) !== 0 || (lo & reserved) !== 0) {
    throw badEntry(layer, table, index, hi, lo, 'reserved bits are set');
  }
  const offset = entryOffset(hi, lo);
  if (offset === 0 && !(header.externalData && (hi & COPIED_HI) !== 0)) return undefined;
  // Its bytes may lie past the end of the file still: reserved clusters need none (version 2 has no such clusters).
  checkPlace(layer, table, index, hi, lo, guest, offset, 1, header.version >= 3);
  return offset;
}
