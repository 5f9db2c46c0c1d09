import { createHash } from 'node:crypto';
import { requireObject } from '../../disk/arguments.js';
import { DiskImageError } from '../../disk/errors.js';
import { type HashRequest, hash } from '../hash.js';
import { algorithmRefusal, type HashAlgorithm } from '../hashAlgorithms.js';
import type { JobSettings } from '../job.js';

/** Bytes; what blksum uses. */
export const BLKHASH_BLOCK = 65_536;

export interface BlkhashRequest
  extends Pick<HashRequest, 'path' | 'format' | 'snapshot' | 'gate' | 'limits' | 'lock' | 'cache'> {
  /** Default sha256, as blksum's. */
  algorithm?: HashAlgorithm;
  /** Bytes, 512 or more. Default 65536; another one gives another digest. */
  blockSize?: number;
}

export interface BlkhashOutcome {
  path: string;
  /** Bytes of the guest disk, or of the stream. */
  size: number;
  algorithm: HashAlgorithm;
  /** Bytes. */
  blockSize: number;
  /** Lower-case hexadecimal. */
  digest: string;
}

/**
 * The block hash of a guest disk: H(H(block 1) … H(block N) length), the length as 64 bits little-endian, a last shorter
 * block digested as it is (blkhash by Nir Soffer, the construction without streams). Images with the same content have
 * the same one, whatever their format. Blocks of zeros, allocated or not, cost no digest. Without `format`, `path` is read
 * as it is; `-` is standard input.
 * @throws as `hash`.
 */
export async function blkhash(request: BlkhashRequest, settings: JobSettings = {}): Promise<BlkhashOutcome> {
  requireObject(request, 'the request', 'hash');
  const { algorithm = 'sha256', blockSize = BLKHASH_BLOCK, ...source } = request;
  const plan = new BlkhashPlan(algorithm, source.path);
  const guest = source.format !== undefined;
  const { path, size } = await hash({ ...source, ...plan.request(blockSize), guest }, settings);
  return { path, size, algorithm, blockSize, digest: plan.digest(size) };
}

/** One block hash in the making: what to ask `hash` for, and the digest from what it passes on. */
export class BlkhashPlan {
  readonly algorithm: HashAlgorithm;
  readonly #root;

  /** @throws INVALID_ARGUMENT */
  constructor(algorithm: HashAlgorithm, path: string) {
    const refusal = algorithmRefusal(algorithm);
    if (refusal) throw new DiskImageError('INVALID_ARGUMENT', refusal, { path, operation: 'hash' });
    this.algorithm = algorithm;
    this.#root = createHash(algorithm);
  }

  request(blockSize: number): Pick<HashRequest, 'algorithms' | 'chunkSize' | 'chunkAlgorithm' | 'onChunks'> {
    return {
      algorithms: [],
      chunkSize: blockSize,
      chunkAlgorithm: this.algorithm,
      onChunks: (digests) => void this.#root.update(digests),
    };
  }

  /** Once; `size`: bytes that were digested. */
  digest(size: number): string {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(size));
    return this.#root.update(length).digest('hex');
  }
}
