// Images whose clusters all have places but were mostly never written (preallocation=metadata): the host file's holes
// say where nothing is, as QEMU finds out with BDRV_BLOCK_RECURSE.
import { native } from '../native.js';
import type { Disk, MapOptions } from './disk.js';
import { ExtentColumns, Kind } from './extents.js';

type Mapped = Pick<Disk, 'virtualSize' | 'map'>;

/** Holes and data runs looked up at a time. */
const RUNS = 1024;

/**
 * The map of `disk` in which holes of the host file are zeros, for every layer with preallocated metadata; the disk
 * itself when there is none. A transfer then costs what was written, not what was reserved.
 */
export async function storedRows(disk: Disk): Promise<Mapped> {
  const recurses: boolean[] = [];
  for (let layer: Disk | undefined = disk; layer; layer = layer.backing) {
    recurses.push((await layer.metadataPreallocated?.()) ?? false);
  }
  return recurses.includes(true) ? new StoredRows(disk, recurses) : disk;
}

class StoredRows implements Mapped {
  readonly virtualSize: number;
  readonly #disk: Disk;
  /** By depth. */
  readonly #recurses: readonly boolean[];
  readonly #rows = new ExtentColumns();

  constructor(disk: Disk, recurses: readonly boolean[]) {
    this.#disk = disk;
    this.#recurses = recurses;
    this.virtualSize = disk.virtualSize;
  }

  async map(into: ExtentColumns, start: number, end: number, options?: MapOptions): Promise<number> {
    const rows = this.#rows;
    rows.clear();
    rows.capacity = Math.max(1, into.capacity - into.count);
    const next = await this.#disk.map(rows, start, end, options);
    for (let row = 0; row < rows.count; row++) {
      if (into.full) return rows.start[row];
      if (rows.kind[row] === Kind.data && this.#recurses[rows.depth[row]]) {
        const stopped = this.#split(into, row);
        if (stopped < rows.start[row] + rows.length[row]) return stopped;
      } else into.appendRow(rows, row);
    }
    return next;
  }

  /** Appends the row in parts; returns the guest offset up to which there was room. */
  #split(into: ExtentColumns, row: number): number {
    const rows = this.#rows;
    const { fd } = rows.files[rows.file[row]];
    const depth = rows.depth[row];
    const shift = rows.start[row] - rows.offset[row];
    const end = rows.offset[row] + rows.length[row];
    let at = rows.offset[row];
    while (at < end && !into.full) {
      const room = Math.max(1, Math.min(RUNS, (into.capacity - into.count) >> 1));
      const { runs, next } = native.dataRuns(fd, at, end, room);
      for (let i = 0; i < runs.length; i += 2) {
        if (runs[i] > at) into.pushEmpty(Kind.zero, at + shift, runs[i] - at, depth);
        into.appendPart(rows, row, runs[i] - rows.offset[row], runs[i + 1] - runs[i], runs[i] + shift);
        at = runs[i + 1];
      }
      if (next > at) into.pushEmpty(Kind.zero, at + shift, next - at, depth);
      at = next;
    }
    return at + shift;
  }
}
