// How digest jobs are cut into batches, and how their files are read.
import type { JobOptions } from '../native.js';
import type { BatchLimits } from './batches.js';
import type { Job } from './job.js';
import { type CacheMode, dropsCache } from './source.js';

const MAX_BATCH_DATA = 2 ** 30;
const MAX_BATCH_SPAN = 2 ** 40;
/** Chunks in one batch, which bounds what is held of their digests. */
const MAX_BATCH_CHUNKS = 2 ** 16;
/** Chunks up to this long are never cut by the end of a batch, however fragmented they are. */
const WHOLE_CHUNK = 2 ** 26;
/** Rows of a batch with larger chunks: the more chunks it holds, the more of them go side by side. */
const MANY_ROWS = 2 ** 16;
/** Reads past the page cache know no readahead: it takes this many under way at once to keep a disk busy. */
const DIRECT_THREADS = 8;

/** For a digest of the whole, with or without its chunks. */
export function wholeBatches(segment: number, chunkSize: number | undefined): BatchLimits {
  const chunks = chunkSize ? MAX_BATCH_CHUNKS * chunkSize : MAX_BATCH_SPAN;
  const span = Math.max(segment, Math.min(MAX_BATCH_SPAN, chunks - (chunks % segment)));
  return { alignment: segment, data: MAX_BATCH_DATA, span };
}

/** For chunks alone. */
export function chunkBatches(chunkSize: number): BatchLimits {
  if (chunkSize > WHOLE_CHUNK) {
    return { alignment: 2 ** 20, data: 2 ** 50, span: 2 ** 44, rows: MANY_ROWS };
  }
  const alignment = chunkSize * Math.max(1, Math.floor(2 ** 20 / chunkSize));
  const span = alignment * Math.max(1, Math.floor((MAX_BATCH_CHUNKS * chunkSize) / alignment));
  return { alignment, data: 2 ** 50, span };
}

/** The engine's options for reading under a cache mode. */
export function cacheOptions(cache: CacheMode | undefined): Pick<JobOptions, 'direct' | 'dropSourceCache'> {
  const none = dropsCache(cache);
  return { direct: none, dropSourceCache: none };
}

/** The job with the threads that reading under a cache mode takes: most of them wait for the disk. */
export function withReaders(job: Job, cache: CacheMode | undefined): Job {
  return dropsCache(cache) ? { ...job, threads: Math.max(job.threads, DIRECT_THREADS) } : job;
}
