// Guest ranges that read as zeros: by flags in the entries where there are any, else by bytes.
import { alignDown, alignUp } from '../../disk/offsets.js';
import type { ClusterWriter } from './clusterWriter.js';
import { SUBCLUSTERS } from './constants.js';
import type { ImageCore } from './imageCore.js';
import { ZERO_LO } from './l2Entry.js';
import type { L2Table } from './map.js';
import {
  ALL_SUBCLUSTERS,
  checkStandardEntry,
  isCompressed,
  ownsCluster,
  type Slot,
  slotAt,
  subclusterBits,
} from './writableEntry.js';

/** Clears entries; bytes are the disk's part (see `pieces`). All in one L2 table at a time. */
export class ClusterZeroer {
  readonly #core: ImageCore;
  readonly #writer: ClusterWriter;

  constructor(core: ImageCore, writer: ClusterWriter) {
    this.#core = core;
    this.#writer = writer;
  }

  /**
   * Splits [start, end) into what flags can zero and what must be written as bytes: version 2 over a backing file,
   * and ends that cover only part of a cluster (with extended entries: of a subcluster).
   */
  pieces(
    start: number,
    end: number,
    diskEnd: number,
  ): { flagged: [number, number]; written: [number, number][] } {
    const { header } = this.#core;
    if (header.version < 3 && header.backingFile !== undefined) {
      return { flagged: [end, end], written: [[start, end]] };
    }
    const unit = header.extendedL2 ? header.clusterSize / SUBCLUSTERS : header.clusterSize;
    const from = Math.min(end, alignUp(start, unit));
    const to = end === diskEnd ? end : Math.max(from, alignDown(end, unit));
    const written: [number, number][] = [];
    if (start < from) written.push([start, from]);
    if (to < end) written.push([to, end]);
    return { flagged: [from, to], written };
  }

  /**
   * Lets [start, end), whole units but for the disk's end, read as zeros; returns the ranges whose bytes must be written
   * instead (parts of compressed clusters). `unmap`: places are given back.
   */
  async flag(start: number, end: number, unmap: boolean): Promise<[number, number][]> {
    const { tables, header } = this.#core;
    const index = tables.group(start);
    let table = await tables.read(index);
    let own: L2Table | undefined;
    const written: [number, number][] = [];
    for (let at = start; at < end; ) {
      const guest = alignDown(at, header.clusterSize);
      const stop = Math.min(end, guest + header.clusterSize);
      const slot = slotAt(header, table, guest);
      const bits = header.extendedL2 ? this.#unitBits(slot, at, stop) : ALL_SUBCLUSTERS;
      if (bits !== ALL_SUBCLUSTERS && isCompressed(slot)) written.push([at, stop]);
      else if (this.#needs(slot, bits, unmap)) {
        own ??= await tables.own(index);
        table = own;
        const changed = slotAt(header, own, guest);
        this.#set(changed, bits, unmap);
        tables.touch(changed);
      }
      at = stop;
    }
    return written;
  }

  /**
   * Gives up the whole clusters of [start, end), which begins with one and ends with one or with the disk. They read as
   * zeros then (QEMU: discard_in_l2_slice), or with `full` as what lies behind this layer.
   */
  async discard(start: number, end: number, full: boolean): Promise<void> {
    const { tables, header } = this.#core;
    const index = tables.group(start);
    let table = await tables.read(index);
    let own: L2Table | undefined;
    for (let guest = start; guest < end; guest += header.clusterSize) {
      const slot = slotAt(header, table, guest);
      const entry = this.#discarded(slot, full);
      const { words } = table;
      const same = entry.every((word, i) => words[slot.at + i] === word);
      if (same) continue;
      own ??= await tables.own(index);
      table = own;
      const changed = slotAt(header, own, guest);
      this.#release(changed, true);
      own.words.set(entry, changed.at);
      tables.touch(changed);
    }
  }

  /** The entry's words after a discard. */
  #discarded(slot: Slot, full: boolean): number[] {
    const { header } = this.#core;
    const { table, at } = slot;
    const { words } = table;
    const now = Array.from(words.subarray(at, at + header.l2EntryBytes / 4));
    const placed = isCompressed(slot) || checkStandardEntry(this.#core.layer, slot) !== undefined;
    if (full) return now.fill(0);
    if (!placed && header.backingFile === undefined) return now;
    if (header.extendedL2) return [0, 0, ALL_SUBCLUSTERS, 0];
    return [0, header.version >= 3 ? ZERO_LO : 0];
  }

  /** Bits of the subclusters that the range covers; the disk's end covers the rest of its cluster. */
  #unitBits(slot: Slot, from: number, to: number): number {
    const { header } = this.#core;
    const end = to === header.diskSize ? slot.guest + header.clusterSize : to;
    return subclusterBits(header, slot, from, end);
  }

  #needs(slot: Slot, bits: number, unmap: boolean): boolean {
    const { header, layer } = this.#core;
    if (isCompressed(slot)) return true;
    const { words } = slot.table;
    const { at } = slot;
    const placed = checkStandardEntry(layer, slot) !== undefined;
    if (!placed && header.backingFile === undefined) return false;
    if (placed && unmap && bits === ALL_SUBCLUSTERS) return true;
    if (header.extendedL2) return (words[at + 2] & bits) >>> 0 !== bits;
    return header.version < 3 ? placed : (words[at + 1] & ZERO_LO) === 0;
  }

  #set(slot: Slot, bits: number, unmap: boolean): void {
    const { extendedL2, version } = this.#core.header;
    const { at } = slot;
    const { words } = slot.table;
    const whole = bits === ALL_SUBCLUSTERS;
    if (whole && (unmap || isCompressed(slot) || version < 3)) {
      this.#release(slot, unmap);
      words[at] = 0;
      words[at + 1] = 0;
      if (extendedL2) words[at + 3] = 0;
    }
    if (extendedL2) {
      words[at + 2] = (words[at + 2] | bits) >>> 0;
      words[at + 3] = (words[at + 3] & ~bits) >>> 0;
    } else if (version >= 3) words[at + 1] = (words[at + 1] | ZERO_LO) >>> 0;
  }

  #release(slot: Slot, punch: boolean): void {
    const { externalData } = this.#core.header;
    if (externalData) return;
    if (isCompressed(slot)) this.#writer.release(slot, punch);
    else if (checkStandardEntry(this.#core.layer, slot) !== undefined) {
      this.#writer.release(slot, punch && ownsCluster(slot));
    }
  }
}
