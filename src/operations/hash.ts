import type { JobSettings } from './job.js';
import type { CacheMode, ImageSource } from './source.js';

export type HashAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha512';

export interface HashRequest extends Omit<ImageSource, 'format'> {
  /** A file; `-` is standard input. */
  path: string;
  /** Digest what the guest would read of this image instead of the file's own bytes; `format` is needed then. */
  guest?: boolean;
  format?: string;
  /** Default `['md5']`; computed in one pass. */
  algorithms?: readonly HashAlgorithm[];
  /** Bytes; also digest every chunk of this size (the last may be shorter) with the first algorithm. */
  chunkSize?: number;
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

/** Digest of chunk `index` in lower-case hexadecimal. */
export function chunkDigest(chunks: ChunkDigests, index: number): string {
  const width = chunks.digests.length / chunks.count;
  return Buffer.from(chunks.digests.buffer, chunks.digests.byteOffset + index * width, width).toString('hex');
}

export declare function hash(request: HashRequest, settings?: JobSettings): Promise<HashOutcome>;
