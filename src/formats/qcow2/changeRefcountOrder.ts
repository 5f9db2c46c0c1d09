import { DiskImageError } from '../../disk/errors.js';
import { divideUp } from '../../disk/offsets.js';
import { PieceWriter } from '../pieceWriter.js';
import { hex } from './corrupt.js';
import type { ImageCore } from './imageCore.js';
import type { RefcountStore } from './refcountStore.js';
import { maxRefcount, refcountSetter, refcountsPerBlock } from './refcounts.js';

const ENTRY_BYTES = 8;

/**
 * Counts of another width (`order`: log2 of its bits) in new blocks with a new table; one write of the header switches to
 * them. Begins with everything published; the core is to be reloaded afterwards.
 * @throws INVALID_ARGUMENT with QEMU's sentence for a count that does not fit; LIMIT_EXCEEDED, IO. The image is as it was
 * then.
 */
export async function changeRefcountOrder(core: ImageCore, order: number): Promise<void> {
  const { allocator, file, limits } = core;
  const { counts } = allocator;
  const { clusterSize } = core.header;
  const perBlock = refcountsPerBlock(clusterSize, order);
  const used = await usedBlocks(core, order, perBlock);

  // Blocks for themselves and the table, generously: places that are not needed stay free.
  const end = await allocator.end();
  let table = 1;
  let blocks = used.size + 2;
  for (let i = 0; i < 3; i++) {
    blocks = used.size + divideUp(blocks + table, perBlock) + 2;
    table = divideUp(
      (Math.floor((end + 2 * (blocks + table) + 64) / perBlock) + 1) * ENTRY_BYTES,
      clusterSize,
    );
  }
  if (table * clusterSize > Math.max(limits.refcountTableBytes, clusterSize)) {
    throw new DiskImageError('LIMIT_EXCEEDED', `A refcount table of ${table} clusters exceeds the limit`, {
      path: file.path,
      operation: 'amend',
    });
  }
  const run = await allocator.allocateContiguous(blocks + table);
  const first = run.offset / clusterSize;
  const covers = (from: number, clusters: number) => {
    for (let i = Math.floor(from / perBlock); i <= Math.floor((from + clusters - 1) / perBlock); i++)
      used.add(i);
  };
  covers(first, blocks + table);
  const indexes = [...used].sort((a, b) => a - b);
  if (indexes.length > blocks) throw new RangeError(`${indexes.length} blocks for ${blocks} places`);

  const gone = new Set<number>(counts.blockClusters());
  for (const cluster of allocator.takeFrees().keys()) gone.add(cluster);
  for (let i = 0; i < counts.tableClusters; i++) gone.add(counts.tableOffset / clusterSize + i);
  for (let i = indexes.length; i < blocks; i++) gone.add(first + i);

  const writer = new PieceWriter(file);
  const entries = Buffer.alloc(table * clusterSize);
  for (const [i, index] of indexes.entries()) {
    const offset = (first + i) * clusterSize;
    entries.writeBigUInt64BE(BigInt(offset), index * ENTRY_BYTES);
    await writer.write(offset, await blockOf(counts, index, perBlock, order, gone));
  }
  await writer.flush();
  const tableOffset = (first + blocks) * clusterSize;
  await file.write(entries, tableOffset);
  await file.sync();
  await core.updateHeader({
    refcountTableOffset: tableOffset,
    refcountTableClusters: table,
    refcountOrder: order,
  });
  if (file.isBlockDevice) return;
  for (const cluster of gone) await file.zero(cluster * clusterSize, clusterSize);
}

/** Indexes of the new blocks that count anything; every count fits the new width. */
async function usedBlocks({ file, allocator: { counts } }: ImageCore, order: number, perBlock: number) {
  const used = new Set<number>();
  const most = maxRefcount(order);
  for (let index = 0; index <= counts.lastBlock; index++) {
    if (!counts.hasBlock(index)) continue;
    const block = await counts.block(index);
    for (let i = 0; i < counts.perBlock; i++) {
      const cluster = index * counts.perBlock + i;
      const count = counts.countIn(block, cluster);
      if (count === 0) continue;
      used.add(Math.floor(cluster / perBlock));
      if (count <= most) continue;
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `Cannot decrease refcount entry width to ${1 << order} bits: Cluster at offset ` +
          `${hex(cluster * counts.clusterSize)} has a refcount of ${count}`,
        { path: file.path, offset: cluster * counts.clusterSize, operation: 'amend' },
      );
    }
  }
  return used;
}

async function blockOf(
  counts: RefcountStore,
  index: number,
  perBlock: number,
  order: number,
  gone: ReadonlySet<number>,
): Promise<Buffer> {
  const bytes = Buffer.alloc(counts.clusterSize);
  const set = refcountSetter(order);
  let held = -1;
  let block: Uint8Array | undefined;
  for (let i = 0; i < perBlock; i++) {
    const cluster = index * perBlock + i;
    const stored = Math.floor(cluster / counts.perBlock);
    if (stored !== held) {
      held = stored;
      block = counts.hasBlock(stored) ? await counts.block(stored) : undefined;
    }
    if (!block) continue;
    const count = counts.countIn(block, cluster);
    if (count !== 0 && !gone.has(cluster)) set(bytes, i, count);
  }
  return bytes;
}
