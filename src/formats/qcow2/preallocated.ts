// Were clusters allocated that were never written? (QEMU: qcow2_detect_metadata_preallocation)
import type { HostFile } from '../../disk/hostFile.js';
import { divideUp } from '../../disk/offsets.js';
import type { Qcow2Header } from './header.js';
import { refcountGetter, refcountsPerBlock } from './refcounts.js';

/**
 * True when clearly more clusters are counted as used than the file occupies on the host: a tenth more, and two at
 * least. Then the file's holes say more about the disk than its L2 tables.
 */
export async function detectMetadataPreallocation(file: HostFile, header: Qcow2Header): Promise<boolean> {
  await file.refresh();
  const { clusterSize, refcountOrder } = header;
  const stored = Math.floor(file.allocated / clusterSize);
  const threshold = Math.max(Math.floor((stored * 10) / 9), stored + 2);
  const clusters = divideUp(file.size, clusterSize);
  if (clusters < threshold) return false;
  const perBlock = refcountsPerBlock(clusterSize, refcountOrder);
  const refcount = refcountGetter(refcountOrder);
  const tableBytes = Math.min(header.refcountTableClusters * clusterSize, divideUp(clusters, perBlock) * 8);
  if (header.refcountTableOffset + tableBytes > file.size) return false;
  const table = await file.readExact(header.refcountTableOffset, tableBytes, 'Refcount table');
  let used = 0;
  for (let entry = 0; entry * 8 < table.length && used < threshold; entry++) {
    const offset = Number(table.readBigUInt64BE(entry * 8) & ~511n);
    if (offset === 0) continue;
    // An unreadable block means the answer can't be told; what is wrong with the image is for `check` to say.
    if (offset % clusterSize !== 0 || offset + clusterSize > file.size) return false;
    const block = await file.readExact(offset, clusterSize, 'Refcount block');
    const last = Math.min(perBlock, clusters - entry * perBlock);
    for (let i = 0; i < last && used < threshold; i++) if (refcount(block, i) !== 0) used++;
  }
  return used >= threshold;
}
