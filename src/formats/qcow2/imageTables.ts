// L1, L2 tables and refcounts of an image that is filled in guest order, streamed: memory is the L1 table, one L2
// table, a few refcount blocks and a MiB of pending writes, whatever the image's size.
import type { HostFile } from '../../disk/hostFile.js';
import { divideUp } from '../../disk/offsets.js';
import { PieceWriter } from '../pieceWriter.js';
import { encodeCompressed } from './compressedDescriptor.js';
import { entryWords, ZERO_LO } from './l2Entry.js';
import type { Geometry } from './layout.js';
import { newImageHeader } from './newHeader.js';
import type { Qcow2Options } from './options.js';
import { RefcountStream } from './refcountStream.js';

const ENTRY_BYTES = 8;
const ALL_SUBCLUSTERS = 0xffffffff;

export class ImageTables {
  /** Bytes; header, early refcount blocks and the L1 table lie before it. */
  readonly firstFree: number;
  readonly #file: HostFile;
  readonly #path: string;
  readonly #options: Qcow2Options;
  readonly #shape: Geometry;
  readonly #writer: PieceWriter;
  readonly #refcounts: RefcountStream;
  readonly #l1: Uint32Array;
  readonly #l2: Uint32Array;
  readonly #stride: number;
  /** Group (L2 table) that `#l2` holds; -1 = none. */
  #group = -1;

  constructor(file: HostFile, path: string, options: Qcow2Options, shape: Geometry) {
    this.#file = file;
    this.#path = path;
    this.#options = options;
    this.#shape = shape;
    this.#writer = new PieceWriter(file);
    const l1Clusters = divideUp(shape.l1Entries * ENTRY_BYTES, shape.clusterSize);
    this.#refcounts = new RefcountStream(shape, l1Clusters, this.#writer, path);
    this.firstFree = this.#refcounts.firstFree * shape.clusterSize;
    this.#l1 = new Uint32Array(shape.l1Entries * 2);
    this.#l2 = new Uint32Array(shape.clusterSize / 4);
    this.#stride = shape.l2EntryBytes / 4;
  }

  begin(): Promise<void> {
    return this.#refcounts.begin();
  }

  /** Index of the L2 table that maps guest byte `guest`. */
  groupOf(guest: number): number {
    return Math.floor(guest / this.#shape.l2Coverage);
  }

  /** The table under construction; -1 when there is none. */
  get openGroup(): number {
    return this.#group;
  }

  /** A guest cluster stored plain at `host`. `counted`: the host cluster belongs to this file. */
  setData(guest: number, host: number, counted: boolean): Promise<void> | undefined {
    const [hi, lo] = entryWords(host, true);
    this.#put(guest, hi, lo, 0, ALL_SUBCLUSTERS);
    return counted ? this.#refcounts.add(host, this.#shape.clusterSize) : undefined;
  }

  /** A guest cluster compressed to `length` bytes at `host`. */
  setCompressed(guest: number, host: number, length: number): Promise<void> | undefined {
    const [hi, lo] = encodeCompressed(host, length, this.#options.clusterBits);
    this.#put(guest, hi, lo, 0, 0);
    return this.#refcounts.add(host, length);
  }

  /** A guest cluster that reads as zeros without a place. */
  setZero(guest: number): void {
    if (this.#options.extendedL2) this.#put(guest, 0, 0, ALL_SUBCLUSTERS, 0);
    else this.#put(guest, 0, ZERO_LO, 0, 0);
  }

  /** Writes the open table to host cluster `host`. */
  async closeGroup(host: number): Promise<void> {
    const [hi, lo] = entryWords(host, true);
    this.#l1[this.#group * 2] = hi;
    this.#l1[this.#group * 2 + 1] = lo;
    this.#group = -1;
    await this.#writer.writeWords(host, this.#l2);
    this.#l2.fill(0);
    await this.#refcounts.add(host, this.#shape.clusterSize);
  }

  /**
   * Writes everything that is left; the header last. `end`: first free host byte, cluster-aligned.
   * @returns bytes of the whole file
   */
  async finish(end: number): Promise<number> {
    const { clusterSize, l1Entries } = this.#shape;
    const l1Clusters = divideUp(l1Entries * ENTRY_BYTES, clusterSize);
    const { tableOffset, tableClusters, clusters } = await this.#refcounts.finish(end / clusterSize);
    const l1Offset = this.firstFree - l1Clusters * clusterSize;
    await this.#writeL1(l1Offset);
    await this.#writer.flush();
    const length = clusters * clusterSize;
    if (!this.#file.isBlockDevice) await this.#file.truncate(length);
    const places = {
      l1Offset: l1Clusters === 0 ? 0 : l1Offset,
      l1Entries,
      refcountTableOffset: tableOffset,
      refcountTableClusters: tableClusters,
    };
    await this.#file.write(newImageHeader(this.#options, this.#shape, places, this.#path), 0);
    return length;
  }

  #put(guest: number, hi: number, lo: number, bitmapHi: number, bitmapLo: number): void {
    const { clusterSize, l2Coverage } = this.#shape;
    const group = Math.floor(guest / l2Coverage);
    if (this.#group !== group) {
      if (this.#group >= 0)
        throw new RangeError(`table ${this.#group} has no place yet at guest byte ${guest}`);
      this.#group = group;
    }
    const at = ((guest - group * l2Coverage) / clusterSize) * this.#stride;
    this.#l2[at] = hi;
    this.#l2[at + 1] = lo;
    if (this.#stride === 4) {
      this.#l2[at + 2] = bitmapHi;
      this.#l2[at + 3] = bitmapLo;
    }
  }

  /** Runs of empty entries stay holes in a file; a device may hold anything, so it gets them all. */
  async #writeL1(offset: number): Promise<void> {
    const wordsPerPiece = 2 ** 15;
    for (let at = 0; at < this.#l1.length; at += wordsPerPiece) {
      const words = this.#l1.subarray(at, at + wordsPerPiece);
      if (!this.#file.isBlockDevice && words.every((word) => word === 0)) continue;
      await this.#writer.writeWords(offset + at * 4, words);
    }
  }
}
