import type { ChunkDigests, HashAlgorithm, HashRequest } from './hash.js';
import { checkChunkCount, digestBytes } from './hashRules.js';

/** Gathers the chunk digests of one hash. */
export class ChunkCollector {
  readonly #request: HashRequest;
  readonly #algorithm: HashAlgorithm;
  readonly #pieces: Uint8Array[] = [];

  /** `size`: bytes that will be digested, when they are known. @throws LIMIT_EXCEEDED */
  constructor(request: HashRequest, size = 0) {
    this.#request = request;
    this.#algorithm = request.algorithms?.[0] ?? 'md5';
    if (request.chunkSize) checkChunkCount(request, size, this.#algorithm);
  }

  push(digests: Uint8Array): void {
    this.#pieces.push(digests);
  }

  get result(): ChunkDigests | undefined {
    const size = this.#request.chunkSize;
    if (!size) return undefined;
    const digests = Buffer.concat(this.#pieces);
    const count = digests.length / digestBytes[this.#algorithm];
    return { algorithm: this.#algorithm, size, count, digests };
  }
}
