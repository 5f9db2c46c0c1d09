import type { Disk } from '../../disk/disk.js';
import { divideUp } from '../../disk/offsets.js';
import type { ImageCore } from './imageCore.js';
import { refcountSetter, refcountsPerBlock } from './refcounts.js';
import { WritableQcow2Disk } from './writable.js';

const ENTRY_BYTES = 8;

/**
 * Nothing is allocated in this layer any more; the file shrinks to its tables. Old tables or new ones, never a mixture:
 * new ones go behind everything that is in use, one write of the header switches to them, and the same once more from
 * there to the front. Its cost does not depend on what the image held.
 *
 * Images whose snapshots, bitmaps or data file must stay give up cluster by cluster instead (QEMU: qcow2_make_empty).
 * @throws UNSUPPORTED_FEATURE, LIMIT_EXCEEDED, IO.
 */
export async function makeEmptyQcow2(disk: Disk): Promise<void> {
  if (!(disk instanceof WritableQcow2Disk)) throw new RangeError(`'${disk.path}' was not opened for writing`);
  const { header, file } = disk;
  if (header.snapshotCount > 0 || header.bitmaps || header.externalData || file.isBlockDevice) {
    await disk.unmap(0, disk.virtualSize);
    await disk.flush();
    return;
  }
  await disk.exclusive(async (core) => {
    await core.publish(true);
    const end = await core.allocator.end();
    const behind = Math.max(end, divideUp(file.size, header.clusterSize));
    await switchToEmpty(core, behind);
    const used = await switchToEmpty(core, 1);
    await file.truncate(used * header.clusterSize);
    await core.reload();
  });
}

/** Tables of an empty image at host cluster `first`, and the header that names them. Returns the cluster behind them. */
async function switchToEmpty(core: ImageCore, first: number): Promise<number> {
  const { file, header } = core;
  const { clusterSize, refcountOrder } = header;
  const perBlock = refcountsPerBlock(clusterSize, refcountOrder);
  const l1Entries = divideUp(header.virtualSize, header.l2Coverage);
  const l1 = Math.max(1, divideUp(l1Entries * ENTRY_BYTES, clusterSize));
  let blocks: number[] = [];
  let table = 1;
  for (;;) {
    const last = Math.floor((first + blocks.length + table + l1 - 1) / perBlock);
    const needed = [0];
    for (let i = Math.max(1, Math.floor(first / perBlock)); i <= last; i++) needed.push(i);
    const entries = divideUp((last + 1) * ENTRY_BYTES, clusterSize);
    const settled = needed.length === blocks.length && entries === table;
    [blocks, table] = [needed, entries];
    if (settled) break;
  }
  const clusters = blocks.length + table + l1;
  const end = first + clusters;
  const bytes = Buffer.alloc((blocks.length + table) * clusterSize);
  const set = refcountSetter(refcountOrder);
  for (const [i, index] of blocks.entries()) {
    const block = bytes.subarray(i * clusterSize, (i + 1) * clusterSize);
    for (let cluster = index * perBlock; cluster < (index + 1) * perBlock && cluster < end; cluster++) {
      if (cluster === 0 || cluster >= first) set(block, cluster % perBlock, 1);
    }
    const place = BigInt((first + i) * clusterSize);
    bytes.writeBigUInt64BE(place, blocks.length * clusterSize + index * ENTRY_BYTES);
  }
  const l1Offset = (first + blocks.length + table) * clusterSize;
  if (file.size < end * clusterSize) await file.truncate(end * clusterSize);
  await file.write(bytes, first * clusterSize);
  await file.zero(l1Offset, l1 * clusterSize);
  await file.sync();
  await core.updateHeader({
    l1Entries,
    l1Offset,
    refcountTableOffset: (first + blocks.length) * clusterSize,
    refcountTableClusters: table,
  });
  return end;
}
