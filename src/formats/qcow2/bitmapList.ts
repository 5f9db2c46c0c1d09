import type { Disk } from '../../disk/disk.js';
import type { BitmapInfo } from '../../disk/format.js';
import { readBitmaps } from './bitmaps.js';
import { Qcow2Disk } from './disk.js';

/** The bitmaps that the image vouches for. @throws CORRUPT_IMAGE, LIMIT_EXCEEDED. */
export async function listBitmaps(disk: Disk): Promise<BitmapInfo[]> {
  if (!(disk instanceof Qcow2Disk) || !disk.header.bitmapsValid) return [];
  const bitmaps = await readBitmaps(disk.file, disk.header, disk.limits);
  return bitmaps.map(({ name, granularity, auto, inUse }) => ({
    name,
    granularity,
    enabled: auto,
    inconsistent: inUse,
  }));
}
