// Where everything goes in a new image: header, refcount table, refcount blocks, L1 table, then (preallocated
// images) all L2 tables and all data clusters, each kind contiguous. Up to one refcount block and without
// preallocation this is QEMU's own layout, byte for byte.
import { DiskImageError } from '../../disk/errors.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import type { Qcow2Options } from './options.js';
import { refcountsPerBlock } from './refcounts.js';

const ENTRY_BYTES = 8;
/** QEMU: QCOW_MAX_L1_SIZE. */
export const MAX_L1_BYTES = 32 * 2 ** 20;
/** QEMU: QCOW_MAX_REFTABLE_SIZE. */
export const MAX_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20;
const SECTOR = 512;

/** Sizes that follow from the options and the virtual size. */
export interface Geometry {
  readonly clusterSize: number;
  readonly refcountOrder: number;
  /** Bytes, rounded up to 512 as QEMU does. */
  readonly virtualSize: number;
  /** Guest clusters, the last one perhaps partial. */
  readonly guestClusters: number;
  /** Bytes of one L2 entry: 8, or 16 with extended entries. */
  readonly l2EntryBytes: number;
  readonly l2Entries: number;
  /** Guest bytes that one L2 table maps. */
  readonly l2Coverage: number;
  readonly l1Entries: number;
  readonly refcountsPerBlock: number;
  /** Host bytes that one refcount block counts. */
  readonly refcountCoverage: number;
}

/** @throws LIMIT_EXCEEDED when the L1 table would exceed 32 MiB. */
export function geometry(
  options: Pick<Qcow2Options, 'clusterSize' | 'refcountOrder' | 'extendedL2'>,
  size: number,
  path: string,
): Geometry {
  const { clusterSize, refcountOrder } = options;
  const l2EntryBytes = options.extendedL2 ? 16 : 8;
  const l2Entries = clusterSize / l2EntryBytes;
  const l2Coverage = l2Entries * clusterSize;
  const virtualSize = alignUp(size, SECTOR);
  const l1Entries = divideUp(virtualSize, l2Coverage);
  if (!Number.isSafeInteger(virtualSize) || l1Entries * ENTRY_BYTES > MAX_L1_BYTES) throw tooLarge(path);
  const perBlock = refcountsPerBlock(clusterSize, refcountOrder);
  return {
    clusterSize,
    refcountOrder,
    virtualSize,
    guestClusters: divideUp(virtualSize, clusterSize),
    l2EntryBytes,
    l2Entries,
    l2Coverage,
    l1Entries,
    refcountsPerBlock: perBlock,
    refcountCoverage: perBlock * clusterSize,
  };
}

/** QEMU's words for sizes its tables cannot hold. */
export function tooLarge(path: string): DiskImageError {
  return new DiskImageError(
    'LIMIT_EXCEEDED',
    "The image size is too large for file format 'qcow2' (try using a larger cluster size)",
    { path, operation: 'create' },
  );
}

/** Host offsets in bytes, counts in clusters. */
export interface Layout {
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly refcountBlockOffset: number;
  readonly refcountBlocks: number;
  /** 0 when the disk is empty and has no L1 table. */
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly l2Offset: number;
  readonly l2Tables: number;
  readonly dataOffset: number;
  readonly dataClusters: number;
  /** Clusters in all; every one has refcount 1. */
  readonly clusters: number;
  /** Bytes. */
  readonly fileLength: number;
}

/** @throws LIMIT_EXCEEDED when the refcount table would exceed 8 MiB. */
export function planLayout(shape: Geometry, allocate: { l2: boolean; data: boolean }, path: string): Layout {
  const { clusterSize } = shape;
  const l1Bytes = shape.l1Entries * ENTRY_BYTES;
  const l1Clusters = divideUp(l1Bytes, clusterSize);
  const l2Tables = allocate.l2 ? shape.l1Entries : 0;
  const dataClusters = allocate.data ? shape.guestClusters : 0;
  const counted = 1 + l1Clusters + l2Tables + dataClusters;

  const { tableClusters, blocks } = refcountStructure(shape, counted);
  if (tableClusters * clusterSize > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterSize)) throw tooLarge(path);
  const clusters = counted + tableClusters + blocks;
  const refcountBlockOffset = (1 + tableClusters) * clusterSize;
  const l1Offset = refcountBlockOffset + blocks * clusterSize;
  const l2Offset = l1Offset + l1Clusters * clusterSize;
  const dataOffset = l2Offset + l2Tables * clusterSize;
  if (!Number.isSafeInteger(clusters * clusterSize)) throw tooLarge(path);
  return {
    refcountTableOffset: clusterSize,
    refcountTableClusters: tableClusters,
    refcountBlockOffset,
    refcountBlocks: blocks,
    l1Offset: l1Clusters === 0 ? 0 : l1Offset,
    l1Entries: shape.l1Entries,
    l2Offset,
    l2Tables,
    dataOffset,
    dataClusters,
    clusters,
    fileLength: l2Tables > 0 ? clusters * clusterSize : l1Offset + l1Bytes,
  };
}

/** Smallest table and blocks that count `counted` clusters and themselves. */
function refcountStructure(shape: Geometry, counted: number): { tableClusters: number; blocks: number } {
  let tableClusters = 1;
  let blocks = 1;
  for (;;) {
    const nextBlocks = divideUp(counted + tableClusters + blocks, shape.refcountsPerBlock);
    const nextTable = Math.max(1, divideUp(nextBlocks * ENTRY_BYTES, shape.clusterSize));
    if (nextBlocks === blocks && nextTable === tableClusters) return { tableClusters, blocks };
    blocks = nextBlocks;
    tableClusters = nextTable;
  }
}
