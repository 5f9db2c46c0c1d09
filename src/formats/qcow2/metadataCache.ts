// Tables of one cluster each (L2 tables, refcount blocks) that change in memory and are written back by pages.
import type { HostFile } from '../../disk/hostFile.js';
import type { PieceWriter } from '../pieceWriter.js';
import { tableWords } from './l2Entry.js';

/** Changes are written back in pieces of this size: a small write does not cost a table of 2 MiB. */
const PAGE = 4096;
const SLAB_BYTES = 2 ** 20;

type Content = Uint8Array | Uint32Array;

interface Dirty<T extends Content> {
  readonly content: T;
  /** One flag per page. */
  readonly pages: Uint8Array;
  count: number;
}

/**
 * Tables by host offset. Clean ones are bounded, least recently used out first; dirty ones stay until `writeBack`, and
 * are what everybody sees meanwhile. Whoever changes a table calls `markDirty` in the same turn of the event loop.
 */
export class MetadataCache<T extends Content> {
  readonly #file: HostFile;
  readonly clusterSize: number;
  readonly #cleanBytes: number;
  readonly #page: number;
  readonly #view: (bytes: Uint8Array) => T;
  readonly #clean = new Map<number, T>();
  readonly #dirty = new Map<number, Dirty<T>>();
  /** Reads under way, by each table they bring. */
  readonly #reading = new Map<number, Promise<void>>();
  #dirtyPages = 0;

  constructor(file: HostFile, clusterSize: number, cleanBytes: number, view: (bytes: Uint8Array) => T) {
    this.#file = file;
    this.clusterSize = clusterSize;
    this.#cleanBytes = cleanBytes;
    this.#page = Math.min(PAGE, clusterSize);
    this.#view = view;
  }

  /** L2 tables as words of host order: high, low. */
  static words(file: HostFile, clusterSize: number, cleanBytes: number): MetadataCache<Uint32Array> {
    return new MetadataCache(file, clusterSize, cleanBytes, tableWords);
  }

  /** Refcount blocks as they are stored. */
  static bytes(file: HostFile, clusterSize: number, cleanBytes: number): MetadataCache<Uint8Array> {
    return new MetadataCache(file, clusterSize, cleanBytes, (bytes) => bytes);
  }

  /** Bytes that the next write-back writes. */
  get dirtyBytes(): number {
    return this.#dirtyPages * this.#page;
  }

  /** Bytes of tables that cannot be evicted. */
  get pinnedBytes(): number {
    return this.#dirty.size * this.clusterSize;
  }

