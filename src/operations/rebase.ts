import { requireObject, requireOneOf, requireString } from '../disk/arguments.js';
import { type Disk, isWritable } from '../disk/disk.js';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { resolveGate } from '../disk/gates.js';
import { openBackingFor, openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { keepContent } from './keepContent.js';
import { type CacheMode, checkCacheMode, type NamedImage, openingOf } from './source.js';

/** `path` is the overlay. */
export interface RebaseRequest extends NamedImage {
  /** The new backing file: its name as it is to be stored, and its format, which is required. Undefined: none. */
  backing?: { path: string; format?: string };
  /** `-u`: only the name changes; no other file is opened. What the guest reads changes unless both files are alike. */
  unsafe?: boolean;
  /** Default `writeback`: durable when the promise resolves. `unsafe` does not sync. */
  cache?: CacheMode;
  /** `-U`: locks of the new backing file; default as `lock`. */
  lockBacking?: boolean;
}

export interface RebaseOutcome {
  /** Guest bytes that the overlay holds itself from now on, because the new backing file differs there. */
  copied: number;
}

/**
 * Gives an overlay another backing file. Unless `unsafe`, the guest reads the same as before: what differs between the
 * two files, where the overlay has nothing of its own, is taken into it first. What both take from the same place of one
 * file is not read. Stopped at any instant, the overlay has one backing file or the other, and reads the same.
 * @throws INVALID_ARGUMENT, UNSUPPORTED_OPERATION, BACKING_FORMAT_MISSING, BACKING_*, LOCKED, CORRUPT_IMAGE, IO,
 * CANCELLED, and what opening throws. An error about the new backing file has `operation: 'open new backing file'`.
 */
export function rebase(request: RebaseRequest, settings: JobSettings = {}): Promise<RebaseOutcome> {
  return runJob('rebase', settings, async (job) => {
    requireObject(request, 'the request', 'rebase');
    requireString(request.path, 'path', 'rebase');
    requireOneOf(request.unsafe, [true, false], 'unsafe', 'rebase');
    checkCacheMode(request.cache, 'cache', 'rebase');
    if (request.backing !== undefined) {
      requireObject(request.backing, 'backing', 'rebase');
      requireString(request.backing.path, 'backing.path', 'rebase');
    }
    const disk = await openDisk(request.path, {
      ...openingOf(request),
      writable: true,
      chain: !request.unsafe,
    });
    try {
      return await rebaseDisk(request, disk, job);
    } finally {
      await disk.close();
    }
  });
}

async function rebaseDisk(request: RebaseRequest, disk: Disk, job: Job): Promise<RebaseOutcome> {
  const { changeBacking } = formatByName(disk.format);
  const { unsafe, backing } = request;
  let copied = 0;
  const next = unsafe || !backing ? undefined : await openNew(request, backing, disk);
  try {
    if (!changeBacking) {
      throw new DiskImageError(
        'UNSUPPORTED_OPERATION',
        `Images of format '${disk.format}' have no backing file`,
        { path: disk.path, operation: 'rebase' },
      );
    }
    if (backing && backing.format === undefined) {
      throw new DiskImageError('BACKING_FORMAT_MISSING', 'backing format must be specified', {
        path: disk.path,
        operation: 'rebase',
      });
    }
    if (!unsafe && isWritable(disk)) copied = await keepContent(disk, disk.backing, next, job);
  } finally {
    await next?.close();
  }
  job.throwIfCancelled();
  await changeBacking(disk, backing && { name: backing.path, format: backing.format ?? '' });
  return { copied };
}

async function openNew(
  request: RebaseRequest,
  backing: { path: string; format?: string },
  disk: Disk,
): Promise<Disk> {
  try {
    return await openBackingFor(disk.path, backing.path, backing.format, {
      gate: resolveGate(request.gate),
      limits: request.limits,
      lock: request.lockBacking ?? request.lock,
    });
  } catch (error) {
    const failure = toDiskImageError(error);
    throw new DiskImageError(failure.code, failure.message, {
      ...failure,
      operation: 'open new backing file',
      // The new file is the first of its chain here.
      layer: failure.layer === undefined ? undefined : Math.max(0, failure.layer - 1),
      cause: failure,
    });
  }
}
