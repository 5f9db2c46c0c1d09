import { requireOneOf, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import { type NamedImage, openingOf } from './source.js';

export interface ResizeImageOptions extends JobSettings, Omit<NamedImage, 'path'> {
  /** New virtual size, bytes. */
  size: number;
  /** `--shrink`: the size may be below the present one; what lies beyond is lost. Default false. */
  shrink?: boolean;
  /** Of what is added; default `off`. */
  preallocation?: 'off' | 'metadata' | 'falloc' | 'full';
  /** One fdatasync at the end. Default true. */
  sync?: boolean;
}

export interface ResizeOutcome {
  /** Virtual sizes, bytes. */
  before: number;
  after: number;
}

/**
 * Changes an image's virtual size in place.
 * @throws UNSUPPORTED_OPERATION when the format cannot be resized; INVALID_ARGUMENT for a smaller size without `shrink`;
 * LOCKED, IO, CANCELLED. The image has its old size then.
 */
export function resizeImage(path: string, options: ResizeImageOptions): Promise<ResizeOutcome> {
  return runJob('resize', options, async ({ control }) => {
    requireString(path, 'path', 'resize');
    const { size, preallocation = 'off' } = options;
    requireOneOf(preallocation, ['off', 'metadata', 'falloc', 'full'], 'preallocation', 'resize');
    const fail = (code: 'INVALID_ARGUMENT' | 'UNSUPPORTED_OPERATION', message: string) =>
      new DiskImageError(code, message, { path, operation: 'resize' });
    if (!Number.isSafeInteger(size) || size <= 0) {
      throw fail('INVALID_ARGUMENT', `New image size must be positive, not ${size}`);
    }
    const format = formatByName(options.format);
    if (!format.resize) throw fail('UNSUPPORTED_OPERATION', 'Image format driver does not support resize');
    const disk = await openDisk(path, { ...openingOf(options), writable: true });
    try {
      const before = disk.virtualSize;
      if (size <= before && preallocation !== 'off') {
        throw fail('INVALID_ARGUMENT', 'Preallocation can only be used for growing images');
      }
      if (size < before && !options.shrink) {
        throw fail(
          'INVALID_ARGUMENT',
          `Use the --shrink option to perform a shrink operation (from ${before} to ${size} bytes).`,
        );
      }
      await format.resize(disk, size, preallocation, control);
      if (options.sync ?? true) await disk.file.sync();
      return { before, after: size };
    } finally {
      await disk.close();
    }
  });
}
