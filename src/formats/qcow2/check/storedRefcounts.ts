import type { HostFile } from '../../../disk/hostFile.js';
import type { Qcow2Header } from '../header.js';
import { tableWords } from '../l2Entry.js';
import {
  type RefcountGetter,
  type RefcountSetter,
  refcountGetter,
  refcountSetter,
  refcountsPerBlock,
} from '../refcounts.js';

const CACHE_BYTES = 4 * 2 ** 20;
/** `peek`: the block has to be loaded first. */
export const NOT_LOADED = -1;
/** `peek`: the refcount table entry is unusable. */
export const UNREADABLE = -2;

/** The refcounts stored in an image: table in memory, blocks through a bounded cache. */
export class StoredRefcounts {
  readonly #file: HostFile;
  readonly #clusterSize: number;
  readonly perBlock: number;
  /** Table entries as words (high, low). */
  readonly table: Uint32Array;
  readonly #get: RefcountGetter;
  readonly #set: RefcountSetter;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #capacity: number;
  #lastIndex = -1;
  #lastBlock: Uint8Array | undefined;
  /** The block that was changed and is not written yet. */
  #changed = -1;

  private constructor(file: HostFile, header: Qcow2Header, table: Uint32Array) {
    this.#file = file;
    this.#clusterSize = header.clusterSize;
    this.perBlock = refcountsPerBlock(header.clusterSize, header.refcountOrder);
    this.table = table;
    this.#get = refcountGetter(header.refcountOrder);
    this.#set = refcountSetter(header.refcountOrder);
    this.#capacity = Math.max(1, Math.floor(CACHE_BYTES / header.clusterSize));
  }

  /** Reads the table (at most Limits.refcountTableBytes, checked with the header); what the file lacks is zero. */
  static async open(file: HostFile, header: Qcow2Header): Promise<StoredRefcounts> {
    const bytes = new Uint8Array(header.refcountTableClusters * header.clusterSize);
    if (bytes.length > 0) await file.read(bytes, header.refcountTableOffset);
    return new StoredRefcounts(file, header, tableWords(bytes));
  }

  get entries(): number {
    return this.table.length >>> 1;
  }

  /** Bits 9 to 63 of table entry `index`, bytes; 0 = no block. */
  blockOffset(index: number): number {
    return this.table[2 * index] * 2 ** 32 + ((this.table[2 * index + 1] & 0xfffffe00) >>> 0);
  }

  /** Refcount of a host cluster if its block is in memory (or it needs none), else NOT_LOADED or UNREADABLE. */
  peek(cluster: number): number {
    const index = Math.floor(cluster / this.perBlock);
    if (index === this.#lastIndex && this.#lastBlock) {
      return this.#get(this.#lastBlock, cluster - index * this.perBlock);
    }
    if (index >= this.entries) return 0;
    const offset = this.blockOffset(index);
    if (offset === 0) return 0;
    if (offset % this.#clusterSize !== 0) return UNREADABLE;
    const block = this.#blocks.get(index);
    if (!block) return NOT_LOADED;
    this.#lastIndex = index;
    this.#lastBlock = block;
    return this.#get(block, cluster - index * this.perBlock);
  }

  /** Loads the block of `cluster`, and returns its refcount or UNREADABLE. */
  async read(cluster: number): Promise<number> {
    const held = this.peek(cluster);
    if (held !== NOT_LOADED) return held;
    const index = Math.floor(cluster / this.perBlock);
    const block = new Uint8Array(this.#clusterSize);
    await this.#file.read(block, this.blockOffset(index));
    this.#blocks.set(index, block);
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= this.#capacity) break;
      if (oldest !== this.#changed && oldest !== index) this.#blocks.delete(oldest);
    }
    this.#lastIndex = index;
    this.#lastBlock = block;
    return this.#get(block, cluster - index * this.perBlock);
  }

  /**
   * Gives a cluster whose block was read last another count. Written when another block is changed, or by `flush`: each
   * block once, when clusters come in order. The caller syncs.
   */
  async change(cluster: number, value: number): Promise<void> {
    const index = Math.floor(cluster / this.perBlock);
    if (index !== this.#changed) await this.flush();
    await this.read(cluster);
    this.#set(this.#lastBlock!, cluster - index * this.perBlock, value);
    this.#changed = index;
  }

  async flush(): Promise<void> {
    const block = this.#blocks.get(this.#changed);
    if (block) await this.#file.write(block, this.blockOffset(this.#changed));
    this.#changed = -1;
  }

  /** What is wrong with the table entry of `cluster`, in QEMU's words. */
  describe(cluster: number): string {
    const index = Math.floor(cluster / this.perBlock);
    const hex = (value: number) => (value === 0 ? '0' : `0x${value.toString(16)}`);
    return `Refblock offset ${hex(this.blockOffset(index))} unaligned (reftable index: ${hex(index)})`;
  }
}
