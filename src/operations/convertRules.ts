import { requireArray, requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import type { ConvertRequest } from './convert.js';
import { checkCacheMode } from './source.js';

export const DEFAULT_SPARSE_SIZE = 4096;
const MAX_SPARSE_SIZE = 16 * 2 ** 20;

/** Combinations that make no sense, in qemu-img's words where it has some. @throws INVALID_ARGUMENT */
export function checkConvertRequest(request: ConvertRequest): void {
  requireObject(request, 'the request', 'convert');
  requireArray(request.sources, 'sources', 'convert');
  requireObject(request.target, 'target', 'convert');
  requireString(request.target.path, 'target.path', 'convert');
  checkCacheMode(request.sourceCache, 'sourceCache', 'convert');
  checkCacheMode(request.targetCache, 'targetCache', 'convert');
  const { sources, target, sparseSize } = request;
  const refuse = (message: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', message, { path: target.path, operation: 'convert' });
  };
  if (sources.length === 0) refuse('convert needs at least one source');
  if (sources.length > 1 && sources.some((source) => source.snapshot)) {
    refuse('No support for concatenating multiple snapshot');
  }
  if (sources.length > 1 && hasBacking(request)) {
    refuse('Having a backing file for the target makes no sense when concatenating multiple input images');
  }
  if (!request.noCreate && hasBacking(request) && !(target.backing?.format ?? target.options?.backing_fmt)) {
    throw new DiskImageError(
      'BACKING_FORMAT_MISSING',
      'Use of backing file requires explicit backing format',
      {
        path: target.path,
        operation: 'convert',
      },
    );
  }
  if (
    sparseSize !== undefined &&
    !(
      Number.isInteger(sparseSize) &&
      sparseSize >= 0 &&
      sparseSize <= MAX_SPARSE_SIZE &&
      sparseSize % 512 === 0
    )
  ) {
    refuse(
      `Invalid buffer size for sparse output specified: ${sparseSize}. Valid sizes are multiples of 512 up to ` +
        `${MAX_SPARSE_SIZE}. Select 0 to disable sparse detection (fully allocates output).`,
    );
  }
  if (request.copyOffload) {
    if (sparseSize !== undefined) refuse('Cannot enable copy offloading when -S is used');
    if (request.compress) refuse('Cannot enable copy offloading when -c is used');
    if (request.salvage) refuse('Cannot use copy offloading in salvaging mode');
  }
  if (request.targetIsZero) {
    if (!request.noCreate) refuse('--target-is-zero requires use of -n flag');
    if (hasBacking(request)) {
      refuse('Cannot use --target-is-zero when the destination image has a backing file');
    }
  }
  if (request.noCreate && target.options && Object.keys(target.options).length > 0) {
    refuse('-o has no effect when skipping image creation');
  }
  if (request.compressionLevel !== undefined && !request.compress) {
    refuse('compressionLevel has no effect without compress');
  }
}

/** The target is an overlay, told by `backing` or by the option itself. */
export function hasBacking({ target }: ConvertRequest): boolean {
  return target.backing !== undefined || Boolean(target.options?.backing_file);
}
