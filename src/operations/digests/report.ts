// What the writers write: everything that was digested of one file.
import { stat } from 'node:fs/promises';
import type { ChunkDigests, HashOutcome, HashRequest } from '../hash.js';
import type { HashAlgorithm } from '../hashAlgorithms.js';

/** Everything that was digested of one file. What `hash` resolves to is one. */
export interface DigestReport {
  path: string;
  /** Bytes of the file, or of the guest disk. */
  size: number;
  guest?: boolean;
  /** Of the image, with `guest`. */
  format?: string;
  /** Lower-case hexadecimal, by algorithm. */
  digests: HashOutcome['digests'];
  /** Several when chunks were digested with several algorithms. */
  chunks?: ChunkDigests | readonly ChunkDigests[];
  blkhash?: { algorithm: HashAlgorithm; blockSize: number; digest: string };
  /** Of the file, for DFXML. */
  times?: { modified: Date; changed: Date; accessed: Date };
}

export function chunkLists({ chunks = [] }: DigestReport): readonly ChunkDigests[] {
  return 'algorithm' in chunks ? [chunks] : chunks;
}

export interface DigestPlan {
  algorithms: readonly HashAlgorithm[];
  /** Bytes: also (or without `whole` only) digest chunks of this size, with every algorithm, a pass each. */
  chunkSize?: number;
  /** Digest the whole too. Default true, with `chunkSize` false. */
  whole?: boolean;
}

/** What `hash` has to be asked for, in order, to make a report of `source` by `plan`. */
export function reportRequests(source: HashRequest, plan: DigestPlan): HashRequest[] {
  const { algorithms, chunkSize, whole = chunkSize === undefined } = plan;
  if (chunkSize === undefined) return [{ ...source, algorithms }];
  return algorithms.map((chunkAlgorithm, i) => ({
    ...source,
    algorithms: whole && i === 0 ? algorithms : [],
    chunkSize,
    chunkAlgorithm,
  }));
}

/** The report from the outcomes of `reportRequests`. */
export function reportOf(source: HashRequest, outcomes: readonly HashOutcome[]): DigestReport {
  const [{ path, size, digests }] = outcomes;
  const chunks = outcomes.flatMap((outcome) => outcome.chunks ?? []);
  return {
    path,
    size,
    ...(source.guest && { guest: true, format: source.format }),
    digests,
    ...(chunks.length > 0 && { chunks }),
  };
}

/** The file's times, for DFXML; undefined for standard input. */
export async function reportTimes(path: string): Promise<DigestReport['times']> {
  if (path === '-') return undefined;
  const { mtime, ctime, atime } = await stat(path);
  return { modified: mtime, changed: ctime, accessed: atime };
}
