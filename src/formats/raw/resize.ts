import type { JobControl } from '../../disk/control.js';
import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { extendFile } from './create.js';

/**
 * Gives a raw file exactly `size` bytes; what is added reads as zeros, reserved as `preallocation` says.
 * @throws INVALID_ARGUMENT with QEMU's sentences; UNSUPPORTED_OPERATION for block devices, whose size is not ours to
 * change; IO; CANCELLED, after which the file has its old size.
 */
export async function resizeRaw(
  disk: Disk,
  size: number,
  preallocation: 'off' | 'metadata' | 'falloc' | 'full',
  control: JobControl,
): Promise<void> {
  const { file } = disk;
  const fail = (code: 'INVALID_ARGUMENT' | 'UNSUPPORTED_OPERATION', message: string) =>
    new DiskImageError(code, message, { path: file.path, operation: 'resize' });
  if (preallocation === 'metadata')
    throw fail('INVALID_ARGUMENT', 'Unsupported preallocation mode: metadata');
  if (file.isBlockDevice) {
    if (size <= file.size) return;
    throw fail('UNSUPPORTED_OPERATION', 'Cannot grow device files');
  }
  const before = file.size;
  if (size < before && preallocation !== 'off') {
    throw fail('INVALID_ARGUMENT', 'Preallocation can only be used for growing images');
  }
  if (size <= before) return file.truncate(size);
  control.total = size - before;
  try {
    await extendFile(file, before, size, preallocation, control.buffer);
  } catch (error) {
    await file.truncate(before);
    throw error;
  }
}
