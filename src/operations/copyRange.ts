import { requireObject, requireRange, requireString } from '../disk/arguments.js';
import type { Disk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import type { ConvertTarget } from '../disk/format.js';
import { resolveGate } from '../disk/gates.js';
import { resolveLimits } from '../disk/limits.js';
import { alignUp } from '../disk/offsets.js';
import { formatByName } from '../formats/registry.js';
import { type ConvertTargetSpec, transfer } from './convert.js';
import { DEFAULT_SPARSE_SIZE } from './convertRules.js';
import type { GuestMap } from './guestMap.js';
import { type Job, type JobSettings, runJob } from './job.js';
import {
  type CacheMode,
  checkCacheMode,
  dropsCache,
  filesOf,
  type ImageSource,
  openSource,
  refuseSameFile,
} from './source.js';

export interface CopyRangeRequest {
  source: ImageSource;
  /** The new image; a backing file is for convert. */
  target: Omit<ConvertTargetSpec, 'backing'>;
  /** First guest byte, default 0. */
  start?: number;
  /** Guest byte after the last, default the disk's end. */
  end?: number;
  /** Default `writeback`: durable when the promise resolves. `unsafe` does not sync. */
  targetCache?: CacheMode;
}

export interface CopyRangeOutcome {
  /** Bytes of the new guest disk: the range, rounded up to 512 with zeros. */
  virtualSize: number;
  /** Bytes of data written (holes, zeros and metadata not counted). */
  written: number;
}

/**
 * Copies guest bytes [start, end) into a new image, which appears under its name when it is complete. Zeros become holes.
 * @throws INVALID_ARGUMENT, UNKNOWN_FORMAT, UNSUPPORTED_OPERATION, LOCKED, TARGET_TOO_SMALL, SOURCE_CHANGED,
 * CORRUPT_IMAGE, IO, CANCELLED, and whatever opening the source throws.
 */
export function copyRange(request: CopyRangeRequest, settings: JobSettings = {}): Promise<CopyRangeOutcome> {
  return runJob('copyRange', settings, async (job) => {
    requireObject(request, 'the request', 'copyRange');
    requireObject(request.target, 'target', 'copyRange');
    requireString(request.target.path, 'target.path', 'copyRange');
    checkCacheMode(request.targetCache, 'targetCache', 'copyRange');
    const source = await openSource(request.source);
    try {
      const { start = 0, end = source.virtualSize } = request;
      requireRange(start, end, source.virtualSize, { path: source.path, operation: 'copyRange' });
      refuseSameFile(filesOf([source]), request.target.path, 'copyRange');
      return await copy(request, source, new Stretch(source, start, end), job);
    } finally {
      await source.close();
    }
  });
}

async function copy(
  request: CopyRangeRequest,
  source: Disk,
  map: Stretch,
  job: Job,
): Promise<CopyRangeOutcome> {
  job.control.total = map.virtualSize;
  const target = await newTarget(request, map.virtualSize, job);
  try {
    const { written } = await transfer({}, [source], map, target, job);
    job.throwIfCancelled();
    await target.publish({ sync: request.targetCache !== 'unsafe' });
    return { virtualSize: map.virtualSize, written };
  } finally {
    await target.discard();
  }
}

function newTarget(request: CopyRangeRequest, size: number, { control }: Job): Promise<ConvertTarget> {
  const { path, format: name, options = {}, gate, limits, lock = true } = request.target;
  const format = formatByName(name);
  if (!format.createTarget) {
    throw new DiskImageError(
      'UNSUPPORTED_OPERATION',
      `Format driver '${name}' does not support image creation`,
      { path, operation: 'copyRange' },
    );
  }
  return format.createTarget(path, {
    size,
    options,
    compress: false,
    sparseSize: DEFAULT_SPARSE_SIZE,
    backing: false,
    gate: resolveGate(gate),
    limits: resolveLimits(limits),
    lock,
    dropCache: dropsCache(request.targetCache),
    control,
  });
}

/** Bytes [start, end) of a disk as a disk of their own. */
class Stretch implements GuestMap {
  readonly virtualSize: number;
  readonly #disk: Disk;
  readonly #start: number;
  readonly #length: number;
  readonly #scratch = new ExtentColumns();

  constructor(disk: Disk, start: number, end: number) {
    this.#disk = disk;
    this.#start = start;
    this.#length = end - start;
    this.virtualSize = alignUp(end - start, 512);
  }

  async map(into: ExtentColumns, start: number, end: number): Promise<number> {
    if (start >= this.#length) {
      into.pushEmpty(Kind.zero, start, end - start, 0);
      return end;
    }
    const scratch = this.#scratch;
    scratch.clear();
    scratch.capacity = Math.max(1, into.capacity - into.count);
    const from = this.#start + start;
    const stop = await this.#disk.map(scratch, from, this.#start + Math.min(end, this.#length));
    for (let row = 0; row < scratch.count; row++) {
      into.appendPart(scratch, row, 0, scratch.length[row], scratch.start[row] - this.#start);
    }
    return stop - this.#start;
  }
}
