import type { GuestMap } from './guestMap.js';
import { digestBytes, type HashAlgorithm } from './hashAlgorithms.js';
import { cacheOptions, withReaders } from './hashPlan.js';
import { type ByteRange, checkRanges, checkRangesRequest, rangePairs } from './hashRangesRules.js';
import { openHostMap } from './hostMap.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { runTransfer } from './pipeline.js';
import { RangeBatches } from './rangeBatches.js';
import { segmentSize } from './segment.js';
import { type CacheMode, type ImageSource, openSource, refuseShrunk } from './source.js';

export type { ByteRange } from './hashRangesRules.js';

export interface HashRangesRequest extends Omit<ImageSource, 'format'> {
  /** A regular file or block device. */
  path: string;
  /** Ranges of what the guest would read of this image instead of the file's own bytes; `format` is needed then. */
  guest?: boolean;
  format?: string;
  /** Bytes: ascending, disjoint, none empty, within the file (or guest disk). Numbers: start and length in turn. */
  ranges: readonly ByteRange[] | Float64Array;
  /** Default md5. */
  algorithm?: HashAlgorithm;
  cache?: CacheMode;
}

/** One digest per range; `chunkDigest(outcome, index)` is its hexadecimal form. */
export interface RangeDigests {
  path: string;
  algorithm: HashAlgorithm;
  /** Bytes of the file, or of the guest disk. */
  size: number;
  /** Bytes digested: the sum of the ranges. */
  bytes: number;
  count: number;
  /** Raw digests one after another, in the order of the ranges. */
  digests: Uint8Array;
}

/**
 * Digests byte ranges of a file, or with `guest` of the disk in it, each by itself, in one pass. Costs what the ranges
 * cost; holes are not read.
 * @throws INVALID_ARGUMENT for ranges that are out of order, overlap, are empty or lie outside; LIMIT_EXCEEDED when the
 * digests would take more than 64 MiB; as `hash` otherwise.
 */
export function hashRanges(request: HashRangesRequest, settings: JobSettings = {}): Promise<RangeDigests> {
  return runJob('hash', settings, async (job) => {
    checkRangesRequest(request);
    if (!request.guest) {
      const map = await openHostMap(request.path);
      try {
        return await digest(request, map, segmentSize([]), 'error', job);
      } finally {
        await map.close();
      }
    }
    const disk = await openSource({ ...request, format: request.format! });
    try {
      const outcome = await digest(request, disk, segmentSize([disk]), 'zeros', job);
      await refuseShrunk([disk], 'hash');
      return outcome;
    } finally {
      await disk.close();
    }
  });
}

async function digest(
  request: HashRangesRequest,
  map: GuestMap,
  segment: number,
  shortRead: 'error' | 'zeros',
  job: Job,
): Promise<RangeDigests> {
  const { path, algorithm = 'md5', cache } = request;
  const pairs = rangePairs(request.ranges);
  const bytes = checkRanges(request, pairs, map.virtualSize);
  job.control.total = bytes;
  const count = pairs.length / 2;
  const width = digestBytes[algorithm];
  const digests = new Uint8Array(count * width);
  const batches = new RangeBatches(map, pairs);
  await runTransfer(withReaders(job, cache), {
    options: {
      sink: { type: 'digest', algorithms: [], ranges: true, unitAlgorithm: algorithm },
      segment,
      shortRead,
      ...cacheOptions(cache),
    },
    next: () => batches.next(),
    extra: async ({ first, until }) => ({
      ranges: pairs.subarray(2 * first, 2 * until),
      digests: digests.subarray(first * width, until * width),
    }),
    accept: async (_, { columns }) => {
      batches.recycle(columns);
      return undefined;
    },
  });
  return { path, algorithm, size: map.virtualSize, bytes, count, digests };
}
