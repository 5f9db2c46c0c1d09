import type { MapOptions } from '../disk/disk.js';
import type { ExtentColumns } from '../disk/extents.js';

/** The part of a Disk that a transfer needs: a size and a map (see Disk.map for its rules). */
export interface GuestMap {
  /** Bytes. */
  readonly virtualSize: number;
  map(into: ExtentColumns, start: number, end: number, options?: MapOptions): Promise<number>;
}
