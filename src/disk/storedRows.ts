// Images whose clusters all have places but were mostly never written (preallocation=metadata): the host file's holes
// say where nothing is, as QEMU finds out with BDRV_BLOCK_RECURSE.
import { native } from '../native.js';
import type { Disk, MapOptions } from './disk.js';
import { ExtentColumns, Kind } from './extents.js';
import type { HostFile } from './hostFile.js';

type Mapped = Pick<Disk, 'virtualSize' | 'map'>;

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
  readonly #known = new KnownRuns();

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
    const file = rows.files[rows.file[row]].host;
    const first = rows.offset[row];
    const shift = rows.start[row] - first;
    const end = first + rows.length[row];
    let at = first;
    while (at < end && !into.full) {
      const { data, until } = this.#known.at(file, at, end);
      const stop = Math.min(until, end);
      if (data) into.appendPart(rows, row, at - first, stop - at, at + shift);
      else into.pushEmpty(Kind.zero, at + shift, stop - at, rows.depth[row]);
      at = stop;
    }
    return at + shift;
  }
}

/**
 * The hole and the data run of a file that were looked up last: rows in any order that lie in the same hole cost one look
 * in all.
 */
class KnownRuns {
  #file: HostFile | undefined;
  #hole: [start: number, end: number] = [0, 0];
  #data: [start: number, end: number] = [0, 0];

  /** Is the byte at `offset` stored, and up to where goes that? Bytes past the file's end are a hole, up to `end` at least. */
  at(file: HostFile, offset: number, end: number): { data: boolean; until: number } {
    if (this.#file !== file) {
      this.#file = file;
      this.#hole = this.#data = [0, 0];
    }
    if (!holds(this.#hole, offset) && !holds(this.#data, offset)) {
      const last = Math.max(file.size, end);
      const { runs } = native.dataRuns(file.fd, offset, last, 1);
      const [from = last, to = last] = runs;
      this.#hole = [offset, from];
      this.#data = [from, to];
    }
    const data = holds(this.#data, offset);
    return { data, until: data ? this.#data[1] : this.#hole[1] };
  }
}

function holds([start, end]: [number, number], offset: number): boolean {
  return start <= offset && offset < end;
}
