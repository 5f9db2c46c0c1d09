import type { Disk } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import { type ExtentColumns, Kind, NO_FILE } from '../disk/extents.js';
import { extentBatches } from '../disk/view.js';
import { native } from '../native.js';
import { type Job, type JobSettings, runJob } from './job.js';
import { layers } from './segment.js';
import { type ImageSource, openSource } from './source.js';

export interface MapRequest extends ImageSource {
  /** First guest byte, default 0. */
  start?: number;
  /** Bytes, default to the end of the disk. */
  length?: number;
}

/** One line of `qemu-img map --output=json` (QAPI MapEntry). Bytes. */
export interface MapEntry {
  start: number;
  length: number;
  /** 0 = the image itself, 1 = its backing file, … */
  depth: number;
  /** Some layer of the chain holds this range. */
  present: boolean;
  /** Reads as zeros. */
  zero: boolean;
  /** Reads from stored bytes. */
  data: boolean;
  /** Stored compressed. */
  compressed: boolean;
  /** Host offset in `filename`, where the bytes lie plain in a file. */
  offset?: number;
  filename?: string;
}

/**
 * The allocation map as qemu-img map prints it, merged as it merges; cost follows allocated metadata. The image is
 * open until the generator ends or is returned.
 * A start behind the disk's end gives no entries, as in QEMU.
 * @throws INVALID_ARGUMENT for numbers that are no bytes; what opening throws.
 */
export async function* map(request: MapRequest): AsyncGenerator<MapEntry> {
  for await (const entries of mapBatches(request)) yield* entries;
}

/** The same some thousands at a time: one wait for all of them instead of one each. */
export async function* mapBatches(request: MapRequest): AsyncGenerator<MapEntry[]> {
  const disk = await openSource(request);
  try {
    const [start, end] = mapRange(request, disk);
    let current: MapEntry | undefined;
    for await (const batch of statusBatches(disk, start, end)) {
      const merged: MapEntry[] = [];
      for (const entry of batch) {
        if (current && continues(current, entry)) current.length += entry.length;
        else {
          if (current) merged.push(current);
          current = entry;
        }
      }
      if (merged.length > 0) yield merged;
    }
    if (current) yield [current];
  } finally {
    await disk.close();
  }
}

/** The whole map at once; it has as many entries as the image has fragments. @throws as map; CANCELLED. */
export function mapAll(request: MapRequest, settings: JobSettings = {}): Promise<MapEntry[]> {
  return runJob('map', settings, (job) => collect(request, job));
}

async function collect(request: MapRequest, job: Job): Promise<MapEntry[]> {
  const entries: MapEntry[] = [];
  for await (const batch of mapBatches(request)) {
    for (const entry of batch) entries.push(entry);
    job.throwIfCancelled();
  }
  return entries;
}

/** Map entries of an open disk as its layers tell them, unmerged. */
export async function* statusEntries(disk: Disk, start: number, end: number): AsyncGenerator<MapEntry> {
  for await (const batch of statusBatches(disk, start, end)) yield* batch;
}

async function* statusBatches(disk: Disk, start: number, end: number): AsyncGenerator<MapEntry[]> {
  const chain = layers(disk);
  const recurses: (boolean | undefined)[] = [];
  for await (const columns of extentBatches(disk, start, end)) {
    const batch: MapEntry[] = [];
    for (let row = 0; row < columns.count; row++) {
      const entry = toEntry(columns, row);
      const depth = entry.depth;
      if (columns.kind[row] !== Kind.data) {
        batch.push(entry);
        continue;
      }
      recurses[depth] ??= (await chain[depth].metadataPreallocated?.()) ?? false;
      if (!recurses[depth]) batch.push(entry);
      else for (const part of intoFile(entry, columns.files[columns.file[row]].fd)) batch.push(part);
    }
    yield batch;
  }
}

function toEntry(columns: ExtentColumns, row: number): MapEntry {
  const kind = columns.kind[row];
  const compressed = kind === Kind.deflate || kind === Kind.zstd;
  const entry: MapEntry = {
    start: columns.start[row],
    length: columns.length[row],
    depth: columns.depth[row],
    present: kind !== Kind.unallocated,
    zero: kind === Kind.unallocated || kind === Kind.zero,
    data: kind >= Kind.data,
    compressed,
  };
  if (columns.file[row] === NO_FILE || compressed) return entry;
  const file = columns.files[columns.file[row]];
  if (file.cipher) return entry;
  entry.offset = columns.offset[row];
  entry.filename = file.path;
  return entry;
}

/** Holes of the host file (and what lies past its end) read as zeros in an image with preallocated metadata. */
function* intoFile(entry: MapEntry, fd: number): Generator<MapEntry> {
  const first = entry.offset ?? 0;
  const shift = entry.start - first;
  const piece = (from: number, to: number, zero: boolean): MapEntry => ({
    ...entry,
    start: from + shift,
    length: to - from,
    offset: from,
    zero,
  });
  const end = first + entry.length;
  for (let at = first; at < end; ) {
    const { runs, next } = native.dataRuns(fd, at, end, 1024);
    for (let i = 0; i < runs.length; i += 2) {
      if (runs[i] > at) yield piece(at, runs[i], true);
      yield piece(runs[i], runs[i + 1], false);
      at = runs[i + 1];
    }
    if (next > at) yield piece(at, next, true);
    at = next;
  }
}

/** QEMU: entry_mergeable in qemu-img.c. */
export function continues(current: MapEntry, next: MapEntry): boolean {
  return (
    current.zero === next.zero &&
    current.data === next.data &&
    current.present === next.present &&
    current.compressed === next.compressed &&
    current.depth === next.depth &&
    current.filename === next.filename &&
    (current.offset === undefined) === (next.offset === undefined) &&
    (current.offset === undefined || current.offset + current.length === next.offset)
  );
}

function mapRange(request: MapRequest, disk: Disk): [start: number, end: number] {
  const { start = 0, length = disk.virtualSize } = request;
  for (const [name, value] of Object.entries({ start, length })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new DiskImageError('INVALID_ARGUMENT', `${name} must be a number of bytes, not ${value}`, {
      path: disk.path,
      operation: 'map',
    });
  }
  const first = Math.min(start, disk.virtualSize);
  return [first, Math.min(disk.virtualSize, start + length)];
}
