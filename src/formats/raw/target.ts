import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { ConvertTarget, TargetRequest } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { NewFile } from '../../disk/newFile.js';
import type { RawSink } from '../../native.js';
import { checkDeviceSize, createNewFile } from '../publish.js';
import { rawSink } from '../rawSink.js';
import { extendFile, firstBlock } from './create.js';
import { fileHints, parseRawOptions, rawPreallocation } from './options.js';

/** Zeros move by whole pages of the host at best; batches need no more than that. */
const ALIGNMENT = 4096;

/** A raw file or block device that the engine writes by itself. */
class RawTarget implements ConvertTarget {
  readonly sink: RawSink;
  readonly alignment = ALIGNMENT;
  readonly #file: HostFile;
  /** Undefined for an existing image, which is its opener's to close. */
  readonly #target: NewFile | undefined;

  constructor(file: HostFile, target: NewFile | undefined, isZero: boolean, request: TargetRequest) {
    this.#file = file;
    this.#target = target;
    this.sink = rawSink(file, request, request.sparseSize === 0 ? 'write' : isZero ? 'skip' : 'punch');
  }

  async accept(): Promise<void> {}

  async finish(): Promise<void> {}

  async publish(options: { sync: boolean }): Promise<void> {
    if (this.#target) await this.#target.publish(options);
    else if (options.sync) await this.#file.sync();
  }

  async discard(): Promise<void> {
    await this.#target?.discard();
  }
}

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
    return new RawTarget(target.file, target, !target.inPlace, request);
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
  return new RawTarget(disk.file, undefined, request.targetIsZero, request);
}

function refuseCompression(path: string, request: TargetRequest): void {
  if (!request.compress) return;
  throw new DiskImageError('UNSUPPORTED_OPERATION', 'Compression not supported for this file format', {
    path,
    operation: 'convert',
  });
}
