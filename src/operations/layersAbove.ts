import type { Disk } from '../disk/disk.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import type { GuestMap } from './guestMap.js';

const ROWS = 1024;

/**
 * What the layers above a base hold, top first: rows of data and zeros; what none of them holds is left out. What hides
 * the base without being held anywhere, because a layer in between ends earlier, is zeros.
 */
export class LayersAbove implements GuestMap {
  readonly virtualSize: number;
  readonly #layers: readonly Disk[];
  readonly #baseSize: number;
  readonly #scratch: ExtentColumns[];

  /** @param baseSize bytes of the base, before it grows */
  constructor(layers: readonly Disk[], baseSize: number) {
    this.virtualSize = layers[0].virtualSize;
    this.#layers = layers;
    this.#baseSize = baseSize;
    this.#scratch = layers.map(() => new ExtentColumns(ROWS));
  }

  map(into: ExtentColumns, start: number, end: number): Promise<number> {
    return this.#map(0, into, start, end);
  }

  async #map(level: number, into: ExtentColumns, start: number, end: number): Promise<number> {
    const layer = this.#layers[level];
    if (!layer) return end;
    if (start >= layer.virtualSize) {
      const hidden = Math.min(end, this.#baseSize);
      if (start < hidden) into.pushEmpty(Kind.zero, start, hidden - start, level);
      return end;
    }
    const own = this.#scratch[level];
    own.clear();
    own.capacity = ROWS;
    const stop = await layer.map(own, start, Math.min(end, layer.virtualSize), { layer: 'own' });
    for (let row = 0; row < own.count; row++) {
      if (own.kind[row] !== Kind.unallocated) {
        into.appendRow(own, row, level);
        continue;
      }
      const rowEnd = own.start[row] + own.length[row];
      for (let at = own.start[row]; at < rowEnd; ) at = await this.#map(level + 1, into, at, rowEnd);
    }
    return stop;
  }
}
