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
  if (request.compress) checkCompression(options, path);
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

function checkCompression(options: Qcow2Options, path: string): void {
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
