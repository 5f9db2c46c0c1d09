import { realpathSync } from 'node:fs';
import { requireObject, requireOneOf, requireString } from '../disk/arguments.js';
import { type Disk, isWritable, type WritableDisk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import type { ConvertTarget } from '../disk/format.js';
import { resolveGate } from '../disk/gates.js';
import { resolveLimits } from '../disk/limits.js';
import { LockModes } from '../disk/lock.js';
import { resolveStoredName } from '../disk/names.js';
import { type OpenDiskOptions, openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { Batches } from './batches.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { LayersAbove } from './layersAbove.js';
import { runTransfer } from './pipeline.js';
import { layers, segmentSize } from './segment.js';
import { type CacheMode, checkCacheMode, dropsCache, type NamedImage, openingOf } from './source.js';

/** `path` is the overlay. */
export interface CommitRequest extends NamedImage {
  /** `-b`: image of the backing chain that receives everything above it. Default: the immediate backing file. */
  base?: string;
  /** `-d`: leave the overlay as it is. Default: true with `base`, else false: it is emptied. */
  keepOverlay?: boolean;
  /** Default `writeback`: durable when the promise resolves. `unsafe` does not sync. */
  cache?: CacheMode;
}

export interface CommitOutcome {
  /** The image that received the data. */
  base: string;
  /** Its virtual size before and after, bytes. */
  before: number;
  after: number;
  /** Bytes of data written to it. */
  written: number;
  /** The overlay holds nothing any more. */
  emptied: boolean;
}

const MAX_BATCH_DATA = 256 * 2 ** 20;
const MAX_BATCH_SPAN = 2 ** 40;

/**
 * Puts what an overlay (with `base`: every layer above it) holds into an image below, which grows when the overlay is
 * larger, and empties the overlay. Only bytes that the layers hold themselves move. The base is complete and durable
 * before the overlay is emptied; stopped at any instant, the overlay reads as before.
 * @throws INVALID_ARGUMENT when there is no backing file, or `base` is not in the chain; UNSUPPORTED_OPERATION, LOCKED,
 * CORRUPT_IMAGE, LIMIT_EXCEEDED, IO, CANCELLED, and what opening throws.
 */
export function commit(request: CommitRequest, settings: JobSettings = {}): Promise<CommitOutcome> {
  return runJob('commit', settings, async (job) => {
    requireObject(request, 'the request', 'commit');
    requireString(request.path, 'path', 'commit');
    if (request.base !== undefined) requireString(request.base, 'base', 'commit');
    requireOneOf(request.keepOverlay, [true, false], 'keepOverlay', 'commit');
    checkCacheMode(request.cache, 'cache', 'commit');
    const open = openingOf(request);
    const depth = await baseDepth(request, open);
    const top = await openDisk(request.path, { ...open, writable: true, writableBacking: depth });
    try {
      return await commitInto(request, top, depth, job);
    } finally {
      await top.close();
    }
  });
}

async function commitInto(
  request: CommitRequest,
  top: Disk,
  depth: number,
  job: Job,
): Promise<CommitOutcome> {
  const chain = layers(top);
  const base = chain[depth];
  if (!base) throw noBacking(top.path);
  if (!isWritable(base)) throw new RangeError(`'${base.path}' was not opened for writing`);
  if (request.lock ?? true) for (const { file } of chain.slice(1, depth)) file.lock(LockModes.overChanging);
  const before = base.virtualSize;
  const sync = request.cache !== 'unsafe';
  if (top.virtualSize > before) await grow(base, top.virtualSize);
  const written = await moveLayers(request, chain.slice(0, depth), base, before, job);
  const keep = request.keepOverlay ?? request.base !== undefined;
  // A format that cannot be emptied stays as it is, as with QEMU.
  const { makeEmpty } = formatByName(top.format);
  const emptied = !keep && makeEmpty !== undefined;
  if (emptied) {
    if (!sync) await base.flush();
    await makeEmpty(top);
  }
  return { base: base.path, before, after: base.virtualSize, written, emptied };
}

/** What is added must not show what lies behind the base. */
async function grow(base: WritableDisk, size: number): Promise<void> {
  const before = base.virtualSize;
  await base.resize(size);
  const hidden = Math.min(size, base.backing?.virtualSize ?? 0);
  if (hidden > before) await base.zero(before, hidden - before);
}

async function moveLayers(
  request: CommitRequest,
  above: readonly Disk[],
  base: WritableDisk,
  before: number,
  job: Job,
): Promise<number> {
  const target = await openTarget(request, above[0].virtualSize, base, job);
  const { sink, alignment, checkpoint } = target;
  if (sink.type !== 'raw') throw new RangeError(`'${base.format}' packs; it cannot be written in place`);
  const map = new LayersAbove(above, before);
  job.control.total = map.virtualSize;
  const segment = segmentSize(above, alignment);
  const step = Math.max(segment, alignment);
  const span = Math.max(step, Math.min(target.span ?? MAX_BATCH_SPAN, MAX_BATCH_SPAN));
  const batches = new Batches(map, { alignment: step, data: Math.max(step, MAX_BATCH_DATA), span });
  let written = 0;
  const totals = await runTransfer(job, {
    options: {
      // A rate wants small pieces; without one the kernel may copy or share blocks.
      sink: { ...sink, detectZeros: 0, offload: job.control.bytesPerSecond === 0 },
      segment,
      shortRead: 'zeros',
    },
    next: () => batches.next(),
    checkpoint,
    extra: async ({ columns, start, end }) => ({ placement: await target.prepare?.(columns, start, end) }),
    accept: async (result, { columns, start, end }) => {
      written += result.written;
      await target.accept(result, columns, start, end);
      batches.recycle(columns);
      return undefined;
    },
  });
  if (totals) await target.finish(totals);
  job.throwIfCancelled();
  await target.publish({ sync: request.cache !== 'unsafe' });
  return written;
}

async function openTarget(
  request: CommitRequest,
  size: number,
  base: WritableDisk,
  job: Job,
): Promise<ConvertTarget> {
  const { openTarget: open } = formatByName(base.format);
  if (!open) {
    throw new DiskImageError(
      'UNSUPPORTED_OPERATION',
      `Existing images of format '${base.format}' can't be written to`,
      { path: base.path, operation: 'commit' },
    );
  }
  return open(base, {
    size,
    options: {},
    compress: false,
    sparseSize: 4096,
    backing: true,
    targetIsZero: false,
    gate: resolveGate(request.gate),
    limits: resolveLimits(request.limits),
    lock: request.lock ?? true,
    dropCache: dropsCache(request.cache),
    control: job.control,
  });
}

/**
 * How far below the overlay the base is. A relative name counts from the directory of each layer in turn (QEMU:
 * bdrv_find_backing_image).
 */
async function baseDepth({ path, base }: CommitRequest, open: OpenDiskOptions): Promise<number> {
  if (base === undefined) return 1;
  const top = await openDisk(path, open);
  try {
    for (const [i, layer] of layers(top).entries()) {
      const { backingFilename } = await layer.info();
      if (backingFilename === undefined || !layer.backing) continue;
      const wanted = realPath(base, layer.path);
      if (wanted !== undefined && wanted === realPath(backingFilename, layer.path)) return i + 1;
    }
  } finally {
    await top.close();
  }
  throw new DiskImageError('INVALID_ARGUMENT', `Did not find '${base}' in the backing chain of '${path}'`, {
    path,
    operation: 'commit',
  });
}

function realPath(name: string, imagePath: string): string | undefined {
  const resolved = resolveStoredName(name, imagePath);
  if (name === '' || resolved === undefined) return undefined;
  try {
    return realpathSync(resolved);
  } catch {
    return undefined; // It does not exist: it is no layer.
  }
}

function noBacking(path: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', 'Image does not have a backing file', {
    path,
    operation: 'commit',
  });
}
