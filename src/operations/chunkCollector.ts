import { DiskImageError } from '../disk/errors.js';
import type { ChunkDigests, HashRequest } from './hash.js';
import { digestBytes, type HashAlgorithm } from './hashAlgorithms.js';
import { checkChunkCount, chunkAlgorithmOf } from './hashRules.js';

/** Gathers the chunk digests of one hash, or passes them on to the request's `onChunks`. */
export class ChunkCollector {
  readonly #request: HashRequest;
  readonly #algorithm: HashAlgorithm;
  readonly #pieces: Uint8Array[] = [];
  #count = 0;

  /** `size`: bytes that will be digested, when they are known. @throws LIMIT_EXCEEDED */
  constructor(request: HashRequest, size = 0) {
    this.#request = request;
    this.#algorithm = chunkAlgorithmOf(request);
    if (request.chunkSize) checkChunkCount(request, size);
  }

  /** @throws INVALID_ARGUMENT when `onChunks` throws. */
  push(digests: Uint8Array): void {
    if (digests.length === 0) return;
    const first = this.#count;
    this.#count += digests.length / digestBytes[this.#algorithm];
    if (!this.#request.onChunks) {
      this.#pieces.push(digests);
      return;
    }
    try {
      this.#request.onChunks(digests, first);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new DiskImageError('INVALID_ARGUMENT', `onChunks failed: ${reason}`, {
        operation: 'hash',
        cause,
      });
    }
  }

  get result(): ChunkDigests | undefined {
    const { chunkSize: size, onChunks } = this.#request;
    if (!size || onChunks) return undefined;
    const digests = Buffer.concat(this.#pieces);
    return { algorithm: this.#algorithm, size, count: this.#count, digests };
  }
}