  get maxAhead(): number {
    return Math.max(1, Math.min(SLAB_BYTES, this.#cleanBytes) / this.clusterSize);
  }

  peek(offset: number): T | undefined {
    const dirty = this.#dirty.get(offset);
    if (dirty) return dirty.content;
    const clean = this.#clean.get(offset);
    if (clean) {
      this.#clean.delete(offset);
      this.#clean.set(offset, clean);
    }
    return clean;
  }

  /** The table; with `ahead` > 1 those that follow it in the file come with it. What the file lacks reads as zeros. */
  async get(offset: number, ahead = 1): Promise<T> {
    for (;;) {
      const held = this.peek(offset);
      if (held) return held;
      const reading = this.#reading.get(offset) ?? this.#read(offset, ahead);
      await reading;
    }
  }

  /** A table that is new at `offset`, whatever the file holds there. */
  create(offset: number, content: T): void {
    this.#clean.delete(offset);
    this.#reading.delete(offset);
    this.#drop(offset);
    const count = this.clusterSize / this.#page;
    this.#dirty.set(offset, { content, pages: new Uint8Array(count).fill(1), count });
    this.#dirtyPages += count;
  }

  /** Bytes [from, from + length) of `content`, which is the table at `offset`, were changed. */
  markDirty(offset: number, content: T, from: number, length: number): void {
    let held = this.#dirty.get(offset);
    if (!held) {
      // It may have been evicted since it was got.
      this.#clean.delete(offset);
      this.#reading.delete(offset);
      held = { content, pages: new Uint8Array(this.clusterSize / this.#page), count: 0 };
      this.#dirty.set(offset, held);
    }
    const last = Math.floor((from + length - 1) / this.#page);
    for (let page = Math.floor(from / this.#page); page <= last; page++) {
      if (held.pages[page]) continue;
      held.pages[page] = 1;
      held.count++;
      this.#dirtyPages++;
    }
  }

  /** The cluster at `offset` is a table no more: it is neither written nor seen again. */
  forget(offset: number): void {
    this.#clean.delete(offset);
    this.#reading.delete(offset);
    this.#drop(offset);
  }

  /** Everything unwritten is lost, and everything is read again. */
  clear(): void {
    this.#clean.clear();
    this.#dirty.clear();
    this.#reading.clear();
    this.#dirtyPages = 0;
  }

  /** Writes what has changed. When it throws, everything stays dirty. Nothing may be changed meanwhile. */
  async writeBack(writer: PieceWriter): Promise<void> {
    if (this.#dirty.size === 0) return;
    const pages = this.clusterSize / this.#page;
    for (const [offset, held] of this.#dirty) {
      for (let page = 0; page < pages; page++) {
        if (!held.pages[page]) continue;
        let end = page + 1;
        while (end < pages && held.pages[end]) end++;
        await this.#write(writer, held.content, offset, page * this.#page, end * this.#page);
        page = end;
      }
    }
    await writer.flush();
    const written = [...this.#dirty];
    this.#dirty.clear();
    this.#dirtyPages = 0;
    for (const [offset, { content }] of written) this.#keep(offset, content);
  }

  async #write(writer: PieceWriter, content: T, offset: number, from: number, to: number): Promise<void> {
    if (content instanceof Uint32Array) {
      await writer.writeWords(offset + from, content.subarray(from / 4, to / 4));
    } else await writer.write(offset + from, content.subarray(from, to));
  }

  #read(offset: number, ahead: number): Promise<void> {
    const { clusterSize } = this;
    let tables = 1;
    while (tables < Math.min(ahead, this.maxAhead)) {
      const next = offset + tables * clusterSize;
      if (this.#dirty.has(next) || this.#clean.has(next) || this.#reading.has(next)) break;
      tables++;
    }
    const reading = this.#fetch(offset, tables, () => reading);
    for (let i = 0; i < tables; i++) this.#reading.set(offset + i * clusterSize, reading);
    return reading;
  }

  async #fetch(offset: number, tables: number, self: () => Promise<void>): Promise<void> {
    const { clusterSize } = this;
    const bytes = Buffer.allocUnsafeSlow(tables * clusterSize);
    let failure: unknown;
    try {
      bytes.fill(0, await this.#file.read(bytes, offset));
    } catch (error) {
      failure = error;
    }
    // The first comes last, so that it is the one that stays whatever the bound.
    for (let i = tables - 1; i >= 0; i--) {
      const at = offset + i * clusterSize;
      // A table that was made or forgotten meanwhile is not what was read.
      if (this.#reading.get(at) !== self()) continue;
      this.#reading.delete(at);
      if (failure !== undefined) continue;
      // Each in memory of its own: a slab would live as long as any part of it.
      const own =
        tables === 1 ? bytes : new Uint8Array(bytes.subarray(i * clusterSize, (i + 1) * clusterSize));
      this.#keep(at, this.#view(own));
    }
    if (failure !== undefined) throw failure;
  }

  #keep(offset: number, content: T): void {
    this.#clean.set(offset, content);
    for (const oldest of this.#clean.keys()) {
      if (this.#clean.size * this.clusterSize <= this.#cleanBytes || oldest === offset) break;
      this.#clean.delete(oldest);
    }
  }

  #drop(offset: number): void {
    const held = this.#dirty.get(offset);
    if (!held) return;
    this.#dirtyPages -= held.count;
    this.#dirty.delete(offset);
  }
}
