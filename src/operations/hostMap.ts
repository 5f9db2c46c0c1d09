import { type ExtentColumns, Kind } from '../disk/extents.js';
import { HostFile } from '../disk/hostFile.js';
import { native } from '../native.js';
import type { GuestMap } from './guestMap.js';

/** A host file's own bytes as a map: its data and holes, to the byte, without any format or lock. */
export class HostMap implements GuestMap {
  readonly virtualSize: number;
  readonly #file: HostFile;

  constructor(file: HostFile) {
    this.#file = file;
    this.virtualSize = file.size;
  }

  async map(into: ExtentColumns, start: number, end: number): Promise<number> {
    const room = Math.max(1, (into.capacity - into.count) >> 1);
    const { runs, next } = native.dataRuns(this.#file.fd, start, end, room);
    let at = start;
    for (let i = 0; i < runs.length; i += 2) {
      if (runs[i] > at) into.pushEmpty(Kind.zero, at, runs[i] - at, 0);
      into.pushPlaced(Kind.data, runs[i], runs[i + 1] - runs[i], 0, this.#file, runs[i]);
      at = runs[i + 1];
    }
    if (next > at) into.pushEmpty(Kind.zero, at, next - at, 0);
    return next;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

export async function openHostMap(path: string): Promise<HostMap> {
  return new HostMap(await HostFile.open(path));
}
