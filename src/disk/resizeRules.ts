import { requireOneOf } from './arguments.js';
import type { Disk, ResizeOptions } from './disk.js';
import { DiskImageError } from './errors.js';

/**
 * What holds for every format's resize.
 * @throws INVALID_ARGUMENT with QEMU's sentences.
 */
export function requireResize(
  disk: Pick<Disk, 'path' | 'virtualSize'>,
  size: number,
  { shrink = false, preallocation = 'off' }: ResizeOptions,
): void {
  requireOneOf(preallocation, ['off', 'metadata', 'falloc', 'full'], 'preallocation', 'resize');
  const before = disk.virtualSize;
  const fail = (message: string) =>
    new DiskImageError('INVALID_ARGUMENT', message, { path: disk.path, operation: 'resize' });
  if (!Number.isSafeInteger(size) || size <= 0) throw fail(`New image size must be positive, not ${size}`);
  if (size <= before && preallocation !== 'off') {
    throw fail('Preallocation can only be used for growing images');
  }
  if (size < before && !shrink) {
    throw fail(`Use the --shrink option to perform a shrink operation (from ${before} to ${size} bytes).`);
  }
}
