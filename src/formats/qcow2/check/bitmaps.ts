import { DiskImageError } from '../../../disk/errors.js';
import { readBitmaps } from '../bitmaps.js';
import type { Qcow2Disk } from '../disk.js';
import { entryOffset, tableWords } from '../l2Entry.js';
import type { References } from './references.js';
import type { Report } from './report.js';

const CHUNK_BYTES = 65536;

/** False when they cannot be read: references are missing then. Counts directory, tables and data clusters of persistent bitmaps (QEMU: qcow2_check_bitmaps_refcounts). */
export async function countBitmaps(
  disk: Pick<Qcow2Disk, 'file' | 'header' | 'limits'>,
  references: References,
  report: Report | undefined,
  step: () => void,
): Promise<boolean> {
  const { header, file } = disk;
  if (!header.bitmapsValid || !header.bitmaps) return true;
  references.add(header.bitmaps.directoryOffset, header.bitmaps.directorySize);
  let bitmaps: Awaited<ReturnType<typeof readBitmaps>>;
  try {
    bitmaps = await readBitmaps(file, header, disk.limits);
  } catch (error) {
    if (!(error instanceof DiskImageError) || error.code === 'IO') throw error;
    report?.corruption(`ERROR ${error.message}`);
    return false;
  }
  for (const bitmap of bitmaps) {
    const bytes = bitmap.tableEntries * 8;
    references.add(bitmap.tableOffset, bytes);
    // What lies past the end of the file has been reported as such, and reads as "no cluster".
    const end = Math.min(bitmap.tableOffset + bytes, file.size);
    for (let at = bitmap.tableOffset; at < end; at += CHUNK_BYTES) {
      step();
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - at) & ~7);
      await file.read(chunk, at);
      countTable(header.clusterSize, tableWords(chunk), references, report);
    }
  }
  return true;
}

/** Entries: bits 9 to 55 offset; with offset 0, bit 0 = all ones. Bits 1 to 8 and 56 to 63 are reserved. */
function countTable(
  clusterSize: number,
  words: Uint32Array,
  references: References,
  report: Report | undefined,
): void {
  for (let i = 0; i < words.length; i += 2) {
    const hi = words[i];
    const lo = words[i + 1];
    const offset = entryOffset(hi, lo);
    if (
      (hi & 0xff000000) !== 0 ||
      (lo & 0x1fe) !== 0 ||
      offset % clusterSize !== 0 ||
      (offset !== 0 && lo & 1)
    ) {
      report?.corruption();
      continue;
    }
    if (offset !== 0) references.add(offset, clusterSize);
  }
}
