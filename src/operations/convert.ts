import type { Disk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import type { ConvertTarget, CreateOptions, TargetRequest } from '../disk/format.js';
import { resolveGate } from '../disk/gates.js';
import { resolveLimits } from '../disk/limits.js';
import { storedRows } from '../disk/storedRows.js';
import { openBackingFor, openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { Batches } from './batches.js';
import { Concatenation } from './concatenation.js';
import { checkConvertRequest, DEFAULT_SPARSE_SIZE, hasBacking } from './convertRules.js';
import { copyBitmaps, planBitmaps } from './copyBitmaps.js';
import { copyImage } from './copyImage.js';
import type { GuestMap } from './guestMap.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { OwnLayer } from './ownLayer.js';
import { runTransfer } from './pipeline.js';
import { segmentSize } from './segment.js';
import {
  type CacheMode,
  dropsCache,
  filesOf,
  type ImageSource,
  type NamedImage,
  openingOf,
  openSource,
  refuseSameFile,
  refuseShrunk,
} from './source.js';

export interface ConvertTargetSpec extends NamedImage {
  /** `-o` options by QEMU's names, values as text. */
  options?: CreateOptions;
  /** `-B`/`-F`: the new image is an overlay of this file, and only the source's own layer is copied. */
  backing?: { path: string; format?: string };
}

export interface ConvertRequest {
  /** One or more; several are put one after another, each padded with zeros to a multiple of 512 bytes. */
  sources: readonly ImageSource[];
  target: ConvertTargetSpec;
  /** `-c`: compress every cluster. */
  compress?: boolean;
  /** 0 or undefined: the codec's default; deflate 1 to 9, zstd 1 to 19. */
  compressionLevel?: number;
  /**
   * `-S`: bytes, multiple of 512, at most 16 MiB; runs of zeros this long become holes. 0 = allocate all.
   * Default 4096; when it is not given, one raw file becomes another by sharing blocks (reflink) where that can be done.
   */
  sparseSize?: number;
  /** `-n`: write into the existing target image, which keeps its format and options. */
  noCreate?: boolean;
  /** With noCreate: the caller vouches that the target reads as zeros. */
  targetIsZero?: boolean;
  /** Unreadable places become zeros and are reported instead of failing the job. */
  salvage?: boolean;
  /** `-W`: accepted; the engine always works at several places and the result is the same. */
  outOfOrder?: boolean;
  /** `-C`: let the kernel copy (reflink, copy_file_range) where both sides are plain; not with sparseSize, compress, salvage. */
  copyOffload?: boolean;
  /** `--bitmaps`: persistent bitmaps are copied; `skip-broken`: all but inconsistent ones. Of a single source. */
  bitmaps?: boolean | 'skip-broken';
  /** Default `writeback`. */
  sourceCache?: CacheMode;
  /** Default `writeback`: durable when the promise resolves. `unsafe` (qemu-img's own default) does not sync. */
  targetCache?: CacheMode;
}

export interface ConvertOutcome {
  /** Bytes of guest disk. */
  virtualSize: number;
  /** Bytes of data written to the target (holes, zeros and metadata not counted). */
  written: number;
  /** With salvage: guest ranges that read as zeros because they could not be read. */
  unreadable: { start: number; length: number }[];
  /** With `bitmaps: 'skip-broken'`: the bitmaps that were not copied because they are inconsistent. */
  skippedBitmaps?: string[];
}

/**
 * Copies a guest disk into a new (or, with noCreate, an existing) image. A new one appears under its name only
 * when it is complete; nothing is left of a failed or cancelled one. Memory: threads * 4 MiB and a few hundred KiB
 * of map.
 * @throws INVALID_ARGUMENT, UNKNOWN_FORMAT, UNSUPPORTED_OPERATION, LOCKED, TARGET_TOO_SMALL, SOURCE_CHANGED,
 * CORRUPT_IMAGE, IO, CANCELLED, and whatever opening the sources throws.
 */
export function convert(request: ConvertRequest, settings: JobSettings = {}): Promise<ConvertOutcome> {
  return runJob('convert', settings, async (job) => {
    checkConvertRequest(request);
    const sources: Disk[] = [];
    try {
      for (const source of request.sources) sources.push(await openSource(source));
      refuseSameFile(filesOf(sources), request.target.path, 'convert');
      const { bitmaps, target } = request;
      const plan = bitmaps ? await planBitmaps(sources, target, bitmaps) : undefined;
      if (copiesFile(request, sources)) {
        if (request.copyOffload) return await copyWhole(request, sources[0], job);
        const shared = await shareWhole(request, sources[0], job);
        if (shared) return shared;
      }
      const outcome = await convertDisks(request, sources, job);
      if (!plan) return outcome;
      await copyBitmaps(sources[0], target, plan);
      return { ...outcome, skippedBitmaps: plan.skipped };
    } finally {
      for (const source of sources) await source.close();
    }
  });
}

async function convertDisks(
  request: ConvertRequest,
  sources: readonly Disk[],
  job: Job,
): Promise<ConvertOutcome> {
  const whole = new Concatenation(await Promise.all(sources.map(storedRows)));
  job.control.total = whole.virtualSize;
  const planned = hasBacking(request) && !request.noCreate ? await newBackingSize(request) : undefined;
  const { target, disk } = await openTarget(request, whole.virtualSize, job);
  try {
    const { sink, alignment } = target;
    const cluster = sink.type === 'pack' ? sink.clusterSize : alignment;
    const map = hasBacking(request)
      ? new OwnLayer(sources[0], cluster, planned ?? disk?.backing?.virtualSize)
      : whole;
    const outcome = await transfer(request, sources, map, target, job);
    job.throwIfCancelled();
    await target.publish({ sync: request.targetCache !== 'unsafe' });
    return outcome;
  } finally {
    await target.discard();
    await disk?.close();
  }
}

/** Moves what `map` holds into `target`. */
export async function transfer(
  request: Pick<ConvertRequest, 'copyOffload' | 'salvage' | 'sourceCache'>,
  sources: readonly Disk[],
  map: GuestMap,
  target: ConvertTarget,
  job: Job,
): Promise<ConvertOutcome> {
  const { alignment } = target;
  // The kernel can copy between files; scanning for zeros would need the bytes up here. A rate wants small pieces.
  const sink =
    request.copyOffload && job.control.bytesPerSecond === 0 && target.sink.type === 'raw'
      ? { ...target.sink, offload: true, detectZeros: 0 }
      : target.sink;
  const cluster = sink.type === 'pack' ? sink.clusterSize : alignment;
  const segment = segmentSize(sources, alignment);
  const step = Math.max(segment, alignment);
  const batches = new Batches(map, {
    alignment: step,
    // What comes back for a batch is a few bytes per cluster packed or found zero.
    data: Math.max(step, Math.min(MAX_BATCH_DATA, cluster * MAX_BATCH_CLUSTERS)),
    span: Math.max(
      step,
      sink.type === 'pack' && sink.reportZeros
        ? cluster * MAX_BATCH_CLUSTERS
        : Math.min(target.span ?? MAX_BATCH_SPAN, MAX_BATCH_SPAN),
    ),
  });
  const outcome: ConvertOutcome = { virtualSize: map.virtualSize, written: 0, unreadable: [] };
  const totals = await runTransfer(job, {
    options: {
      sink,
      segment,
      // Rows may end past their file: the padding of a raw disk's last sector, the tail of a qcow2's last cluster.
      shortRead: 'zeros',
      salvage: request.salvage ?? false,
      dropSourceCache: dropsCache(request.sourceCache),
    },
    next: () => batches.next(),
    checkpoint: target.checkpoint,
    extra: async ({ columns, start, end }) => ({ placement: await target.prepare?.(columns, start, end) }),
    accept: async (result, { columns, start, end }) => {
      outcome.written += result.written;
      const unreadable = result.unreadable ?? [];
      for (let i = 0; i < unreadable.length; i += 2) {
        outcome.unreadable.push({ start: unreadable[i], length: unreadable[i + 1] });
      }
      await target.accept(result, columns, start, end);
      batches.recycle(columns);
      return undefined;
    },
  });
  await refuseShrunk(sources, 'convert');
  if (totals) await target.finish(totals);
  return outcome;
}

const MAX_BATCH_DATA = 256 * 2 ** 20;
const MAX_BATCH_CLUSTERS = 16384;
/** Empty space costs nothing but time to walk: far more of it than data may go in one batch. */
const MAX_BATCH_SPAN = 2 ** 40;

/** Makes the new image, or opens the existing one. */
async function openTarget(
  request: ConvertRequest,
  size: number,
  job: Job,
): Promise<{ target: ConvertTarget; disk?: Disk }> {
  const { path, format: name, gate, limits, lock = true } = request.target;
  const format = formatByName(name);
  if (hasBacking(request) && !format.createOptions?.some((spec) => spec.name === 'backing_file')) {
    throw new DiskImageError('INVALID_ARGUMENT', `Backing file not supported for file format '${name}'`, {
      path,
      operation: 'convert',
    });
  }
  const wanted: TargetRequest = {
    size,
    options: targetOptions(request),
    compress: request.compress ?? false,
    compressionLevel: request.compressionLevel,
    sparseSize: request.sparseSize ?? DEFAULT_SPARSE_SIZE,
    backing: hasBacking(request),
    gate: resolveGate(gate),
    limits: resolveLimits(limits),
    lock,
    dropCache: dropsCache(request.targetCache),
    control: job.control,
  };
  if (!request.noCreate) {
    if (!format.createTarget) throw cannot(`Format driver '${name}' does not support image creation`, path);
    return { target: await format.createTarget(path, wanted) };
  }
  if (!format.openTarget) throw cannot(`Existing images of format '${name}' can't be written to`, path);
  const disk = await openDisk(path, { ...openingOf(request.target), writable: true });
  try {
    if (disk.virtualSize < size) {
      throw new DiskImageError(
        'TARGET_TOO_SMALL',
        `output file is smaller than input file: '${path}' holds ${disk.virtualSize} bytes, ${size} are needed`,
        { path, operation: 'convert' },
      );
    }
    const targetIsZero = request.targetIsZero ?? false;
    return { target: await format.openTarget(disk, { ...wanted, targetIsZero }), disk };
  } catch (error) {
    await disk.close();
    throw error;
  }
}

function targetOptions({ target: { options = {}, backing } }: ConvertRequest): CreateOptions {
  if (!backing) return options;
  const named: Record<string, string> = { ...options, backing_file: backing.path };
  if (backing.format !== undefined) named.backing_fmt = backing.format;
  return named;
}

function cannot(what: string, path: string): DiskImageError {
  return new DiskImageError('UNSUPPORTED_OPERATION', what, { path, operation: 'convert' });
}

/**
 * Bytes of a new target's backing file: zeros behind its end need no marking.
 * @throws BACKING_*: a target that could not be opened is not made.
 */
async function newBackingSize(request: ConvertRequest): Promise<number> {
  const { path, gate, limits, lock } = request.target;
  const { backing_file: name, backing_fmt: format } = targetOptions(request);
  const backing = await openBackingFor(path, name, format, { gate: resolveGate(gate), limits, lock });
  const { virtualSize } = backing;
  await backing.close();
  return virtualSize;
}

/**
 * One raw file into a new raw file, byte for byte: the kernel can share the whole file in one call. Not when a sparse
 * size was asked for: shared blocks hold the zeros that the source holds.
 */
function copiesFile(request: ConvertRequest, sources: readonly Disk[]): boolean {
  const { noCreate, target } = request;
  return Boolean(
    !noCreate &&
      request.sparseSize === undefined &&
      !request.salvage &&
      !request.compress &&
      sources.length === 1 &&
      target.format === 'raw' &&
      sources[0].format === 'raw' &&
      Object.keys(targetOptions(request)).length === 0,
  );
}

/** Shares the source's blocks (a reflink: nothing is read or written); undefined where that can't be done. */
async function shareWhole(
  request: ConvertRequest,
  source: Disk,
  job: Job,
): Promise<ConvertOutcome | undefined> {
  try {
    return await copyWhole(request, source, job, 'always');
  } catch (error) {
    if (error instanceof DiskImageError && error.syscall === 'ioctl(FICLONE)') return undefined;
    throw error;
  }
}

async function copyWhole(
  request: ConvertRequest,
  source: Disk,
  job: Job,
  reflink: 'auto' | 'always' = 'auto',
): Promise<ConvertOutcome> {
  const { copied, size } = await copyImage(
    {
      reflink,
      source: source.path,
      target: request.target.path,
      size: source.virtualSize,
      lock: request.target.lock,
      targetCache: request.targetCache,
    },
    { control: job.control, threads: job.threads },
  );
  return { virtualSize: size, written: copied, unreadable: [] };
}
