import { ExtentColumns, Kind } from '../disk/extents.js';
import type { HostFile } from '../disk/hostFile.js';
import { nativeBatch } from '../disk/view.js';
import { native } from '../native.js';
import { type Job, type JobSettings, runJob } from '../operations/job.js';

const CHUNKS_PER_REGION = 64;
const MIN_REGION = 64 * 2 ** 20;
const MAX_REGIONS = 4096;
const SEGMENT = 2 ** 20;
const RUNS_PER_CALL = 1024;

/** Chunks of one region that hold data, and the SHA-256 of their bytes one after another. */
export interface RegionDigest {
  index: number;
  /** Bit i (of 64) = chunk i was digested; every other chunk is zeros. Hexadecimal. */
  chunks: string;
  sha256: string;
}

/**
 * Digest of a sparse file whose cost follows its data, not its size: the file is cut into regions of 64 chunks, and
 * only chunks that hold data count (the last one filled up with zeros). Growing the file by zeros changes nothing.
 */
export interface DataDigest {
  /** Bytes, 64 MiB or, for files above 256 GiB, so much that there are at most 4096 regions. */
  regionSize: number;
  /** In order; regions without data are left out. */
  regions: RegionDigest[];
}

/** Digests what a file holds now, on all engine threads. Progress counts bytes of data. */
export function digestData(file: HostFile, settings: JobSettings = {}): Promise<DataDigest> {
  return runJob('digest', settings, async (job) => {
    const regionSize = regionSizeFor(file.size);
    const masks = dataMasks(file, regionSize);
    const found = await digestMasks(file, regionSize, masks, job);
    return { regionSize, regions: found };
  });
}

/**
 * Compares a file with what was recorded of it.
 * @returns byte ranges that differ, in order; empty = the same content.
 */
export function compareData(
  file: HostFile,
  recorded: DataDigest,
  settings: JobSettings = {},
): Promise<{ start: number; end: number }[]> {
  return runJob('verify', settings, async (job) => {
    const { regionSize } = recorded;
    const masks = new Map(recorded.regions.map(({ index, chunks }) => [index, BigInt(`0x${chunks}`)]));
    const found = await digestMasks(file, regionSize, masks, job);
    const expected = new Map(recorded.regions.map(({ index, sha256 }) => [index, sha256]));
    const wrong = new Set(
      found.filter(({ index, sha256 }) => expected.get(index) !== sha256).map(({ index }) => index),
    );
    for (const [index, mask] of dataMasks(file, regionSize)) {
      const extra = mask & ~(masks.get(index) ?? 0n);
      if (extra !== 0n && !(await isZero(file, regionSize, index, extra, job))) wrong.add(index);
    }
    return [...wrong]
      .sort((a, b) => a - b)
      .map((index) => ({ start: index * regionSize, end: Math.min((index + 1) * regionSize, file.size) }));
  });
}

function regionSizeFor(size: number): number {
  let region = MIN_REGION;
  while (size / region > MAX_REGIONS) region *= 2;
  return region;
}

/** Per region with data, which chunks hold some: from the filesystem's map, without reading. */
function dataMasks(file: HostFile, regionSize: number): Map<number, bigint> {
  const chunk = regionSize / CHUNKS_PER_REGION;
  const masks = new Map<number, bigint>();
  for (let at = 0; at < file.size; ) {
    const { runs, next } = native.dataRuns(file.fd, at, file.size, RUNS_PER_CALL);
    for (let i = 0; i < runs.length; i += 2) {
      const last = Math.floor((runs[i + 1] - 1) / chunk);
      for (let n = Math.floor(runs[i] / chunk); n <= last; n++) {
        const region = Math.floor(n / CHUNKS_PER_REGION);
        masks.set(region, (masks.get(region) ?? 0n) | (1n << BigInt(n % CHUNKS_PER_REGION)));
      }
    }
    at = next;
  }
  return masks;
}

async function digestMasks(
  file: HostFile,
  regionSize: number,
  masks: ReadonlyMap<number, bigint>,
  job: Job,
): Promise<RegionDigest[]> {
  const chunk = regionSize / CHUNKS_PER_REGION;
  const waiting = [...masks].filter(([, mask]) => mask !== 0n).sort(([a], [b]) => a - b);
  job.control.total = waiting.reduce((sum, [, mask]) => sum + chunkIndexes(mask).length * chunk, 0);
  const regions: RegionDigest[] = new Array(waiting.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < waiting.length; at = next++) {
      job.throwIfCancelled();
      const [index, mask] = waiting[at];
      const sha256 = await digestRegion(file, index * regionSize, chunk, mask, job);
      regions[at] = { index, chunks: mask.toString(16), sha256 };
    }
  };
  // Every lane settles before an error goes up: none may still read when the caller closes the file.
  const ends = await Promise.allSettled(Array.from({ length: job.threads }, lane));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return regions;
}

async function digestRegion(
  file: HostFile,
  start: number,
  chunk: number,
  mask: bigint,
  job: Job,
): Promise<string> {
  const columns = new ExtentColumns(CHUNKS_PER_REGION);
  let length = 0;
  for (const index of chunkIndexes(mask)) {
    columns.pushPlaced(Kind.data, length, chunk, 0, file, start + index * chunk);
    length += chunk;
  }
  const digest = native.createJob({
    sink: { type: 'digest', algorithms: ['sha256'], chunkSize: 0 },
    control: job.control.buffer,
    threads: 1,
    segment: SEGMENT,
    shortRead: 'zeros',
  });
  try {
    await digest.submit(nativeBatch(columns, 0, length));
    const { digests } = await digest.finish();
    return Buffer.from(digests?.sha256 ?? []).toString('hex');
  } catch (error) {
    await digest.abort();
    throw error;
  }
}

/** Whether chunks that were holes when the digest was made, and are not any more, still read as zeros. */
async function isZero(
  file: HostFile,
  regionSize: number,
  index: number,
  mask: bigint,
  job: Job,
): Promise<boolean> {
  const chunk = regionSize / CHUNKS_PER_REGION;
  const zeros = Buffer.alloc(SEGMENT);
  const buffer = Buffer.alloc(SEGMENT);
  for (const bit of chunkIndexes(mask)) {
    for (let at = 0; at < chunk; at += SEGMENT) {
      job.throwIfCancelled();
      const count = await file.read(buffer, index * regionSize + bit * chunk + at);
      if (!buffer.subarray(0, count).equals(zeros.subarray(0, count))) return false;
    }
  }
  return true;
}

function chunkIndexes(mask: bigint): number[] {
  const indexes: number[] = [];
  for (let i = 0; i < CHUNKS_PER_REGION; i++) if (mask & (1n << BigInt(i))) indexes.push(i);
  return indexes;
}
