// Persistent bitmaps that follow what is written (specification, "Bitmaps"): in_use while they may be behind, stored
// when the disk is closed.

import { type Bitmap, readBitmaps } from './bitmaps.js';
import { corruptImage, hex } from './corrupt.js';
import type { ImageCore } from './imageCore.js';

const FLAGS_FIELD = 12;
const ENTRY_BYTES = 8;
const IN_USE = 1;
const AUTO = 2;
const EXTRA_COMPATIBLE = 4;
/** Bitmap data in memory after which it is written, bytes. */
const MAX_HELD = 8 * 2 ** 20;
const OFFSET_MASK = 0x00fffffffffffe00n;

/** One cluster of a bitmap's data. */
interface Chunk {
  bits: Uint8Array;
  /** Host offset, 0 = not allocated yet. */
  offset: number;
  changed: boolean;
}

interface Tracked {
  readonly bitmap: Bitmap;
  /** By index in the bitmap table. */
  readonly chunks: Map<number, Chunk>;
  /** On their way from the file. */
  readonly loading: Map<number, Promise<Chunk>>;
}

/** The enabled (`auto`), consistent bitmaps of an image; the others do not follow writes. */
export class BitmapTracker {
  readonly #core: ImageCore;
  readonly #tracked: Tracked[];
  #marking = false;

  private constructor(core: ImageCore, bitmaps: readonly Bitmap[]) {
    this.#core = core;
    this.#tracked = bitmaps.map((bitmap) => ({ bitmap, chunks: new Map(), loading: new Map() }));
  }

  /**
   * Undefined when no bitmap follows writes: there is none, none is enabled, or nothing vouches for them.
   * @throws CORRUPT_IMAGE, LIMIT_EXCEEDED. Nothing has changed then.
   */
  static async open(core: ImageCore): Promise<BitmapTracker | undefined> {
    const { file, header, limits } = core;
    if (!header.bitmapsValid) return undefined;
    const followed = (await readBitmaps(file, header, limits)).filter(({ auto, inUse }) => auto && !inUse);
    return followed.length > 0 ? new BitmapTracker(core, followed) : undefined;
  }

  /** Bitmap data waits for `store`. */
  get pending(): boolean {
    return this.#marking;
  }

