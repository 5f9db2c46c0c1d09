// A refcount structure from nothing but the references that were counted (QEMU: rebuild_refcount_structure).
import type { HostFile } from '../../../disk/hostFile.js';
import { alignUp } from '../../../disk/offsets.js';
import type { Qcow2Header } from '../header.js';
import { writeHeaderFields } from '../headerUpdate.js';
import { maxRefcount, refcountSetter, refcountsPerBlock } from '../refcounts.js';
import type { References } from './references.js';

const ENTRY_BYTES = 8;

/** Calls `visit` with the references of each window of the file, in order. */
export type EachWindow = (visit: (references: References) => Promise<void>) => Promise<void>;

export interface NewTable {
  refcountTableOffset: number;
  refcountTableClusters: number;
}

/**
 * Writes blocks and table to clusters that nothing refers to, and lets the header name them: until then the image is what
 * it was. In the first gaps where one window holds the whole file, else behind its end.
 */
export async function rebuildRefcounts(
  file: HostFile,
  header: Qcow2Header,
  eachWindow: EachWindow,
): Promise<NewTable> {
  const { clusterSize, refcountOrder } = header;
  const layout = new Layout(refcountsPerBlock(clusterSize, refcountOrder), clusterSize);
  let windows = 0;
  let only: References | undefined;
  await eachWindow(async (references) => {
    only = windows++ === 0 ? references : undefined;
    layout.note(references);
  });
  const table = layout.settle(only);
  const write = (references: References | undefined, index: number) =>
    writeBlock(file, header, layout, references, index);
  const left = new Set(layout.blocks.keys());
  const visit = async (references: References) => {
    const { perBlock } = layout;
    for (let i = Math.floor(references.start / perBlock); i * perBlock < references.end; i++) {
      if (left.delete(i)) await write(references, i);
    }
  };
  if (only) await visit(only);
  else await eachWindow(visit);
  for (const index of left) await write(undefined, index);
  const bytes = Buffer.alloc(table.clusters * clusterSize);
  for (const [index, cluster] of layout.blocks) {
    bytes.writeBigUInt64BE(BigInt(cluster * clusterSize), index * ENTRY_BYTES);
  }
  await file.write(bytes, table.first * clusterSize);
  await file.sync();
  const placed = { refcountTableOffset: table.first * clusterSize, refcountTableClusters: table.clusters };
  await writeHeaderFields(file, header.version, placed);
  await file.sync();
  return placed;
}

async function writeBlock(
  file: HostFile,
  header: Qcow2Header,
  layout: Layout,
  references: References | undefined,
  index: number,
): Promise<void> {
  const { perBlock, own } = layout;
  const block = new Uint8Array(header.clusterSize);
  const set = refcountSetter(header.refcountOrder);
  const max = maxRefcount(header.refcountOrder);
  const first = index * perBlock;
  const stop = Math.min(first + perBlock, references?.end ?? first);
  for (let at = first; references && at < stop; at++) {
    const count = references.count(at);
    if (count > 0) set(block, at - first, Math.min(count, max));
  }
  for (const at of own) if (at >= first && at < first + perBlock) set(block, at - first, 1);
  await file.write(block, layout.blocks.get(index)! * header.clusterSize);
}

/** Where blocks and table go. */
class Layout {
  readonly perBlock: number;
  readonly #clusterSize: number;
  /** Host cluster of each block, by index. */
  readonly blocks = new Map<number, number>();
  /** Clusters that blocks and table take. */
  readonly own = new Set<number>();
  readonly #used: number[] = [];
  #clusters = 0;

  constructor(perBlock: number, clusterSize: number) {
    this.perBlock = perBlock;
    this.#clusterSize = clusterSize;
  }

  /** Notes the stretches of the window that need a block. */
  note(references: References): void {
    this.#clusters = references.clusters;
    let at = references.next(true, references.start);
    while (at < references.end) {
      const index = Math.floor(at / this.perBlock);
      this.#used.push(index);
      at = references.next(true, Math.min(references.end, (index + 1) * this.perBlock));
    }
  }

  settle(references: References | undefined): { first: number; clusters: number } {
    const [first, end] = [0, this.#clusters];
    if (references) this.#cover(references, first, end);
    else this.#coverBehind();
    for (;;) {
      const entries = Math.max(...this.blocks.keys()) + 1;
      const clusters = alignUp(entries * ENTRY_BYTES, this.#clusterSize) / this.#clusterSize;
      const at = this.#allocate(references, clusters, references ? 0 : this.#clusters);
      this.#cover(references, at, at + clusters);
      const needed = Math.max(...this.blocks.keys()) + 1;
      if (needed * ENTRY_BYTES <= clusters * this.#clusterSize) return { first: at, clusters };
      // Too small for the blocks of its own clusters: a bigger one elsewhere.
      for (let i = 0; i < clusters; i++) this.own.delete(at + i);
    }
  }

  /** Blocks for all clusters of [from, to) that are in use, and for those that these blocks take. */
  #cover(references: References | undefined, from: number, to: number): void {
    let end = to;
    let free = 0;
    for (let at = from; at < end; at++) {
      if (!this.#taken(references, at)) continue;
      const index = Math.floor(at / this.perBlock);
      if (!this.blocks.has(index)) {
        free = Math.max(free, references ? index * this.perBlock : this.#clusters);
        const place = this.#allocate(references, 1, free);
        free = place + 1;
        this.blocks.set(index, place);
        end = Math.max(end, place + 1);
      }
      at = (index + 1) * this.perBlock - 1;
    }
  }

  #coverBehind(): void {
    for (const index of this.#used) {
      if (this.blocks.has(index)) continue;
      const place = this.#allocate(undefined, 1, this.#clusters);
      this.blocks.set(index, place);
      this.#cover(undefined, place, place + 1);
    }
  }

  /** The first run of free clusters from `from` on. */
  #allocate(references: References | undefined, clusters: number, from: number): number {
    let run = 0;
    for (let at = from; ; at++) {
      run = this.#taken(references, at) ? 0 : run + 1;
      if (run < clusters) continue;
      for (let i = 0; i < clusters; i++) this.own.add(at - i);
      return at - clusters + 1;
    }
  }

  #taken(references: References | undefined, cluster: number): boolean {
    if (this.own.has(cluster)) return true;
    if (!references) return cluster < this.#clusters;
    return cluster < references.end && references.count(cluster) > 0;
  }
}
