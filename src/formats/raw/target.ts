import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import { FlatTarget } from '../flatTarget.js';
import { checkDeviceSize, createNewFile } from '../publish.js';
import { extendFile, firstBlock } from './create.js';
import { fileHints, parseRawOptions, rawPreallocation } from './options.js';

/**
 * A new raw file, or a block device under its name.
 * @throws INVALID_ARGUMENT, UNSUPPORTED_OPERATION (compression), TARGET_TOO_SMALL, LOCKED, IO.
 */
export async function createRawTarget(path: string, request: TargetRequest): Promise<ConvertTarget> {
  const values = parseRawOptions(request.options, path);
  const preallocation = rawPreallocation(values, path);
  refuseCompression(path, request);
  const target = await createNewFile(path, request.lock, fileHints(values, path));
  try {
    checkDeviceSize(target, request.size);
    if (!target.inPlace) {
      if (preallocation === 'off') {
        await target.file.truncate(request.size);
        await target.file.write(firstBlock(request.size), 0);
      } else {
        await extendFile(target.file, 0, request.size, preallocation, request.control.buffer);
      }
    }
    return new FlatTarget(target.file, target, !target.inPlace, request);
  } catch (error) {
    await target.discard();
    throw error;
  }
}

/** @throws TARGET_TOO_SMALL, UNSUPPORTED_OPERATION (compression). */
export async function openRawTarget(
  disk: Disk,
  request: TargetRequest & { targetIsZero: boolean },
): Promise<ConvertTarget> {
  refuseCompression(disk.path, request);
  if (disk.virtualSize < request.size) {
    throw new DiskImageError('TARGET_TOO_SMALL', 'output file is smaller than input file', {
      path: disk.path,
      operation: 'convert',
    });
  }
  return new FlatTarget(disk.file, undefined, request.targetIsZero, request);
}

function refuseCompression(path: string, request: TargetRequest): void {
  if (!request.compress) return;
  throw new DiskImageError('UNSUPPORTED_OPERATION', 'Compression not supported for this file format', {
    path,
    operation: 'convert',
  });
}
