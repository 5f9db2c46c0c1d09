import { DiskImageError } from '../disk/errors.js';
import { Batches } from './batches.js';
import { ChunkCollector, type ChunkRoom } from './chunkCollector.js';
import type { GuestMap } from './guestMap.js';
import type { HashAlgorithm } from './hashAlgorithms.js';
import { cacheOptions, chunkBatches, wholeBatches, withReaders } from './hashPlan.js';
import { checkHashRequest, chunkAlgorithmOf, isHashable } from './hashRules.js';
import { hashStream } from './hashStream.js';
import { openHostMap } from './hostMap.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { runTransfer } from './pipeline.js';
import { segmentSize } from './segment.js';
import { type CacheMode, type ImageSource, openSource, refuseShrunk } from './source.js';

export type { HashAlgorithm } from './hashAlgorithms.js';

export interface HashRequest extends Omit<ImageSource, 'format'> {
  /** A file, block device, pipe …; `-` is standard input. */
  path: string;
  /** Digest what the guest would read of this image instead of the file's own bytes; `format` is needed then. */
  guest?: boolean;
  format?: string;
  /** Of the whole. Default `['md5']`; computed in one pass. May be empty when chunks are digested. */
  algorithms?: readonly HashAlgorithm[];
  /** Bytes, 512 or more; also digest every chunk of this size (the last may be shorter). */
  chunkSize?: number;
  /** Of the chunks; default the first of `algorithms`, or md5. */
  chunkAlgorithm?: HashAlgorithm;
  /**
   * Takes the chunk digests as they come instead of having them all in the outcome, so that their number has no limit:
   * raw digests one after another, in the order of the chunks without a gap, `first` the index of the first of them.
   * The bytes are the callee's until it returns. What it throws ends the operation.
   */
  onChunks?: (digests: Uint8Array, first: number) => void;
  cache?: CacheMode;
}

export interface ChunkDigests {
  algorithm: HashAlgorithm;
  /** Bytes per chunk. */
  size: number;
  count: number;
  /** Raw digests one after another. */
  digests: Uint8Array;
}

export interface HashOutcome {
  path: string;
  /** Bytes digested. */
  size: number;
  /** Lower-case hexadecimal, by algorithm. */
  digests: Partial<Record<HashAlgorithm, string>>;
  chunks?: ChunkDigests;
}

/**
 * Digest of chunk (or range) `index` in lower-case hexadecimal.
 * @throws INVALID_ARGUMENT when there is no such chunk.
 */
export function chunkDigest(chunks: Pick<ChunkDigests, 'count' | 'digests'>, index: number): string {
  if (!Number.isInteger(index) || index < 0 || index >= chunks.count) {
    throw new DiskImageError('INVALID_ARGUMENT', `There is no chunk ${index} among ${chunks.count}`, {
      operation: 'hash',
    });
  }
  const width = chunks.digests.length / chunks.count;
  return Buffer.from(chunks.digests.buffer, chunks.digests.byteOffset + index * width, width).toString('hex');
}

/**
 * Digests a file's bytes, or with `guest` those of the disk in it; several algorithms and the chunk digests in one
 * pass. Holes are not read. What is neither a regular file nor a block device is digested as a stream.
 * @throws INVALID_ARGUMENT; LIMIT_EXCEEDED when the chunk digests would take more than 64 MiB; SOURCE_CHANGED when
 * the file shrinks meanwhile; IO, CANCELLED; with `guest` also what opening an image throws.
 */
export function hash(request: HashRequest, settings: JobSettings = {}): Promise<HashOutcome> {
  return runJob('hash', settings, async (job) => {
    checkHashRequest(request);
    if (request.guest) return hashGuest(request, job);
    if (await isHashable(request.path)) return hashFile(request, job);
    return hashStream(request, job);
  });
}

async function hashGuest(request: HashRequest, job: Job): Promise<HashOutcome> {
  const disk = await openSource({ ...request, format: request.format! });
  try {
    const outcome = await digest(request, disk, segmentSize([disk]), 'zeros', job);
    await refuseShrunk([disk], 'hash');
    return outcome;
  } finally {
    await disk.close();
  }
}

async function hashFile(request: HashRequest, job: Job): Promise<HashOutcome> {
  const map = await openHostMap(request.path);
  try {
    return await digest(request, map, segmentSize([]), 'error', job);
  } finally {
    await map.close();
  }
}

async function digest(
  request: HashRequest,
  map: GuestMap,
  segment: number,
  shortRead: 'error' | 'zeros',
  job: Job,
): Promise<HashOutcome> {
  const { algorithms = ['md5'], chunkSize } = request;
  const size = map.virtualSize;
  job.control.total = size;
  const chunks = chunkSize ? new ChunkCollector(request, size) : undefined;
  const rooms: ChunkRoom[] = [];
  const limits =
    chunkSize && algorithms.length === 0 ? chunkBatches(chunkSize) : wholeBatches(segment, chunkSize);
  const batches = new Batches(map, limits);
  const totals = await runTransfer(withReaders(job, request.cache), {
    options: {
      sink: {
        type: 'digest',
        algorithms: [...algorithms],
        ...(chunkSize && { chunkSize, size, unitAlgorithm: chunkAlgorithmOf(request) }),
      },
      segment,
      shortRead,
      ...cacheOptions(request.cache),
    },
    next: () => batches.next(),
    extra: async ({ start, end }) => {
      if (!chunks) return {};
      const room = chunks.room(start, end);
      rooms.push(room);
      return { digests: room.digests };
    },
    accept: async (_, { columns }) => {
      batches.recycle(columns);
      if (chunks) chunks.filled(rooms.shift()!);
      return undefined;
    },
  });
  const digests: HashOutcome['digests'] = {};
  for (const name of algorithms) digests[name] = Buffer.from(totals!.digests![name]).toString('hex');
  return { path: request.path, size, digests, chunks: chunks?.result };
}
