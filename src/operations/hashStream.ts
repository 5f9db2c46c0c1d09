import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream, open as openWithCallback } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { tellChunks } from './chunkCollector.js';
import type { ChunkDigests, HashOutcome, HashRequest } from './hash.js';
import type { HashAlgorithm } from './hashAlgorithms.js';
import { checkChunkCount, chunkAlgorithmOf } from './hashRules.js';
import type { Job } from './job.js';
import { pace } from './pace.js';

const open = promisify(openWithCallback);

/** Digests what can only be read from beginning to end: pipes, terminals, files of /proc. */
export async function hashStream(request: HashRequest, job: Job): Promise<HashOutcome> {
  const { path, algorithms = ['md5'] } = request;
  const whole = algorithms.map((name) => createHash(name));
  const chunks = request.chunkSize ? new StreamChunks(request, request.chunkSize) : undefined;
  const stream = await openStream(path);
  // A reader that waits for a pipe looks at no flag: the watch tears the stream away from it.
  const watch = setInterval(() => job.control.cancelled && stream.destroy(cancelError()), 20);
  let size = 0;
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      await pace(job.control, piece.length);
      job.throwIfCancelled();
      for (const digest of whole) digest.update(piece);
      chunks?.update(piece);
      size += piece.length;
      job.control.advance(piece.length);
    }
  } catch (error) {
    job.throwIfCancelled();
    throw toDiskImageError(error, { path, operation: 'hash' });
  } finally {
    clearInterval(watch);
    stream.destroy();
  }
  job.control.total = size;
  const digests: HashOutcome['digests'] = {};
  for (const [i, name] of algorithms.entries()) digests[name] = whole[i].digest('hex');
  return { path, size, digests, chunks: chunks?.finish() };
}

async function openStream(path: string): Promise<Readable> {
  if (path !== '-') {
    try {
      if (!(await stat(path)).isFIFO()) return createReadStream(path, { highWaterMark: 2 ** 20 });
      // Neither opening nor reading a FIFO may hold one of Node's few file threads until a writer comes: that could not
      // be cancelled. Without one, Linux keeps quiet on a fresh O_NONBLOCK reader until there has been a writer.
      const fd = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      return new Socket({ fd, readable: true, writable: false });
    } catch (error) {
      throw toDiskImageError(error, { path, operation: 'hash' });
    }
  }
  if (isMainThread) return process.stdin;
  throw new DiskImageError('INVALID_ARGUMENT', 'Standard input can be digested in the main thread only', {
    path,
    operation: 'hash',
  });
}

function cancelError(): DiskImageError {
  return new DiskImageError('CANCELLED', 'hash was cancelled', { operation: 'hash' });
}

/** Chunk digests of bytes that come one after another. */
class StreamChunks {
  readonly #request: HashRequest;
  readonly #size: number;
  readonly #algorithm: HashAlgorithm;
  readonly #kept: Uint8Array[] = [];
  #current: Hash | undefined;
  #filled = 0;
  #total = 0;
  #count = 0;

  constructor(request: HashRequest, size: number) {
    this.#request = request;
    this.#size = size;
    this.#algorithm = chunkAlgorithmOf(request);
  }

  /** @throws LIMIT_EXCEEDED */
  update(piece: Buffer): void {
    this.#total += piece.length;
    checkChunkCount(this.#request, this.#total);
    for (let at = 0; at < piece.length; ) {
      const take = Math.min(piece.length - at, this.#size - this.#filled);
      this.#current ??= createHash(this.#algorithm);
      this.#current.update(piece.subarray(at, at + take));
      at += take;
      this.#filled += take;
      if (this.#filled === this.#size) this.#close();
    }
  }

  finish(): ChunkDigests | undefined {
    this.#close();
    if (this.#request.onChunks) return undefined;
    const digests = Buffer.concat(this.#kept);
    return { algorithm: this.#algorithm, size: this.#size, count: this.#count, digests };
  }

  #close(): void {
    if (!this.#current) return;
    const digest = this.#current.digest();
    if (this.#request.onChunks) tellChunks(this.#request, digest, this.#count);
    else this.#kept.push(digest);
    this.#count++;
    this.#current = undefined;
    this.#filled = 0;
  }
}
