import type { HostFile } from '../../../disk/hostFile.js';
import type { References } from './references.js';
import type { Report } from './report.js';
import type { StoredRefcounts } from './storedRefcounts.js';

/** QEMU refuses files of more clusters (INT_MAX). */
export const MAX_CLUSTERS = 2 ** 31 - 1;

/**
 * Counts the refcount blocks, and judges the table's entries (QEMU: check_refblocks). With `grow` the file is made to
 * reach blocks that lie past its end. Returns whether the refcount structure must be built anew.
 */
export async function countBlocks(
  stored: StoredRefcounts,
  references: References,
  report: Report,
  grow?: HostFile,
): Promise<boolean> {
  const first = references.start === 0;
  const { clusterSize } = references;
  let rebuild = false;
  for (let i = 0; i < stored.entries; i++) {
    if (stored.table[2 * i] === 0 && stored.table[2 * i + 1] === 0) continue;
    const offset = stored.blockOffset(i);
    if (stored.table[2 * i + 1] & 0x1ff) {
      if (first) report.corruption(`ERROR refcount table entry ${i} has reserved bits set`);
      rebuild = true;
      continue;
    }
    if (offset % clusterSize !== 0) {
      if (first)
        report.corruption(`ERROR refcount block ${i} is not cluster aligned; refcount table entry corrupted`);
      rebuild = true;
      continue;
    }
    const cluster = offset / clusterSize;
    if (cluster >= references.clusters) {
      if (!grow) {
        if (first) report.corruption(`ERROR refcount block ${i} is outside image`);
        continue;
      }
      report.say(`Repairing refcount block ${i} is outside image`);
      const reason = await grown(grow, offset + clusterSize, clusterSize);
      if (reason !== undefined) {
        report.corruption(`ERROR could not resize image: ${reason}`);
        rebuild = true;
        continue;
      }
      references.grow(grow.size);
      report.corruptionsFixed++;
      references.add(offset, clusterSize);
      continue;
    }
    references.add(offset, clusterSize);
    if (references.holds(cluster) && references.count(cluster) !== 1) {
      report.corruption(`ERROR refcount block ${i} refcount=${references.count(cluster)}`);
      rebuild = true;
    }
  }
  return rebuild;
}

/** Lets the file reach `size` bytes; says why it cannot. */
async function grown(file: HostFile, size: number, clusterSize: number): Promise<string | undefined> {
  if (file.isBlockDevice || size / clusterSize > MAX_CLUSTERS) return 'Invalid argument';
  try {
    await file.truncate(size);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
