// L1 and L2 tables that change: what was changed stays in memory, and is what maps see, until it is published.
import type { HostFile } from '../../disk/hostFile.js';
import { PieceWriter } from '../pieceWriter.js';
import type { Allocator } from './allocator.js';
import type { Qcow2Header } from './header.js';
import type { L1Table } from './l1.js';
import { L2Cache } from './l2Cache.js';
import { COPIED_HI, entryWords, tableBytes } from './l2Entry.js';

const ENTRY_BYTES = 8;

/** An L2 cache in which changed tables take precedence over the file. */
export class WritableL2Cache extends L2Cache {
  readonly #changed = new Map<number, Uint32Array>();
  /** Arrays of tables that were written, for the next ones: garbage of MiBs is not collected soon enough. */
  readonly #spare: Uint32Array[] = [];

  override peek(offset: number): Uint32Array | undefined {
    return this.#changed.get(offset) ?? super.peek(offset);
  }

  /** Tables changed and not yet written, by host offset. */
  get changed(): ReadonlyMap<number, Uint32Array> {
    return this.#changed;
  }

  /** The table to change in place. */
  async forChange(offset: number): Promise<Uint32Array> {
    let words = this.#changed.get(offset);
    if (!words) {
      words = this.#copy(await this.get(offset));
      this.#changed.set(offset, words);
    }
    return words;
  }

  /** A new table at `offset` with the entries of the one at `from`, or empty. */
  async create(offset: number, from: number): Promise<Uint32Array> {
    const words = from === 0 ? this.#empty() : this.#copy(await this.get(from));
    this.#changed.set(offset, words);
    return words;
  }

  /** They are in the file now. Their arrays are not to be used any more. */
  written(): void {
    for (const [offset, words] of this.#changed) {
      this.invalidate(offset);
      this.#spare.push(words);
    }
    this.#changed.clear();
  }

  #empty(): Uint32Array {
    return this.#spare.pop()?.fill(0) ?? new Uint32Array(this.clusterSize / 4);
  }

  #copy(words: Uint32Array): Uint32Array {
    const copy = this.#spare.pop();
    if (!copy) return Uint32Array.from(words);
    copy.set(words);
    return copy;
  }
}

export class WritableTables {
  readonly #file: HostFile;
  readonly #header: Qcow2Header;
  readonly #l1: L1Table;
  readonly #l2: WritableL2Cache;
  readonly #allocator: Allocator;
  readonly #l1Changed = new Set<number>();

  constructor(file: HostFile, header: Qcow2Header, l1: L1Table, l2: WritableL2Cache, allocator: Allocator) {
    this.#file = file;
    this.#header = header;
    this.#l1 = l1;
    this.#l2 = l2;
    this.#allocator = allocator;
  }

  /** Bytes of tables that wait for the next flush. */
  get dirtyBytes(): number {
    return this.#l2.changed.size * this.#header.clusterSize;
  }

  /** The L2 table of guest group `index`, to change in place. `offset` is its checked place, 0 = none. */
  async forChange(index: number, offset: number): Promise<Uint32Array> {
    const owned = (this.#l1.words[2 * index] & COPIED_HI) !== 0;
    if (offset !== 0 && owned) return this.#l2.forChange(offset);
    // A table that a snapshot shares, or none: a new one, which takes the old one's entries over.
    const place = (await this.#allocator.allocate(1)).offset;
    const words = await this.#l2.create(place, offset);
    if (offset !== 0) this.#allocator.free(offset, this.#header.clusterSize);
    const [hi, lo] = entryWords(place, true);
    this.#l1.words[2 * index] = hi;
    this.#l1.words[2 * index + 1] = lo;
    this.#l1Changed.add(index);
    return words;
  }

  /** L2 tables first, then the L1 entries that point to new ones. */
  async publish(sync: boolean): Promise<void> {
    if (this.#l2.changed.size > 0) {
      const writer = new PieceWriter(this.#file);
      for (const [offset, words] of this.#l2.changed) await writer.writeWords(offset, words);
      await writer.flush();
      this.#l2.written();
      if (sync) await this.#file.sync();
    }
    if (this.#l1Changed.size === 0) return;
    for (const index of this.#l1Changed) {
      const entry = tableBytes(this.#l1.words.subarray(2 * index, 2 * index + 2));
      await this.#file.write(entry, this.#l1.offset + index * ENTRY_BYTES);
    }
    this.#l1Changed.clear();
    if (sync) await this.#file.sync();
  }
}
