import { DiskImageError } from '../../disk/errors.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { NewFile } from '../../disk/newFile.js';
import { createNewFile } from '../publish.js';
import { PackedTarget } from './builder.js';
import { DataFileTarget } from './dataFileTarget.js';
import { type Geometry, geometry } from './layout.js';
import { checkQcow2Options, parseQcow2Options, type Qcow2Options } from './options.js';
import { PreallocatedTarget } from './preallocatedTarget.js';

/**
 * A new image that convert fills in guest order.
 * @throws INVALID_ARGUMENT, UNSUPPORTED_FEATURE, UNSUPPORTED_OPERATION, LIMIT_EXCEEDED, LOCKED, IO.
 */
export async function createQcow2Target(path: string, request: TargetRequest): Promise<ConvertTarget> {
  const options = checkQcow2Options(parseQcow2Options(request.options, path), path);
  const shape = geometry(options, request.size, path);
  if (request.compress) checkCompression(options, request.compressionLevel, path);
  const target = await createNewFile(path, request.lock, options.hints);
  try {
    return await buildTarget(target, options, shape, request);
  } catch (error) {
    await target.discard();
    throw error;
  }
}

function buildTarget(
  target: NewFile,
  options: Qcow2Options,
  shape: Geometry,
  request: TargetRequest,
): Promise<ConvertTarget> {
  if (options.preallocation !== 'off') return PreallocatedTarget.create(target, options, shape, request);
  if (options.dataFile !== undefined) return DataFileTarget.create(target, options, shape, request);
  return PackedTarget.create(target, options, shape, request);
}

const HIGHEST_LEVEL = { zlib: 9, zstd: 19 } as const;

function checkCompression(options: Qcow2Options, level: number | undefined, path: string): void {
  const { compressionType } = options;
  const highest = HIGHEST_LEVEL[compressionType];
  if (level !== undefined && !(Number.isInteger(level) && level >= 0 && level <= highest)) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `Compression level ${level} is not one of ${compressionType}'s: 1 to ${highest}, or 0 for the default`,
      { path, operation: 'convert' },
    );
  }
  if (options.preallocation !== 'off') {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      'Compression and preallocation not supported at the same time',
      { path, operation: 'convert' },
    );
  }
  if (options.dataFile !== undefined) {
    throw new DiskImageError(
      'UNSUPPORTED_OPERATION',
      `Compressed clusters cannot be written to an external data file ('${options.dataFile}')`,
      { path, operation: 'convert' },
    );
  }
}
