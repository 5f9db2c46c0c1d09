import type { Disk, MapOptions } from '../disk/disk.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import { alignUp } from '../disk/offsets.js';
import type { GuestMap } from './guestMap.js';

const SECTOR = 512;

interface Part {
  disk: GuestMap;
  start: number;
  end: number;
}

/** Disks one after another, each padded with zeros to whole sectors, as qemu-img counts them. */
export class Concatenation implements GuestMap {
  readonly virtualSize: number;
  readonly #parts: Part[] = [];
  readonly #rows = new ExtentColumns();

  constructor(disks: readonly Pick<Disk, 'virtualSize' | 'map'>[]) {
    let at = 0;
    for (const disk of disks) {
      const end = at + alignUp(disk.virtualSize, SECTOR);
      if (end > at) this.#parts.push({ disk, start: at, end });
      at = end;
    }
    this.virtualSize = at;
  }

  async map(into: ExtentColumns, start: number, end: number, options?: MapOptions): Promise<number> {
    const part = this.#parts.find((candidate) => start < candidate.end);
    if (!part) return start;
    const stop = Math.min(end, part.end);
    const held = part.start + part.disk.virtualSize;
    if (start >= held) {
      into.pushEmpty(Kind.zero, start, stop - start, 0);
      return stop;
    }
    if (part.start === 0) return part.disk.map(into, start, Math.min(stop, held), options);
    const rows = this.#rows;
    rows.clear();
    rows.capacity = Math.max(1, into.capacity - into.count);
    const next = await part.disk.map(rows, start - part.start, Math.min(stop, held) - part.start, options);
    for (let row = 0; row < rows.count; row++) {
      into.appendPart(rows, row, 0, rows.length[row], rows.start[row] + part.start);
    }
    return next + part.start;
  }
}
