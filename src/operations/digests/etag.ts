import { createHash } from 'node:crypto';
import { DiskImageError } from '../../disk/errors.js';
import { divideUp } from '../../disk/offsets.js';
import { type HashOutcome, type HashRequest, hash } from '../hash.js';
import { isHashable } from '../hashRules.js';
import { openHostMap } from '../hostMap.js';
import type { JobSettings } from '../job.js';
import { openSource } from '../source.js';
import { emptyDigest } from './algorithms.js';
import { MAX_PARTS } from './sumLines.js';

/** Bytes; what the AWS command line and most SDKs upload in. */
export const DEFAULT_PART = 8 * 2 ** 20;

/** MiB; what other tools choose by themselves, the commonest first. */
const OTHER_PARTS = [5, 16, 15, 64, 10, 32, 100, 128, 256, 512, 1024];

export interface S3EtagRequest
  extends Pick<HashRequest, 'path' | 'guest' | 'format' | 'snapshot' | 'gate' | 'limits' | 'lock' | 'cache'> {
  /**
   * Bytes per part; the upload is in parts then, even in a single one. Default: as the AWS command line does it. Less than
   * 8 MiB goes in one piece, more in parts of 8 MiB, doubled until 10,000 of them do.
   */
  partSize?: number;
}

export interface S3EtagOutcome {
  path: string;
  /** Bytes. */
  size: number;
  /** `HEX-PARTS`; of an upload in one piece the MD5. Without the quotes that S3 puts around it. */
  etag: string;
  /** Bytes; undefined of an upload in one piece. */
  partSize?: number;
  parts?: number;
}

/**
 * The ETag that S3 (MinIO, Ceph) gives a file uploaded so: the MD5 of the parts' MD5s, `-`, the number of parts. An
 * upload with SSE-KMS or SSE-C gets another one.
 * @throws LIMIT_EXCEEDED for more than the 10,000 parts that S3 takes; as `hash`.
 */
export async function s3Etag(request: S3EtagRequest, settings: JobSettings = {}): Promise<S3EtagOutcome> {
  const plan = await planEtag(request);
  return etagOf(await hash(plan, settings), request.partSize);
}

/** What `hash` has to be asked for. */
export async function planEtag({ partSize, ...source }: S3EtagRequest): Promise<HashRequest> {
  const chunkSize = partSize ?? usualPart((await sizeOf(source)) ?? 0);
  return { ...source, algorithms: [], chunkSize, chunkAlgorithm: 'md5' };
}

/** @param partSize - what the caller asked for. @throws LIMIT_EXCEEDED */
export function etagOf({ path, size, chunks }: HashOutcome, partSize?: number): S3EtagOutcome {
  const { count, digests, size: used } = chunks!;
  if (partSize === undefined && size < DEFAULT_PART) {
    const md5 = count === 0 ? emptyDigest('md5') : Buffer.from(digests).toString('hex');
    return { path, size, etag: md5 };
  }
  if (count > MAX_PARTS) {
    throw new DiskImageError(
      'LIMIT_EXCEEDED',
      `Parts of ${used} bytes of ${size} are ${count}; S3 takes ${MAX_PARTS}`,
      { path, operation: 'hash' },
    );
  }
  const parts = Math.max(count, 1);
  // An empty upload in parts has one empty part.
  const all = count === 0 ? Buffer.from(emptyDigest('md5'), 'hex') : digests;
  return {
    path,
    size,
    etag: `${createHash('md5').update(all).digest('hex')}-${parts}`,
    partSize: used,
    parts,
  };
}

/** Part sizes with which `size` bytes make `parts` parts, those that tools choose by themselves; bytes, the likeliest first. */
export function likelyParts(size: number, parts: number): number[] {
  const sizes = [usualPart(size), ...OTHER_PARTS.map((mebibytes) => mebibytes * 2 ** 20)];
  return [...new Set(sizes)].filter((part) => Math.max(1, divideUp(size, part)) === parts);
}

function usualPart(size: number): number {
  let part = DEFAULT_PART;
  while (divideUp(size, part) > MAX_PARTS) part *= 2;
  return part;
}

/** Undefined for what is read as a stream. */
export async function sizeOf(source: Omit<S3EtagRequest, 'partSize'>): Promise<number | undefined> {
  if (!source.guest && !(await isHashable(source.path))) return undefined;
  const map = source.guest
    ? await openSource({ ...source, format: source.format! })
    : await openHostMap(source.path);
  await map.close();
  return map.virtualSize;
}
