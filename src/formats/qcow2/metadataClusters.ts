import type { Qcow2Header } from './header.js';
import type { L1Table } from './l1.js';

/**
 * Host clusters that hold the header, the active L1 table and its L2 tables, by cluster number: what must never be
 * handed out, however it is counted. 8 bytes per L2 table.
 */
export class MetadataClusters {
  readonly #l1First: number;
  readonly #l1End: number;
  readonly #tables: Float64Array;

  constructor(header: Qcow2Header, l1: L1Table) {
    const { clusterSize, l1Offset, l1Entries } = header;
    this.#l1First = l1Offset / clusterSize;
    this.#l1End = this.#l1First + Math.ceil((l1Entries * 8) / clusterSize);
    let used = 0;
    for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) used++;
    this.#tables = new Float64Array(used);
    let at = 0;
    for (let i = l1.nextUsed(0, l1.entries); i < l1.entries; i = l1.nextUsed(i + 1, l1.entries)) {
      this.#tables[at++] = l1.l2Offset(i) / clusterSize;
    }
    this.#tables.sort();
  }

  has(cluster: number): boolean {
    return (
      cluster === 0 ||
      (cluster >= this.#l1First && cluster < this.#l1End) ||
      includesSorted(this.#tables, cluster)
    );
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
