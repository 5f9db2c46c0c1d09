// Makes guest ranges of an existing image read as zeros: by the zero flag where there is one, else by bytes.
import type { Disk } from '../../disk/disk.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import { alignDown } from '../../disk/offsets.js';
import type { ClusterWriter } from './clusterWriter.js';
import { COPIED_HI, ZERO_LO } from './l2Entry.js';
import { checkStandardEntry, isCompressed, type Slot, slotAt } from './writableEntry.js';

const ALL = 0xffffffff;

export class ClusterZeroer {
  readonly #disk: Disk;
  readonly #writer: ClusterWriter;

  constructor(disk: Disk, writer: ClusterWriter) {
    this.#disk = disk;
    this.#writer = writer;
  }

  /** Guest bytes [start, end), which lie in one L2 table. */
  async zero(start: number, end: number): Promise<void> {
    const { header } = this.#writer.layer;
    let words = await this.#writer.tableToRead(start);
    let changing = false;
    for (let at = start; at < end; ) {
      const guest = alignDown(at, header.clusterSize);
      const stop = Math.min(end, guest + header.clusterSize);
      const whole = at === guest && (stop === guest + header.clusterSize || stop === this.#disk.virtualSize);
      const slot = words && slotAt(header, words, guest);
      if (!whole || this.#storesZeros(slot)) {
        if (await this.#readsAsData(at, stop)) await this.#writeZeros(at, stop);
        // Writing may have given the table another place.
        words = await this.#writer.tableToRead(start);
        changing = false;
      } else if (this.#needsZeroing(slot)) {
        if (!changing) words = await this.#writer.tableToChange(start);
        changing = true;
        this.#setZero(slotAt(header, words!, guest));
      }
      at = stop;
    }
  }

  get #hasBacking(): boolean {
    return this.#writer.layer.header.backingFile !== undefined;
  }

  /** Zeros that only bytes can express: version 2 over a backing file, and clusters of an external data file. */
  #storesZeros(slot: Slot | undefined): boolean {
    const { header } = this.#writer.layer;
    if (header.version < 3 && this.#hasBacking) return true;
    if (!header.externalData || !slot) return false;
    return (slot.words[slot.at] & COPIED_HI) !== 0;
  }

  #needsZeroing(slot: Slot | undefined): boolean {
    if (!slot) return this.#hasBacking;
    const { words, at } = slot;
    const empty = words[at] === 0 && (words[at + 1] & ~ZERO_LO) === 0;
    if (!empty) return true;
    if (this.#writer.layer.header.extendedL2) return words[at + 2] !== ALL && this.#hasBacking;
    return words[at + 1] === 0 && this.#hasBacking;
  }

  #setZero(slot: Slot): void {
    const { layer } = this.#writer;
    const { externalData, extendedL2, version } = layer.header;
    const { words, at } = slot;
    if (!externalData && (isCompressed(slot) || checkStandardEntry(layer, slot) !== undefined)) {
      this.#writer.release(slot);
    }
    words[at] = 0;
    words[at + 1] = version >= 3 && !extendedL2 ? ZERO_LO : 0;
    if (extendedL2) {
      words[at + 2] = ALL;
      words[at + 3] = 0;
    }
  }

  /** False when [from, to) reads as zeros already. */
  async #readsAsData(from: number, to: number): Promise<boolean> {
    const columns = new ExtentColumns(64);
    for (let at = from; at < to; ) {
      columns.clear();
      at = await this.#disk.map(columns, at, to);
      for (let row = 0; row < columns.count; row++) if (columns.kind[row] >= Kind.data) return true;
    }
    return false;
  }

  async #writeZeros(from: number, to: number): Promise<void> {
    const columns = new ExtentColumns(64);
    await this.#writer.allocate(columns, from, to);
    const { header, dataFile } = this.#writer.layer;
    for (let row = 0; row < columns.count; row++) {
      const offset = columns.offset[row];
      const length = columns.length[row];
      if (header.externalData) await dataFile.zero(offset, length);
      else await dataFile.write(Buffer.alloc(length), offset);
    }
  }
}
