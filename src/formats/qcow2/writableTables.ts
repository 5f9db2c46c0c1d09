// L1 and L2 tables that change: what was changed stays in memory, and is what maps see, until it is published.
import type { PieceWriter } from '../pieceWriter.js';
import type { Allocator } from './allocator.js';
import type { ImageCore } from './imageCore.js';
import { COPIED_HI, entryWords, tableBytes } from './l2Entry.js';
import { checkedL2Offset, type L2Table } from './map.js';
import type { Slot } from './writableEntry.js';

const ENTRY_BYTES = 8;

export class WritableTables {
  readonly #core: ImageCore;
  readonly #allocator: Allocator;
  readonly #l1Changed = new Set<number>();
  readonly #empty: Uint32Array;

  constructor(core: ImageCore, allocator: Allocator) {
    this.#core = core;
    this.#allocator = allocator;
    this.#empty = new Uint32Array(core.header.clusterSize / 4);
  }

  /** Bytes that the next flush writes. */
  get dirtyBytes(): number {
    return this.#core.l2.tables.dirtyBytes;
  }

  /** Bytes of tables that wait in memory. */
  get pinnedBytes(): number {
    return this.#core.l2.tables.pinnedBytes;
  }

  get changed(): boolean {
    return this.dirtyBytes > 0 || this.#l1Changed.size > 0;
  }

  /** Index of the L2 table that maps guest byte `at`. */
  group(at: number): number {
    return Math.floor(at / this.#core.header.l2Coverage);
  }

  /** The table of group `index` to look at, if it is in memory; one without entries (offset 0) when there is none. */
  peek(index: number): L2Table | undefined {
    const offset = checkedL2Offset(this.#core.layer, index);
    const words = offset === 0 ? this.#empty : this.#core.l2.peek(offset);
    return words && { words, index, offset };
  }

  /** The same, read when it is not in memory. */
  async read(index: number): Promise<L2Table> {
    const offset = checkedL2Offset(this.#core.layer, index);
    const words = offset === 0 ? this.#empty : await this.#core.l2.get(offset);
    return { words, index, offset };
  }

  /** The table of group `index` to change: one that belongs to the active layer alone. Follow changes by `touch`. */
  async own(index: number): Promise<L2Table> {
    const { l1, l2, header } = this.#core;
    const offset = checkedL2Offset(this.#core.layer, index);
    if (offset !== 0 && (l1.words[2 * index] & COPIED_HI) !== 0) {
      return { words: await l2.get(offset), index, offset };
    }
    // A table that a snapshot shares, or none: a new one, which takes the old one's entries over.
    const old = offset === 0 ? this.#empty : await l2.get(offset);
    const run = await this.#allocator.allocate(1);
    try {
      await this.#allocator.reach();
    } catch (error) {
      await this.#allocator.cancel(run);
      throw error;
    }
    const words = Uint32Array.from(old);
    l2.tables.create(run.offset, words);
    if (offset !== 0) this.#allocator.free(offset, header.clusterSize);
    this.setL1(index, run.offset);
    return { words, index, offset: run.offset };
  }

  /** Lets L1 entry `index` point to a table at `offset`, 0 = to none. `copied`: the active layer's own, refcount 1. */
  setL1(index: number, offset: number, copied = offset !== 0): void {
    const { l1 } = this.#core;
    const [hi, lo] = entryWords(offset, copied);
    l1.words[2 * index] = hi;
    l1.words[2 * index + 1] = lo;
    this.#l1Changed.add(index);
  }

  /** The entry was changed, in a table from `own`. */
  touch({ table, at }: Slot): void {
    this.#core.l2.tables.markDirty(table.offset, table.words, at * 4, this.#core.header.l2EntryBytes);
  }

  /** L2 tables first, then the L1 entries that point to new ones. */
  async publish(writer: PieceWriter, sync: boolean): Promise<void> {
    const { l1, l2, file } = this.#core;
    await l2.tables.writeBack(writer);
    if (this.#l1Changed.size > 0) {
      if (sync) await file.sync();
      const changed = [...this.#l1Changed].sort((a, b) => a - b);
      for (let i = 0; i < changed.length; ) {
        let end = i + 1;
        while (end < changed.length && changed[end] === changed[end - 1] + 1) end++;
        const entries = tableBytes(l1.words.subarray(2 * changed[i], 2 * (changed[end - 1] + 1)));
        await writer.write(l1.offset + changed[i] * ENTRY_BYTES, entries);
        i = end;
      }
      await writer.flush();
      this.#l1Changed.clear();
    }
    if (sync) await file.sync();
  }

  /** The L1 table was written as a whole: nothing of it waits. */
  l1Written(): void {
    this.#l1Changed.clear();
  }
}
