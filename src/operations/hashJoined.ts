import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { type FileBatch, FileBatches, type JoinedFile } from './fileBatches.js';
import type { HashRequest } from './hash.js';
import { digestBytes, type HashAlgorithm } from './hashAlgorithms.js';
import type { HashedFile } from './hashFiles.js';
import { cacheOptions, withReaders } from './hashPlan.js';
import { isHashable } from './hashRules.js';
import type { Job } from './job.js';
import { runTransfer } from './pipeline.js';
import { segmentSize } from './segment.js';
import { type CacheMode, dropsCache } from './source.js';

interface Group {
  algorithm: HashAlgorithm;
  cache: CacheMode | undefined;
  paths: { index: number; path: string }[];
}

/**
 * Digests those of `requests` that ask for one digest of a whole file: the files go through the engine as if they lay one
 * behind the other, each a range to digest, so that many go side by side on each thread.
 * @returns the indexes of the rest, which are to be digested alone.
 */
export async function hashJoined(
  requests: readonly HashRequest[],
  job: Job,
  done: (index: number, file: HashedFile) => void,
): Promise<number[]> {
  const alone: number[] = [];
  const groups = new Map<string, Group>();
  for (const [index, request] of requests.entries()) {
    const { path, algorithms = ['md5'], chunkSize, guest, cache } = request;
    const simple = !guest && chunkSize === undefined && algorithms.length === 1;
    if (!simple || !(await isHashable(path).catch(() => false))) {
      alone.push(index);
      continue;
    }
    const key = `${algorithms[0]} ${dropsCache(cache)}`;
    const group = groups.get(key) ?? { algorithm: algorithms[0], cache, paths: [] };
    groups.set(key, group);
    group.paths.push({ index, path });
  }
  for (const group of groups.values()) {
    if (group.paths.length === 1) alone.push(group.paths[0].index);
    else await hashGroup(group, job, done);
  }
  return alone.sort((a, b) => a - b);
}

async function hashGroup(
  { algorithm, cache, paths }: Group,
  job: Job,
  done: (index: number, file: HashedFile) => void,
): Promise<void> {
  const path = new Map(paths.map((one) => [one.index, one.path]));
  const width = digestBytes[algorithm];
  const failures = new Set<number>();
  const failed = (index: number, error: unknown, base = 0) => {
    failures.add(index);
    done(index, { path: path.get(index)!, error: placed(error, path.get(index)!, base) });
  };
  const batches = new FileBatches(paths, failed);
  const begun = new Set<number>();
  const digests = new WeakMap<FileBatch, Uint8Array>();
  try {
    await runTransfer(withReaders(job, cache), {
      options: {
        sink: { type: 'digest', algorithms: [], ranges: true, unitAlgorithm: algorithm, keepGoing: true },
        segment: segmentSize([]),
        shortRead: 'error',
        ...cacheOptions(cache),
      },
      next: () => batches.next(),
      extra: async (batch) => {
        const room = new Uint8Array(batch.files.length * width);
        digests.set(batch, room);
        const { done: so, total } = job.control.progress;
        job.control.total = Math.max(so, total) + newBytes(batch.files, begun);
        return {
          ranges: Float64Array.from(batch.files.flatMap(({ base, size }) => [base, size])),
          digests: room,
        };
      },
      accept: async ({ failures: bad = [] }, batch) => {
        for (const { index, error } of bad) failed(batch.files[index].index, error, batch.files[index].base);
        for (const [i, { index, base, size }] of batch.files.entries()) {
          if (failures.has(index) || base + size > batch.end) continue;
          const digest = Buffer.from(digests.get(batch)!.subarray(i * width, (i + 1) * width)).toString(
            'hex',
          );
          done(index, {
            path: path.get(index)!,
            outcome: { path: path.get(index)!, size, digests: { [algorithm]: digest } },
          });
        }
        await batches.recycle(batch);
        return undefined;
      },
    });
  } finally {
    await batches.close();
  }
}

function newBytes(files: readonly JoinedFile[], begun: Set<number>): number {
  let bytes = 0;
  for (const { index, size } of files) {
    if (!begun.has(index)) bytes += size;
    begun.add(index);
  }
  return bytes;
}

/** The engine speaks of the place among all files; its sentence is to name the place in this one. */
function placed(thrown: unknown, path: string, base: number): DiskImageError {
  if (thrown instanceof Error && !(thrown instanceof DiskImageError)) {
    thrown.message = thrown.message.replace(/at byte (\d+)/, (_, byte) => `at byte ${Number(byte) - base}`);
  }
  return toDiskImageError(thrown, { path, operation: 'hash' });
}
