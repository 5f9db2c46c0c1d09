import { DiskImageError } from '../disk/errors.js';
import type { ChunkDigests, HashRequest } from './hash.js';
import { digestBytes, type HashAlgorithm } from './hashAlgorithms.js';
import { checkChunkCount, chunkAlgorithmOf } from './hashRules.js';

/** Chunk digests that the engine writes for one batch. */
export interface ChunkRoom {
  /** Index of the first chunk. */
  first: number;
  digests: Uint8Array;
}

/** Room for the chunk digests of one hash of known size; keeps them all, or passes them on to `onChunks`. */
export class ChunkCollector {
  readonly #request: HashRequest;
  readonly #chunk: number;
  readonly #algorithm: HashAlgorithm;
  readonly #size: number;
  readonly #count: number;
  readonly #kept: Uint8Array | undefined;

  /** `size`: bytes that will be digested. @throws LIMIT_EXCEEDED */
  constructor(request: HashRequest, size: number) {
    this.#request = request;
    this.#chunk = request.chunkSize!;
    this.#algorithm = chunkAlgorithmOf(request);
    this.#size = size;
    checkChunkCount(request, size);
    this.#count = Math.ceil(size / this.#chunk);
    if (!request.onChunks) this.#kept = new Uint8Array(this.#count * digestBytes[this.#algorithm]);
  }

  /** Where the digests of the chunks go that end in (start, end]. */
  room(start: number, end: number): ChunkRoom {
    const first = Math.floor(start / this.#chunk);
    const until = end === this.#size ? this.#count : Math.floor(end / this.#chunk);
    const width = digestBytes[this.#algorithm];
    const digests =
      this.#kept?.subarray(first * width, until * width) ?? new Uint8Array((until - first) * width);
    return { first, digests };
  }

  /** The room is filled. @throws INVALID_ARGUMENT when `onChunks` throws. */
  filled({ first, digests }: ChunkRoom): void {
    if (digests.length > 0) tellChunks(this.#request, digests, first);
  }

  get result(): ChunkDigests | undefined {
    if (!this.#kept) return undefined;
    return { algorithm: this.#algorithm, size: this.#chunk, count: this.#count, digests: this.#kept };
  }
}

/** Hands digests to the request's `onChunks`, if it has one. @throws INVALID_ARGUMENT when it throws. */
export function tellChunks({ onChunks }: HashRequest, digests: Uint8Array, first: number): void {
  try {
    onChunks?.(digests, first);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DiskImageError('INVALID_ARGUMENT', `onChunks failed: ${reason}`, { operation: 'hash', cause });
  }
}
