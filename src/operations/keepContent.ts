// What an overlay must hold itself before its backing file may change.
import type { Disk, WritableDisk } from '../disk/disk.js';
import { ExtentColumns, Kind } from '../disk/extents.js';
import { alignDown, alignUp } from '../disk/offsets.js';
import type { Job } from './job.js';
import { pace } from './pace.js';
import { cutColumns, holdsData } from './rows.js';
import { blankShared } from './sharedRows.js';

/** Bytes compared at a time, a multiple of most clusters. */
const PIECE = 2 ** 20;
/** Pieces under way at once. Memory: three times PIECE (or three clusters) for each. */
const LANES = 6;
const ROWS = 1024;

/**
 * Where `disk` holds nothing itself and its backing file differs from `next`, it takes the bytes of its backing file
 * over. Returns the bytes taken. Cost follows the metadata of the layers, and the data that may differ.
 */
export async function keepContent(
  disk: WritableDisk,
  old: Disk | undefined,
  next: Disk | undefined,
  job: Job,
): Promise<number> {
  const { control } = job;
  control.total = disk.virtualSize;
  const lanes = new Set<Promise<void>>();
  let failure: unknown;
  let copied = 0;
  try {
    for await (const [start, end] of doubtful(disk, old, next, job)) {
      if (failure !== undefined) break;
      const lane: Promise<void> = copyDifferent(disk, old, next, start, end, job)
        .then((bytes) => {
          copied += bytes;
        })
        .catch((error) => {
          failure ??= error;
        })
        .finally(() => lanes.delete(lane));
      lanes.add(lane);
      if (lanes.size >= LANES) await Promise.race(lanes);
    }
  } finally {
    await Promise.all(lanes);
  }
  if (failure !== undefined) throw failure;
  return copied;
}

/** Ranges of `disk`, at most PIECE long and cut at its clusters, that it does not hold and that have to be compared. */
async function* doubtful(
  disk: WritableDisk,
  old: Disk | undefined,
  next: Disk | undefined,
  { control, throwIfCancelled }: Job,
): AsyncGenerator<[number, number]> {
  const own = new ExtentColumns(ROWS);
  const size = disk.virtualSize;
  const cluster = disk.clusterSize ?? 512;
  const most = Math.max(PIECE, cluster);
  for (let at = 0; at < size; ) {
    throwIfCancelled();
    own.clear();
    const stop = await disk.map(own, at, size, { layer: 'own' });
    const rows = Array.from({ length: own.count }, (_, row) => row).filter(
      (row) => own.kind[row] === Kind.unallocated,
    );
    const ranges = rows.map((row): [number, number] => [own.start[row], own.start[row] + own.length[row]]);
    for (const [from, to] of ranges) {
      let done = from;
      for await (const [start, end] of differing(old, next, from, to)) {
        // Whole clusters of the overlay, as far as the range goes.
        let piece = Math.max(done, alignDown(start, cluster));
        while (piece < end) {
          const stop = Math.min(to, alignDown(piece + most, cluster), alignUp(end, cluster));
          yield [piece, stop];
          piece = stop;
        }
        done = Math.max(done, piece);
      }
    }
    control.advance(stop - at);
    at = stop;
  }
}

/** Ranges of [start, end) in which the two may differ, by their maps. */
async function* differing(
  old: Disk | undefined,
  next: Disk | undefined,
  start: number,
  end: number,
): AsyncGenerator<[number, number]> {
  const left = new ExtentColumns(ROWS);
  const right = new ExtentColumns(ROWS);
  for (let at = start; at < end; ) {
    left.clear();
    right.clear();
    const reached = await mapOrZero(old, left, at, end);
    const stop = await mapOrZero(next, right, at, reached);
    if (stop < reached) cutColumns(left, stop);
    const [a, b] = blankShared(left, right);
    yield* data(a, b);
    at = stop;
  }
}

async function mapOrZero(
  disk: Disk | undefined,
  into: ExtentColumns,
  start: number,
  end: number,
): Promise<number> {
  if (disk && start < disk.virtualSize) return disk.map(into, start, Math.min(end, disk.virtualSize));
  into.pushEmpty(Kind.zero, start, end - start, 0);
  return end;
}

/** Ranges where either has data. Both cover the same range without gaps. */
function* data(a: ExtentColumns, b: ExtentColumns): Generator<[number, number]> {
  let from = -1;
  let to = -1;
  for (let i = 0, j = 0; i < a.count && j < b.count; ) {
    const start = Math.max(a.start[i], b.start[j]);
    const endOfA = a.start[i] + a.length[i];
    const endOfB = b.start[j] + b.length[j];
    const end = Math.min(endOfA, endOfB);
    if (holdsData(a.kind[i]) || holdsData(b.kind[j])) {
      if (start !== to) {
        if (to > from) yield [from, to];
        from = start;
      }
      to = end;
    }
    if (endOfA <= endOfB) i++;
    if (endOfB <= endOfA) j++;
  }
  if (to > from) yield [from, to];
}

async function copyDifferent(
  disk: WritableDisk,
  old: Disk | undefined,
  next: Disk | undefined,
  start: number,
  end: number,
  job: Job,
): Promise<number> {
  await pace(job.control, 2 * (end - start));
  job.throwIfCancelled();
  const [before, after] = await Promise.all([bytesOf(old, start, end), bytesOf(next, start, end)]);
  if (before.equals(after)) return 0;
  const cluster = disk.clusterSize ?? 512;
  let copied = 0;
  for (let at = start; at < end; ) {
    let stop = Math.min(end, alignDown(at, cluster) + cluster);
    const differs = differ(before, after, at - start, stop - start);
    const zeros = differs && isZero(before, at - start, stop - start);
    // Neighbours that want the same go together.
    while (stop < end) {
      const further = Math.min(end, stop + cluster);
      if (differ(before, after, stop - start, further - start) !== differs) break;
      if (differs && isZero(before, stop - start, further - start) !== zeros) break;
      stop = further;
    }
    if (differs) {
      const bytes = before.subarray(at - start, stop - start);
      if (!zeros || !(await holdZeros(disk, at, stop))) await disk.write(bytes, at);
      copied += stop - at;
    }
    at = stop;
  }
  return copied;
}

function differ(a: Buffer, b: Buffer, from: number, to: number): boolean {
  return a.compare(b, from, to, from, to) !== 0;
}

function isZero(bytes: Buffer, from: number, to: number): boolean {
  return bytes[from] === 0 && bytes.compare(bytes, from + 1, to, from, to - 1) === 0;
}

/**
 * Zeros without bytes where the layer has marks for them. False: it has none, or found that the range reads as zeros
 * anyway, which the next backing file may change.
 */
async function holdZeros(disk: WritableDisk, start: number, end: number): Promise<boolean> {
  await disk.zero(start, end - start);
  const own = new ExtentColumns(ROWS);
  for (let at = start; at < end; ) {
    own.clear();
    at = await disk.map(own, at, end, { layer: 'own' });
    if (own.kind.subarray(0, own.count).some((kind) => kind === Kind.unallocated)) return false;
  }
  return true;
}

/** Guest bytes [start, end); what lies behind the disk's end, or has no disk, is zeros. */
async function bytesOf(disk: Disk | undefined, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  const held = Math.min(end, disk?.virtualSize ?? 0);
  if (disk && start < held) await disk.read(start, bytes.subarray(0, held - start));
  return bytes;
}
