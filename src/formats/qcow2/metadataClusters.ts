import type { Qcow2Header } from './header.js';
import type { L1Table } from './l1.js';

/**
 * Host clusters that held metadata when the image was opened, by cluster number: what must never be handed out while
 * it is in use, however it is counted. 8 bytes per table.
 */
export class MetadataClusters {
  readonly #sorted: Float64Array;
  /** Given up since. */
  readonly #released = new Set<number>();

  /** @param blocks refcount blocks, by cluster number */
  constructor(header: Qcow2Header, l1: L1Table, blocks: Float64Array) {
    const { clusterSize, l1Offset, l1Entries, refcountTableOffset, refcountTableClusters } = header;
    const l1Clusters = Math.ceil((l1Entries * 8) / clusterSize);
    let tables = 0;
    for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) tables++;
    const all = new Float64Array(1 + l1Clusters + refcountTableClusters + blocks.length + tables);
    let at = 1; // the header's cluster, 0
    for (let i = 0; i < l1Clusters; i++) all[at++] = l1Offset / clusterSize + i;
    for (let i = 0; i < refcountTableClusters; i++) all[at++] = refcountTableOffset / clusterSize + i;
    all.set(blocks, at);
    at += blocks.length;
    for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) {
      all[at++] = l1.l2Offset(i) / clusterSize;
    }
    this.#sorted = all.sort();
  }

  has(cluster: number): boolean {
    return includesSorted(this.#sorted, cluster) && !this.#released.has(cluster);
  }

  /** The cluster's last reference is gone: what it held does not count any more. */
  release(cluster: number): void {
    if (includesSorted(this.#sorted, cluster)) this.#released.add(cluster);
  }
}

/** Binary search; `sorted` ascends. */
export function includesSorted(sorted: Float64Array, value: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === value;
}
