// Counts the references that L1 and L2 tables make, and judges their entries (QEMU: check_refcounts_l1/_l2).

import type { HostFile } from '../../../disk/hostFile.js';
import { compressedLength, compressedOffset, compressedOffsetBits } from '../compressedDescriptor.js';
import type { Qcow2Header } from '../header.js';
import type { L1Table } from '../l1.js';
import type { L2Cache } from '../l2Cache.js';
import {
  COMPRESSED_HI,
  COPIED_HI,
  entryOffset,
  L2_RESERVED_HI,
  L2_RESERVED_LO,
  tableBytes,
  ZERO_LO,
} from '../l2Entry.js';
import type { References } from './references.js';
import type { Report } from './report.js';

export interface Walk {
  header: Qcow2Header;
  l2: L2Cache;
  references: References;
  /** Undefined in every pass but the first: entries were judged there. */
  report: Report | undefined;
  /** Entries that can only be emptied are, in the file too (QEMU: fix_l2_entry_by_zero). */
  repair?: HostFile;
  /** Called for each L1 entry handled: progress and cancel. */
  step(bytes: number): void;
}

/** `statistics`: allocated, fragmented and compressed clusters are counted (active L1 table only). */
export async function walkL1(walk: Walk, l1: L1Table, statistics: boolean): Promise<void> {
  const { header, references, report, l2 } = walk;
  const { clusterSize } = header;
  references.add(l1.offset, l1.entries * 8);
  let handled = 0;
  for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) {
    walk.step(8 * (i - handled));
    handled = i;
    if (!l1.isClean(i)) report?.corruption(`ERROR found L1 entry with reserved bits set: ${l1.hex(i)}`);
    const offset = l1.l2Offset(i);
    references.add(offset, clusterSize);
    if (offset % clusterSize !== 0) {
      report?.corruption(
        `ERROR l2_offset=${offset.toString(16)}: Table is not cluster aligned; L1 entry corrupted`,
      );
    }
    const words = await l2.get(offset, ahead(l1, i, l2.maxAhead, clusterSize));
    const emptied = walkL2(walk, words, statistics);
    if (emptied.length > 0) await emptyEntries(walk, offset, words, emptied);
  }
  walk.step(8 * (l1.entries - handled));
}

/** L2 tables from `index` on that lie one after another in the file. */
export function ahead(l1: L1Table, index: number, most: number, clusterSize: number): number {
  const offset = l1.l2Offset(index);
  const end = Math.min(most, l1.entries - index);
  let count = 1;
  while (count < end && l1.l2Offset(index + count) === offset + count * clusterSize) count++;
  return count;
}

/** Returns the places in `words` of entries that are to be emptied. */
function walkL2(walk: Walk, words: Uint32Array, statistics: boolean): number[] {
  const { header, references, report } = walk;
  const emptied: number[] = [];
  const verb = walk.repair ? 'Repairing' : 'ERROR';
  const { clusterSize, clusterBits, extendedL2, externalData } = header;
  const step = extendedL2 ? 4 : 2;
  const counted = statistics ? report : undefined;
  let contiguous = 0;
  for (let at = 0; at < words.length; at += step) {
    const hi = words[at];
    const lo = words[at + 1];
    const zeros = extendedL2 ? words[at + 2] : 0;
    const allocated = extendedL2 ? words[at + 3] : 0;
    if (hi === 0 && lo === 0 && allocated === 0) continue;
    if (hi & COMPRESSED_HI) {
      if (report && !judgeCompressed(report, verb, header, at / step, hi, lo, zeros, allocated)) {
        emptied.push(at);
        continue;
      }
      if (externalData || zeros !== 0 || allocated !== 0) continue;
      references.add(
        compressedOffset(hi, lo, clusterBits),
        compressedLength(hi, lo, clusterBits),
        report && descriptorOffset(hi, lo, clusterBits),
      );
      if (counted) {
        counted.allocatedClusters++;
        counted.compressedClusters++;
        // Compressed clusters share sectors: reading one after another still reads again.
        counted.fragmentedClusters++;
      }
      continue;
    }
    if (report && ((hi & L2_RESERVED_HI) !== 0 || (lo & L2_RESERVED_LO) !== 0)) {
      report.corruption(`ERROR found l2 entry with reserved bits set: ${bits64(hi, lo)}`);
    }
    const offset = entryOffset(hi, lo);
    const zero = !extendedL2 && (lo & ZERO_LO) !== 0;
    if (offset === 0 && (zero || !externalData || !(hi & COPIED_HI))) {
      if (!zero && allocated !== 0) {
        report?.corruption('ERROR: Unallocated cluster has non-zero subcluster allocation map');
      }
      continue;
    }
    if (report && (zeros & allocated) !== 0) {
      report.corruption(
        `ERROR offset=${offset.toString(16)}: Allocated cluster has corrupted subcluster allocation bitmap`,
      );
    }
    if (report && offset % clusterSize !== 0) {
      const hasData = extendedL2 ? allocated !== 0 : !zero;
      report.corruption(
        hasData
          ? `ERROR offset=${offset.toString(16)}: Data cluster is not properly aligned; L2 entry corrupted.`
          : `${verb} offset=${offset.toString(16)}: Preallocated cluster is not properly aligned; L2 entry corrupted.`,
      );
      if (!hasData && walk.repair) {
        emptied.push(at);
        continue;
      }
    }
    if (counted) {
      counted.allocatedClusters++;
      if (contiguous !== 0 && offset !== contiguous) counted.fragmentedClusters++;
      contiguous = offset + clusterSize;
    }
    if (!externalData) references.add(offset, clusterSize);
  }
  return emptied;
}

/** They read as zeros from now on. */
async function emptyEntries(walk: Walk, offset: number, words: Uint32Array, places: number[]): Promise<void> {
  const { header, repair: file, report } = walk;
  if (!file || !report) return;
  for (const at of places) {
    words.fill(0, at, at + header.l2EntryBytes / 4);
    if (header.extendedL2) words[at + 2] = 0xffffffff;
    else words[at + 1] = ZERO_LO;
    await file.write(tableBytes(words.subarray(at, at + header.l2EntryBytes / 4)), offset + at * 4);
  }
  report.repaired(places.length);
}

/** Says what is wrong with a compressed entry; false = it is not counted. */
function judgeCompressed(
  report: Report,
  verb: string,
  header: Qcow2Header,
  index: number,
  hi: number,
  lo: number,
  zeros: number,
  allocated: number,
): boolean {
  let high = hi;
  if (hi & COPIED_HI) {
    report.corruption(
      `ERROR: coffset=0x${descriptorOffset(hi, lo, header.clusterBits)}: copied flag must never be set for compressed clusters`,
    );
    high = (hi & ~COPIED_HI) >>> 0;
  }
  if (header.externalData) {
    report.corruption(`${verb} compressed cluster ${index} with data file, entry=0x${bits64(high, lo)}`);
    return false;
  }
  if (zeros !== 0 || allocated !== 0) {
    report.corruption(
      `${verb} compressed cluster ${index} with non-zero subcluster allocation bitmap, entry=0x${bits64(high, lo)}`,
    );
    return false;
  }
  return true;
}

/** The descriptor's host offset in hexadecimal, exact at any size. */
function descriptorOffset(hi: number, lo: number, clusterBits: number): string {
  const mask = (1n << BigInt(compressedOffsetBits(clusterBits))) - 1n;
  return (((BigInt(hi) << 32n) | BigInt(lo)) & mask).toString(16);
}

export function bits64(hi: number, lo: number): string {
  return ((BigInt(hi) << 32n) | BigInt(lo)).toString(16);
}
