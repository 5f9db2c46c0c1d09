import { requireObject } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { CreateOptions, MeasureResult } from '../disk/format.js';
import { formatByName } from '../formats/registry.js';
import { type TypedCreateOptions, textOptions } from './createOptions.js';
import { type JobSettings, runJob } from './job.js';
import { type ImageSource, openSource } from './source.js';

export interface MeasureImageRequest extends TypedCreateOptions {
  /** Format of the image that would be made; default `raw`. */
  format?: string;
  /** `-o` options as text. */
  options?: CreateOptions;
  /** Virtual size, bytes, of an empty disk; or `source`. */
  size?: number;
  /** The disk that would be converted. */
  source?: ImageSource;
}

/**
 * Bytes a new image would need: for the source's data, and fully allocated (qemu-img measure).
 * @throws INVALID_ARGUMENT unless exactly one of size and source is given; UNSUPPORTED_OPERATION for formats that cannot
 * be measured; UNKNOWN_FORMAT; what opening the source throws; CANCELLED.
 */
export function measure(request: MeasureImageRequest, settings: JobSettings = {}): Promise<MeasureResult> {
  return runJob('measure', settings, async ({ control }) => {
    requireObject(request, 'the request', 'measure');
    const { format: name = 'raw', size, source } = request;
    const format = formatByName(name);
    if (!format.measure) {
      throw new DiskImageError(
        'UNSUPPORTED_OPERATION',
        `Block driver '${name}' does not support size measurement`,
        {
          operation: 'measure',
        },
      );
    }
    if ((size === undefined) === (source === undefined)) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        'Either a size or a source image must be given, not both',
        {
          operation: 'measure',
        },
      );
    }
    if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0)) {
      throw new DiskImageError('INVALID_ARGUMENT', `Size ${size} is not a whole number from 0 to 2^53 - 1`, {
        operation: 'measure',
      });
    }
    const options = textOptions(request);
    if (!source) return await format.measure({ size: size ?? 0, options, control });
    const disk = await openSource(source);
    try {
      return await format.measure({ size: disk.virtualSize, options, source: disk, control });
    } finally {
      await disk.close();
    }
  });
}
