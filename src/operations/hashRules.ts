import { stat } from 'node:fs/promises';
import { requireArray, requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { divideUp } from '../disk/offsets.js';
import type { HashAlgorithm, HashRequest } from './hash.js';
import { checkCacheMode } from './source.js';

/** Bytes per digest. */
export const digestBytes: Readonly<Record<HashAlgorithm, number>> = {
  md5: 16,
  sha1: 20,
  sha256: 32,
  sha512: 64,
};

/** Bytes of chunk digests that one job keeps: four million of MD5. */
const MAX_CHUNK_DIGESTS = 64 * 2 ** 20;

/** @throws INVALID_ARGUMENT */
export function checkHashRequest(request: HashRequest): void {
  requireObject(request, 'the request', 'hash');
  requireString(request.path, 'path', 'hash');
  if (request.algorithms !== undefined) requireArray(request.algorithms, 'algorithms', 'hash');
  checkCacheMode(request.cache, 'cache', 'hash');
  const { algorithms = ['md5'], chunkSize, guest, format, path } = request;
  const refuse = (message: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'hash' });
  };
  if (algorithms.length === 0) refuse('hash needs at least one algorithm');
  for (const name of algorithms) {
    if (!Object.hasOwn(digestBytes, name)) {
      refuse(`Unknown digest algorithm '${name}' (known: ${Object.keys(digestBytes).join(', ')})`);
    }
  }
  if (new Set(algorithms).size !== algorithms.length)
    refuse(`An algorithm is named twice: ${algorithms.join(', ')}`);
  if (chunkSize !== undefined && !(Number.isSafeInteger(chunkSize) && chunkSize >= 512)) {
    refuse(`chunkSize must be a whole number of bytes, at least 512, not ${chunkSize}`);
  }
  if (guest && format === undefined) refuse(`The format of '${path}' is needed to read it as a guest would`);
  if (guest && path === '-') refuse('A guest disk cannot be read from standard input');
  if (!guest && (format !== undefined || request.snapshot !== undefined)) {
    refuse('format and snapshot are of use with guest only');
  }
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
export function checkChunkCount(request: HashRequest, size: number, algorithm: HashAlgorithm): void {
  const bytes = divideUp(size, request.chunkSize!) * digestBytes[algorithm];
  if (bytes <= MAX_CHUNK_DIGESTS) return;
  throw new DiskImageError(
    'LIMIT_EXCEEDED',
    `Chunks of ${request.chunkSize} bytes of ${size} need ${bytes} bytes of digests; the limit is ${MAX_CHUNK_DIGESTS}`,
    { path: request.path, operation: 'hash' },
  );
}
