import { stat } from 'node:fs/promises';
import { requireArray, requireFunction, requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { divideUp } from '../disk/offsets.js';
import type { HashRequest } from './hash.js';
import { algorithmRefusal, digestBytes, type HashAlgorithm } from './hashAlgorithms.js';
import { checkCacheMode } from './source.js';

/** Bytes of chunk digests that one job keeps: four million of MD5. */
export const MAX_DIGESTS = 64 * 2 ** 20;

/** @throws INVALID_ARGUMENT */
export function checkHashRequest(request: HashRequest): void {
  requireObject(request, 'the request', 'hash');
  requireString(request.path, 'path', 'hash');
  if (request.algorithms !== undefined) requireArray(request.algorithms, 'algorithms', 'hash');
  checkCacheMode(request.cache, 'cache', 'hash');
  requireFunction(request.onChunks, 'onChunks', 'hash');
  const { algorithms = ['md5'], chunkSize, chunkAlgorithm, path } = request;
  const refuse = (message: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'hash' });
  };
  if (algorithms.length === 0 && chunkSize === undefined) {
    refuse('hash needs at least one algorithm, or a chunkSize');
  }
  for (const name of chunkAlgorithm === undefined ? algorithms : [...algorithms, chunkAlgorithm]) {
    const refusal = algorithmRefusal(name);
    if (refusal) refuse(refusal);
  }
  if (chunkSize === undefined && (chunkAlgorithm !== undefined || request.onChunks)) {
    refuse('chunkAlgorithm and onChunks are of use with chunkSize only');
  }
  if (new Set(algorithms).size !== algorithms.length)
    refuse(`An algorithm is named twice: ${algorithms.join(', ')}`);
  if (chunkSize !== undefined && !(Number.isSafeInteger(chunkSize) && chunkSize >= 512)) {
    refuse(`chunkSize must be a whole number of bytes, at least 512, not ${chunkSize}`);
  }
  checkGuestRequest(request);
}

/** @throws INVALID_ARGUMENT */
export function checkGuestRequest({
  guest,
  format,
  snapshot,
  path,
}: Pick<HashRequest, 'guest' | 'format' | 'snapshot' | 'path'>): void {
  const refuse = (message: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'hash' });
  };
  if (guest && format === undefined) refuse(`The format of '${path}' is needed to read it as a guest would`);
  if (guest && path === '-') refuse('A guest disk cannot be read from standard input');
  if (!guest && (format !== undefined || snapshot !== undefined)) {
    refuse('format and snapshot are of use with guest only');
  }
}

/** What the chunks of `request` are digested with. */
export function chunkAlgorithmOf({ chunkAlgorithm, algorithms }: HashRequest): HashAlgorithm {
  return chunkAlgorithm ?? algorithms?.[0] ?? 'md5';
}

/** True for what the engine reads itself: block devices, and regular files that tell their size (those of /proc do not). */
export async function isHashable(path: string): Promise<boolean> {
  if (path === '-') return false;
  try {
    const found = await stat(path);
    return found.isBlockDevice() || (found.isFile() && found.size > 0);
  } catch (error) {
    throw toDiskImageError(error, { path, operation: 'hash' });
  }
}

/** @throws LIMIT_EXCEEDED */
export function checkChunkCount(request: HashRequest, size: number): void {
  const bytes = divideUp(size, request.chunkSize!) * digestBytes[chunkAlgorithmOf(request)];
  if (request.onChunks || bytes <= MAX_DIGESTS) return;
  throw new DiskImageError(
    'LIMIT_EXCEEDED',
    `Chunks of ${request.chunkSize} bytes of ${size} need ${bytes} bytes of digests; the limit is ${MAX_DIGESTS}`,
    { path: request.path, operation: 'hash' },
  );
}
