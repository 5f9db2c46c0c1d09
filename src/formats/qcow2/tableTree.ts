// What an L1 table leads to: references counted, COPIED flags set right.
import type { DiskImageError } from '../../disk/errors.js';
import { PieceWriter } from '../pieceWriter.js';
import { compressedLength, compressedOffset } from './compressedDescriptor.js';
import {
  COMPRESSED_HI,
  COPIED_HI,
  entryOffset,
  entryWords,
  L2_RESERVED_HI,
  L2_RESERVED_LO,
} from './l2Entry.js';
import type { Layer } from './layer.js';
import { badEntry, checkedL2Offset, type L2Table, neighbours } from './map.js';
import type { ShadowRefcounts } from './shadowRefcounts.js';

/** Every L2 table of a layer, in guest order. */
export async function* l2Tables(layer: Layer): AsyncGenerator<L2Table> {
  const { l1, l2 } = layer;
  for (let index = l1.nextUsed(0, l1.entries); index < l1.entries; ) {
    const offset = checkedL2Offset(layer, index);
    if (offset !== 0) {
      const words = l2.peek(offset) ?? (await l2.get(offset, neighbours(layer, index, l1.entries, offset)));
      yield { words, index, offset };
    }
    index = l1.nextUsed(index + 1, l1.entries);
  }
}

/** Host offset of the entry at word `at`, 0 = none; not for compressed ones. @throws CORRUPT_IMAGE. */
export function placeOf(layer: Layer, table: L2Table, at: number): number {
  const hi = table.words[at];
  const lo = table.words[at + 1];
  const { clusterSize } = layer.header;
  if ((hi & L2_RESERVED_HI) !== 0 || (lo & L2_RESERVED_LO) !== 0) {
    throw bad(layer, table, at, 'reserved bits are set');
  }
  // The zero flag aside; clusters are far smaller than what the low word holds.
  if ((lo & (clusterSize - 1) & ~1) !== 0) {
    throw bad(layer, table, at, 'its offset is not a multiple of the cluster size');
  }
  return entryOffset(hi, lo);
}

function bad(layer: Layer, table: L2Table, at: number, why: string): DiskImageError {
  const index = at / (layer.header.l2EntryBytes / 4);
  return badEntry(layer, table, index, table.words[at], table.words[at + 1], why);
}

/** `delta` references more for each L2 table and each cluster that it names, once for every L1 table that leads there. */
export async function countTree(layer: Layer, shadow: ShadowRefcounts, delta: number): Promise<void> {
  const { clusterSize, clusterBits, l2EntryBytes } = layer.header;
  const stride = l2EntryBytes / 4;
  for await (const table of l2Tables(layer)) {
    const { words } = table;
    await shadow.add(table.offset, clusterSize, delta);
    // Neighbours in the file are counted together.
    let first = 0;
    let end = 0;
    for (let at = 0; at < words.length; at += stride) {
      const hi = words[at];
      const lo = words[at + 1];
      if (hi === 0 && lo === 0) continue;
      let pending: Promise<void> | undefined;
      if (hi & COMPRESSED_HI) {
        const offset = compressedOffset(hi, lo, clusterBits);
        pending = shadow.add(offset, compressedLength(hi, lo, clusterBits), delta);
      } else {
        const offset = placeOf(layer, table, at);
        if (offset === 0) continue;
        if (offset === end) {
          end += clusterSize;
          continue;
        }
        if (end > first) pending = shadow.add(first, end - first, delta);
        first = offset;
        end = offset + clusterSize;
      }
      if (pending) await pending;
    }
    if (end > first) await shadow.add(first, end - first, delta);
  }
}

/**
 * The words of an L1 table like the layer's, whose COPIED flags say what the counts say. L2 tables whose flags change are
 * copied to new places: the stored ones stay what they are.
 */
export async function settleFlags(layer: Layer, shadow: ShadowRefcounts): Promise<Uint32Array> {
  const { clusterSize, l2EntryBytes } = layer.header;
  const stride = l2EntryBytes / 4;
  const writer = new PieceWriter(layer.file);
  const l1 = Uint32Array.from(layer.l1.words);
  for await (const table of l2Tables(layer)) {
    const { words } = table;
    let own: Uint32Array | undefined;
    for (let at = 0; at < words.length; at += stride) {
      const hi = words[at];
      if ((hi === 0 && words[at + 1] === 0) || hi & COMPRESSED_HI) continue;
      const offset = placeOf(layer, table, at);
      let copied = false;
      if (offset !== 0) {
        const count = shadow.count(offset / clusterSize);
        copied = (typeof count === 'number' ? count : await count) === 1;
      }
      if (copied === ((hi & COPIED_HI) !== 0)) continue;
      own ??= Uint32Array.from(words);
      own[at] = (hi ^ COPIED_HI) >>> 0;
    }
    let { offset } = table;
    if (own) {
      offset = (await shadow.allocate(1)).offset;
      await writer.writeWords(offset, own);
      await shadow.add(table.offset, clusterSize, -1);
    }
    const entry = entryWords(offset, (await shadow.count(offset / clusterSize)) === 1);
    l1.set(entry, 2 * table.index);
  }
  await writer.flush();
  return l1;
}
