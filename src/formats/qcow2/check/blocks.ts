import type { Qcow2Header } from '../header.js';
import type { References } from './references.js';
import type { Report } from './report.js';
import { NOT_LOADED, type StoredRefcounts } from './storedRefcounts.js';

/** Counts the refcount blocks, and judges the table's entries (QEMU: check_refblocks). */
export function countBlocks(
  header: Qcow2Header,
  stored: StoredRefcounts,
  references: References,
  report: Report,
): void {
  const first = references.start === 0;
  for (let i = 0; i < stored.entries; i++) {
    if (stored.table[2 * i] === 0 && stored.table[2 * i + 1] === 0) continue;
    const offset = stored.blockOffset(i);
    if (stored.table[2 * i + 1] & 0x1ff) {
      if (first) report.corruption(`ERROR refcount table entry ${i} has reserved bits set`);
      continue;
    }
    if (offset % header.clusterSize !== 0) {
      if (first)
        report.corruption(`ERROR refcount block ${i} is not cluster aligned; refcount table entry corrupted`);
      continue;
    }
    const cluster = offset / header.clusterSize;
    if (cluster >= references.clusters) {
      if (first) report.corruption(`ERROR refcount block ${i} is outside image`);
      continue;
    }
    references.add(offset, header.clusterSize);
    if (references.holds(cluster) && references.count(cluster) !== 1) {
      report.corruption(`ERROR refcount block ${i} refcount=${references.count(cluster)}`);
    }
  }
}

/** Stored against counted refcounts of the window; returns the highest cluster in use, or `highest`. */
export async function compareRefcounts(
  stored: StoredRefcounts,
  references: References,
  report: Report,
  highest: number,
  step: () => void,
): Promise<number> {
  let top = highest;
  for (let cluster = references.start; cluster < references.end; cluster++) {
    let refcount = stored.peek(cluster);
    if (refcount === NOT_LOADED) {
      step();
      refcount = await stored.read(cluster);
    }
    if (refcount < 0) {
      report.signal(stored.describe(cluster));
      report.checkError(`Can't get refcount for cluster ${cluster}: Input/output error`);
      continue;
    }
    const found = references.count(cluster);
    if (refcount > 0 || found > 0) top = cluster;
    if (refcount === found) continue;
    const numbers = `cluster ${cluster} refcount=${refcount} reference=${found}`;
    if (refcount < found) report.corruption(`ERROR ${numbers}`);
    else report.leak(`Leaked ${numbers}`);
  }
  return top;
}
