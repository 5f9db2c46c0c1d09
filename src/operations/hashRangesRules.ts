import { requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import { algorithmRefusal, digestBytes } from './hashAlgorithms.js';
import type { HashRangesRequest } from './hashRanges.js';
import { checkGuestRequest, MAX_DIGESTS } from './hashRules.js';
import { checkCacheMode } from './source.js';

/** Bytes. */
export interface ByteRange {
  start: number;
  length: number;
}

/** @throws INVALID_ARGUMENT */
export function checkRangesRequest(request: HashRangesRequest): void {
  requireObject(request, 'the request', 'hash');
  requireString(request.path, 'path', 'hash');
  checkCacheMode(request.cache, 'cache', 'hash');
  checkGuestRequest(request);
  const { ranges, algorithm, path } = request;
  const refuse = (message: string): never => {
    throw new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'hash' });
  };
  const refusal = algorithm === undefined ? undefined : algorithmRefusal(algorithm);
  if (refusal) refuse(refusal);
  if (!Array.isArray(ranges) && !(ranges instanceof Float64Array)) {
    refuse('ranges must be an array of { start, length }, or a Float64Array of starts and lengths in turn');
  }
  if (ranges instanceof Float64Array && ranges.length % 2 !== 0) {
    refuse(`ranges hold ${ranges.length} numbers: starts and lengths in turn are an even number`);
  }
}

/** Start and length in turn. */
export function rangePairs(ranges: HashRangesRequest['ranges']): Float64Array {
  if (ranges instanceof Float64Array) return ranges;
  const pairs = new Float64Array(2 * ranges.length);
  for (const [i, range] of ranges.entries()) {
    requireObject(range, `range ${i}`, 'hash');
    pairs[2 * i] = range.start;
    pairs[2 * i + 1] = range.length;
  }
  return pairs;
}

/** @returns the bytes in all ranges. @throws INVALID_ARGUMENT, LIMIT_EXCEEDED */
export function checkRanges(request: HashRangesRequest, pairs: Float64Array, size: number): number {
  const { path, algorithm = 'md5' } = request;
  const digests = (pairs.length / 2) * digestBytes[algorithm];
  if (digests > MAX_DIGESTS) {
    throw new DiskImageError(
      'LIMIT_EXCEEDED',
      `${pairs.length / 2} ranges need ${digests} bytes of digests; the limit is ${MAX_DIGESTS}`,
      { path, operation: 'hash' },
    );
  }
  let end = 0;
  let bytes = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const [start, length] = [pairs[i], pairs[i + 1]];
    const refusal = !(Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length > 0)
      ? 'is none: start and length are whole numbers of bytes, the length at least 1'
      : start < end
        ? `begins before byte ${end}, where the one before it ends`
        : start + length > size
          ? `lies outside the ${size} bytes of '${path}'`
          : undefined;
    if (refusal) {
      throw new DiskImageError(
        'INVALID_ARGUMENT',
        `Range ${i / 2} (start ${start}, length ${length}) ${refusal}`,
        { path, operation: 'hash' },
      );
    }
    end = start + length;
    bytes += length;
  }
  return bytes;
}
