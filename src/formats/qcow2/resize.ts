import { DiskImageError } from '../../disk/errors.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import { tooLarge } from './layout.js';
import type { WritableQcow2Disk } from './writable.js';

const ENTRY_BYTES = 8;

/**
 * Gives the disk a larger virtual size, bytes; what is added reads as zeros, or as the backing file where that is longer.
 * @throws UNSUPPORTED_OPERATION for what is not done in place yet: shrinking, preallocation, images with snapshots of
 * version 2 or with bitmaps; LIMIT_EXCEEDED; IO. The image has its old size then.
 */
export async function resizeQcow2(
  disk: WritableQcow2Disk,
  requested: number,
  preallocation: 'off' | 'metadata' | 'falloc' | 'full',
): Promise<void> {
  const { header, path } = disk;
  const size = alignUp(requested, 512);
  const refuse = (what: string) =>
    new DiskImageError('UNSUPPORTED_OPERATION', `${what} ('${path}')`, { path, operation: 'resize' });
  if (size < header.virtualSize) throw refuse('Shrinking a qcow2 image is not supported');
  if (preallocation !== 'off') throw refuse('Preallocation while a qcow2 image grows is not supported');
  if (header.version < 3 && header.snapshotCount > 0)
    throw refuse('Cannot resize a v2 image which has snapshots');
  if (header.bitmaps) throw refuse('Cannot resize an image which has bitmaps');
  const entries = divideUp(size, header.l2Coverage);
  if (entries * ENTRY_BYTES > disk.limits.l1Bytes || size > disk.limits.virtualSize) throw tooLarge(path);
  if (size === header.virtualSize) return;
  await disk.exclusive(async (core) => {
    if (entries > core.l1.entries) await core.moveL1(entries, size);
    else {
      await core.publish(true);
      await core.updateHeader({ virtualSize: size });
      core.noteHeader({ diskSize: size });
    }
    if (header.externalData && core.dataFile.size < size) await core.dataFile.truncate(size);
  });
}