  get storeDue(): boolean {
    let chunks = 0;
    for (const { chunks: held } of this.#tracked) chunks += held.size;
    return chunks > 1 && chunks * this.#core.header.clusterSize > MAX_HELD;
  }

  /** Tells the world that the stored bits may be behind, before anything is written. The caller syncs. */
  async begin(): Promise<void> {
    for (const { bitmap } of this.#tracked) await this.#writeFlags(bitmap, IN_USE);
    this.#marking = true;
  }

  /** Guest bytes [start, end) were or will be changed. At once when the bits are in memory. */
  mark(start: number, end: number): Promise<void> | undefined {
    let pending: Promise<void> | undefined;
    for (const tracked of this.#tracked) {
      const { granularity } = tracked.bitmap;
      const perChunk = this.#core.header.clusterSize * 8;
      const last = Math.floor((end - 1) / granularity);
      for (let bit = Math.floor(start / granularity); bit <= last; ) {
        const index = Math.floor(bit / perChunk);
        const stop = Math.min(last + 1, (index + 1) * perChunk);
        const [from, to] = [bit - index * perChunk, stop - index * perChunk];
        const chunk = tracked.chunks.get(index);
        if (chunk) setBits(chunk, from, to);
        else {
          const before = pending;
          pending = (async () => {
            await before;
            setBits(await this.#loaded(tracked, index), from, to);
          })();
        }
        bit = stop;
      }
    }
    return pending;
  }

  /**
   * Writes the bits; with `last` also says that they are right again. For the one who holds the metadata. What waits
   * there is published first.
   */
  async store(last: boolean): Promise<void> {
    const { file, allocator, header } = this.#core;
    const entries: [at: number, offset: number][] = [];
    for (const { bitmap, chunks } of this.#tracked) {
      for (const [index, chunk] of chunks) {
        if (!chunk.changed) continue;
        if (chunk.offset === 0) {
          chunk.offset = (await allocator.allocate(1)).offset;
          entries.push([bitmap.tableOffset + index * ENTRY_BYTES, chunk.offset]);
        }
        // Bits that are set meanwhile make it changed again.
        chunk.changed = false;
        await file.write(Buffer.from(chunk.bits.subarray(0, header.clusterSize)), chunk.offset);
      }
    }
    await this.#core.publish(true);
    for (const [at, offset] of entries) {
      const entry = Buffer.alloc(ENTRY_BYTES);
      entry.writeBigUInt64BE(BigInt(offset));
      await file.write(entry, at);
    }
    if (entries.length > 0) await file.sync();
    for (const { chunks } of this.#tracked) {
      for (const [index, chunk] of chunks) if (!chunk.changed) chunks.delete(index);
    }
    if (!last) return;
    for (const { bitmap } of this.#tracked) await this.#writeFlags(bitmap, 0);
    await file.sync();
    this.#marking = false;
  }

  #loaded(tracked: Tracked, index: number): Promise<Chunk> {
    const { chunks, loading } = tracked;
    let chunk = loading.get(index);
    if (!chunk) {
      chunk = this.#load(tracked.bitmap, index)
        .then((loaded) => {
          chunks.set(index, loaded);
          return loaded;
        })
        .finally(() => loading.delete(index));
      loading.set(index, chunk);
    }
    return chunk;
  }

  async #load(bitmap: Bitmap, index: number): Promise<Chunk> {
    const { file, header } = this.#core;
    const at = bitmap.tableOffset + index * ENTRY_BYTES;
    const bad = (why: string) => corruptImage(file.path, `Bitmap '${bitmap.name}': ${why}`, at);
    if (index >= bitmap.tableEntries) {
      throw bad(`table of ${bitmap.tableEntries} entries has none for cluster ${index} of its data`);
    }
    const entry = (await file.readExact(at, ENTRY_BYTES, `Bitmap '${bitmap.name}'`)).readBigUInt64BE(0);
    const offset = Number(entry & OFFSET_MASK);
    if ((entry & ~OFFSET_MASK) > 1n || (offset !== 0 && (entry & 1n) !== 0n)) {
      throw bad(`table entry ${index} (${hex(entry)}) has reserved bits set`);
    }
    if (offset % header.clusterSize !== 0 || offset >= file.size) {
      throw bad(`table entry ${index} (${hex(entry)}) is unaligned or past the end of the file`);
    }
    const bits = new Uint8Array(header.clusterSize);
    if (offset !== 0) await file.read(bits, offset);
    else if (entry === 1n) this.#setAll(bits, bitmap, index);
    return { bits, offset, changed: false };
  }

  /** All bits of the disk; those past its end stay zero. */
  #setAll(bits: Uint8Array, { granularity }: Bitmap, index: number): void {
    const { clusterSize, diskSize } = this.#core.header;
    const perChunk = clusterSize * 8;
    const count = Math.ceil(diskSize / granularity) - index * perChunk;
    setBits({ bits, offset: 0, changed: false }, 0, Math.max(0, Math.min(perChunk, count)));
  }

  async #writeFlags(bitmap: Bitmap, inUse: number): Promise<void> {
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE(inUse | AUTO | (bitmap.extraDataCompatible ? EXTRA_COMPATIBLE : 0));
    await this.#core.file.write(flags, bitmap.entryOffset + FLAGS_FIELD);
  }
}

/** Sets bits [from, to), least significant first in each byte. */
function setBits(chunk: Chunk, from: number, to: number): void {
  chunk.changed = true;
  const { bits } = chunk;
  let at = from;
  for (; at < to && (at & 7) !== 0; at++) bits[at >>> 3] |= 1 << (at & 7);
  const bytes = (to - at) >>> 3;
  bits.fill(255, at >>> 3, (at >>> 3) + bytes);
  for (at += bytes * 8; at < to; at++) bits[at >>> 3] |= 1 << (at & 7);
}
