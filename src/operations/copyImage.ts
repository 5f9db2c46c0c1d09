import { requireObject, requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';
import { HostFile } from '../disk/hostFile.js';
import { LockModes } from '../disk/lock.js';
import { NewFile } from '../disk/newFile.js';
import { type CopyFileResult, native } from '../native.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { type CacheMode, checkCacheMode, refuseSameFile } from './source.js';

export interface CopyImageRequest {
  source: string;
  target: string;
  /** Bytes the copy has in the end, at least the source's size; default the source's size. The rest is a hole. */
  size?: number;
  /** `auto` (default): share blocks where the filesystem can, else copy. */
  reflink?: 'auto' | 'always' | 'never';
  /** Bytes, multiple of 512; runs of zeros this long inside data become holes. Default 0: only the source's holes. */
  sparseSize?: number;
  /** Replace an existing file; default true. */
  replace?: boolean;
  /** Permission bits; default 0o644. */
  mode?: number;
  /** QEMU's locks on source and target; default true. */
  lock?: boolean;
  /** Default durable; `unsafe` does not sync. */
  targetCache?: CacheMode;
}

export interface CopyImageOutcome extends CopyFileResult {
  /** Bytes of the copy. */
  size: number;
}

/**
 * Sparse copy of a file, byte for byte: reflink, else copy_file_range, else read and write. The copy appears under
 * its name when it is complete.
 * @throws INVALID_ARGUMENT for a size below the source's, or when both are one file; TARGET_TOO_SMALL for a block
 * device; LOCKED, IO, SOURCE_CHANGED, CANCELLED.
 */
export function copyImage(request: CopyImageRequest, settings: JobSettings = {}): Promise<CopyImageOutcome> {
  return runJob('copy', settings, async (job) => {
    requireObject(request, 'the request', 'copy');
    requireString(request.source, 'source', 'copy');
    requireString(request.target, 'target', 'copy');
    checkCacheMode(request.targetCache, 'targetCache', 'copy');
    const source = await HostFile.open(request.source);
    try {
      if (request.lock ?? true) source.lock(LockModes.readShared);
      refuseSameFile([source], request.target, 'copy');
      const size = copySize(request, source);
      const target = await NewFile.create(request.target, {
        mode: request.mode,
        replace: request.replace,
        lock: request.lock,
      });
      try {
        const result = await copy(request, source, target, size, job);
        job.throwIfCancelled();
        await target.publish({ sync: request.targetCache !== 'unsafe' });
        return { ...result, size };
      } finally {
        await target.discard();
      }
    } finally {
      await source.close();
    }
  });
}

function copy(
  request: CopyImageRequest,
  source: HostFile,
  target: NewFile,
  size: number,
  job: Job,
): Promise<CopyFileResult> {
  if (target.inPlace && target.file.size < size) {
    throw new DiskImageError(
      'TARGET_TOO_SMALL',
      `'${request.target}' holds ${target.file.size} bytes, ${size} are needed`,
      { path: request.target, operation: 'copy' },
    );
  }
  return native.copyFile(source.fd, source.path, target.file.fd, target.path, {
    reflink: request.reflink ?? 'auto',
    detectZeros: request.sparseSize ?? 0,
    size: target.inPlace ? undefined : size,
    threads: job.threads,
    control: job.control.buffer,
    targetIsZero: !target.inPlace,
  });
}

function copySize(request: CopyImageRequest, source: HostFile): number {
  const size = request.size ?? source.size;
  if (Number.isSafeInteger(size) && size >= source.size) return size;
  throw new DiskImageError(
    'INVALID_ARGUMENT',
    `A copy of '${request.source}' can't have ${size} bytes: the file has ${source.size}`,
    { path: request.source, operation: 'copy' },
  );
}
