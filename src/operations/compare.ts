import { requireObject } from '../disk/arguments.js';
import type { Disk } from '../disk/disk.js';
import { type ExtentColumns, Kind } from '../disk/extents.js';
import { alignDown } from '../disk/offsets.js';
import { storedRows } from '../disk/storedRows.js';
import { nativeBatch } from '../disk/view.js';
import { Batches, type BatchLimits, type MapBatch } from './batches.js';
import { statusMismatch } from './compareStatus.js';
import type { GuestMap } from './guestMap.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { runTransfer } from './pipeline.js';
import { cutColumns } from './rows.js';
import { segmentSize } from './segment.js';
import { blankShared } from './sharedRows.js';
import { type CacheMode, checkCacheMode, dropsCache, type ImageSource, openSource } from './source.js';

export interface CompareRequest {
  first: ImageSource;
  second: ImageSource;
  /** `-s`: sizes and allocation status must agree too. */
  strict?: boolean;
  cache?: CacheMode;
}

/** How the comparison came out; offsets are bytes of the guest disk. */
export type CompareOutcome =
  | {
      identical: true;
      /** The sizes differ, and what the larger image has more is zero. */
      sizeMismatch: boolean;
    }
  | {
      identical: false;
      reason: 'content';
      /** Start of the first 512-byte sector that differs. */
      offset: number;
      /** The common part is equal; the difference lies in what the larger image has more. */
      sizeMismatch: boolean;
    }
  | {
      identical: false;
      /** strict: stored differently (allocated, zero, data, in place) from here on. */
      reason: 'status';
      offset: number;
      sizeMismatch: false;
    }
  | {
      identical: false;
      /** strict: the sizes differ. */
      reason: 'size';
      sizeMismatch: true;
    };

const SECTOR = 512;
const MAX_BATCH_DATA = 256 * 2 ** 20;
const MAX_BATCH_SPAN = 2 ** 40;

/**
 * Compares what two guests would read. Holes are not read, nor bytes that both images take from the same place
 * of one file.
 * @throws what opening throws; CORRUPT_IMAGE, IO, SOURCE_CHANGED while reading (`path` says which image).
 */
export function compare(request: CompareRequest, settings: JobSettings = {}): Promise<CompareOutcome> {
  return runJob('compare', settings, async (job) => {
    requireObject(request, 'the request', 'compare');
    checkCacheMode(request.cache, 'cache', 'compare');
    const first = await openSource(request.first);
    try {
      const second = await openSource(request.second);
      try {
        return await compareDisks(first, second, request, job);
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  });
}

async function compareDisks(
  first: Disk,
  second: Disk,
  request: CompareRequest,
  job: Job,
): Promise<CompareOutcome> {
  const common = Math.min(first.virtualSize, second.virtualSize);
  const size = Math.max(first.virtualSize, second.virtualSize);
  if (request.strict && common !== size) return { identical: false, reason: 'size', sizeMismatch: true };
  // A difference in status counts at its offset: content before it that differs is the first difference.
  const status = request.strict ? await statusMismatch(first, second, common, job) : undefined;
  const end = status ?? size;
  job.control.total = end;
  const offset = await contentMismatch(first, second, end, request.cache, job);
  if (offset !== undefined) {
    return { identical: false, reason: 'content', offset, sizeMismatch: offset >= common };
  }
  if (status !== undefined)
    return { identical: false, reason: 'status', offset: status, sizeMismatch: false };
  return { identical: true, sizeMismatch: common !== size };
}

interface PairBatch extends MapBatch {
  other: ExtentColumns;
}

/** Offset of the first differing sector of [0, end); what lies past a disk's end counts as zeros. */
async function contentMismatch(
  first: Disk,
  second: Disk,
  end: number,
  cache: CacheMode | undefined,
  job: Job,
): Promise<number | undefined> {
  const segment = segmentSize([first, second]);
  const limits: BatchLimits = { alignment: segment, data: MAX_BATCH_DATA, span: MAX_BATCH_SPAN };
  const left = new Batches(zeroAfter(await storedRows(first)), limits, end);
  const right = new Batches(zeroAfter(await storedRows(second)), limits, end);
  let found: number | undefined;
  await runTransfer<PairBatch>(job, {
    options: {
      sink: { type: 'compare' },
      segment,
      shortRead: 'zeros',
      dropSourceCache: dropsCache(cache),
    },
    next: () => nextPair(left, right),
    extra: async ({ other, start, end: stop }) => {
      const { columns, fds, paths } = nativeBatch(other, start, stop);
      return { other: { columns, fds, paths } };
    },
    accept: async ({ mismatch }, { columns, other }) => {
      left.recycle(columns);
      right.recycle(other);
      if (mismatch === undefined || mismatch < 0) return false;
      found = alignDown(mismatch, SECTOR);
      return true;
    },
  });
  return found;
}

/** Batches of both sides over the same range: the shorter one decides. */
async function nextPair(left: Batches, right: Batches): Promise<PairBatch | undefined> {
  const a = await left.next();
  if (!a) return undefined;
  const b = await right.next(a.end);
  if (!b) throw new RangeError(`no map of [${a.start}, ${a.end})`);
  if (b.end < a.end) {
    cutColumns(a.columns, b.end);
    left.seek(b.end);
  }
  const [columns, other] = blankShared(a.columns, b.columns);
  return { columns, other, start: a.start, end: b.end };
}

function zeroAfter(disk: GuestMap): GuestMap {
  return {
    virtualSize: disk.virtualSize,
    async map(into, start, end) {
      if (start < disk.virtualSize) return disk.map(into, start, Math.min(end, disk.virtualSize));
      into.pushEmpty(Kind.zero, start, end - start, 0);
      return end;
    },
  };
}
