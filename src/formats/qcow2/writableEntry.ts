import { COPIED_HI, entryOffset, L2_RESERVED_HI, L2_RESERVED_LO, ZERO_LO } from './l2Entry.js';
import type { Layer } from './layer.js';
import { badEntry, checkPlace } from './map.js';

/**
 * Host offset of an entry without the compressed flag, undefined when it has none; checked, because it is about to be
 * written to or freed.
 * @throws CORRUPT_IMAGE naming the entry.
 */
export function checkStandardEntry(
  layer: Layer,
  slot: { words: Uint32Array; at: number; guest: number },
): number | undefined {
  const { header, l1 } = layer;
  const { words, at, guest } = slot;
  const hi = words[at];
  const lo = words[at + 1];
  const l1Index = Math.floor(guest / header.l2Coverage);
  const table = { words, index: l1Index, offset: l1.l2Offset(l1Index) };
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
