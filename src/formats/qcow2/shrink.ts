// What a smaller disk does not need any more: L2 tables, refcount blocks, the end of the file.
import type { ImageCore } from './imageCore.js';

const ENTRY_BYTES = 8;

/** Frees the empty L2 tables from L1 entry `first` on, and publishes that. */
export async function cutTables(core: ImageCore, first: number): Promise<void> {
  const { l1, l2, tables, header } = core;
  for (let i = l1.nextUsed(first, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) {
    const offset = l1.l2Offset(i);
    // Behind the disk's end there may be the state of a virtual machine.
    if (offset === 0 || (await l2.get(offset)).some((word) => word !== 0)) continue;
    tables.setL1(i, 0);
    core.allocator.free(offset, header.clusterSize);
    l2.invalidate(offset);
    if (core.publishDue) await core.publish(true);
  }
  await core.publish(true);
}

/** Gives up refcount blocks that count nothing but themselves, and cuts the file behind the last cluster in use. */
export async function trimFile(core: ImageCore): Promise<void> {
  const { file, header } = core;
  if (file.isBlockDevice) return;
  await core.publish(true);
  const { counts } = core.allocator;
  const elsewhere: number[] = [];
  for (let index = counts.lastBlock; index > 0; index--) {
    if (!counts.hasBlock(index)) continue;
    const own = counts.blockCluster(index);
    const block = await counts.block(index);
    const first = index * counts.perBlock;
    let used = false;
    for (let at = first; at < first + counts.perBlock && !used; at++) {
      used = at !== own && counts.countIn(block, at) !== 0;
    }
    if (used) continue;
    await file.write(Buffer.alloc(ENTRY_BYTES), counts.tableOffset + index * ENTRY_BYTES);
    // With its entry goes the count of a block that counts itself.
    if (Math.floor(own / counts.perBlock) !== index) elsewhere.push(own);
  }
  await file.sync();
  await core.reload();
  for (const cluster of elsewhere) core.allocator.free(cluster * header.clusterSize, header.clusterSize);
  await core.publish(true);
  await core.reload();
  const end = (await core.allocator.end()) * header.clusterSize;
  await file.refresh();
  if (end < file.size) {
    await file.truncate(end);
    await core.reload();
  }
}
