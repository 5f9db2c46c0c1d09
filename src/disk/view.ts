// What every Disk can do, made from `map` alone: object extents, random reads, a read stream.
import { Readable } from 'node:stream';
import { type NativeBatch, native } from '../native.js';
import { requireRange } from './arguments.js';
import { JobControl } from './control.js';
import type { Disk, MapOptions, ReadStreamOptions } from './disk.js';
import { DiskImageError, toDiskImageError } from './errors.js';
import { type Extent, ExtentColumns } from './extents.js';
import type { GuestFile } from './guestFile.js';

/** Guest bytes per thread step; every qcow2 cluster size (512 B to 2 MiB) divides it. */
export const READ_SEGMENT = 2 ** 21;
/** Bytes of one read at most. */
const MAX_READ = 2 ** 30;

/**
 * Batches of extents that cover [start, end), in guest order. The same columns object is reused for each batch.
 * @throws INVALID_ARGUMENT outside the disk, or when it is closed; CORRUPT_IMAGE, IO.
 */
export async function* extentBatches(
  disk: Disk,
  start = 0,
  end = disk.virtualSize,
  options: MapOptions = {},
): AsyncGenerator<ExtentColumns> {
  requireRange(start, end, disk.virtualSize, { path: disk.path, operation: 'map' });
  const columns = new ExtentColumns();
  for (let at = start; at < end; ) {
    requireOpen(disk);
    columns.clear();
    at = await disk.map(columns, at, end, options);
    yield columns;
  }
}

/**
 * Extents of [start, end), bytes, as objects: for library users; merged within a batch. The disk must stay open
 * meanwhile.
 * @throws INVALID_ARGUMENT outside the disk, or when it is closed; CORRUPT_IMAGE, IO.
 */
export async function* extents(
  disk: Disk,
  start = 0,
  end = disk.virtualSize,
  options: MapOptions = {},
): AsyncGenerator<Extent> {
  for await (const batch of extentBatches(disk, start, end, options)) {
    for (let row = 0; row < batch.count; row++) yield batch.at(row);
  }
}

/**
 * Guest bytes [start, start + length) as the guest would read them. `length` is the caller's own allocation: at
 * most 1 GiB at a time.
 * @throws INVALID_ARGUMENT outside the disk, or when it is closed; LIMIT_EXCEEDED above 1 GiB; CORRUPT_IMAGE, IO,
 * SOURCE_CHANGED while reading.
 */
export async function readDisk(disk: Disk, start: number, length: number): Promise<Buffer> {
  requireReadable(disk, start, length);
  const buffer = Buffer.allocUnsafe(length);
  if (length > 0) await engineRead(disk, buffer, start);
  return buffer;
}

/** @throws INVALID_ARGUMENT outside the disk, or when it is closed; LIMIT_EXCEEDED above 1 GiB. */
export function requireReadable(disk: Disk, start: number, length: number): void {
  requireRange(start, start + length, disk.virtualSize, { path: disk.path, operation: 'read' });
  requireOpen(disk);
  if (length <= MAX_READ) return;
  throw new DiskImageError(
    'LIMIT_EXCEEDED',
    `Reading ${length} bytes at once exceeds the limit of ${MAX_READ}`,
    { path: disk.path, operation: 'read' },
  );
}

/** Fills `buffer` from guest byte `start` on, by a job of the engine. */
export async function engineRead(
  disk: Pick<Disk, 'map' | 'path'>,
  buffer: Uint8Array,
  start: number,
): Promise<void> {
  const end = start + buffer.length;
  const job = native.createJob({
    sink: { type: 'read', buffer, start },
    control: new JobControl().buffer,
    threads: 1,
    segment: READ_SEGMENT,
    shortRead: 'zeros',
  });
  try {
    for (let at = start; at < end; ) {
      const columns = new ExtentColumns();
      const next = await disk.map(columns, at, end);
      await job.submit(nativeBatch(columns, at, next));
      at = next;
    }
    await job.finish();
  } catch (error) {
    await job.abort();
    throw toDiskImageError(error, { path: disk.path, operation: 'read' });
  }
}

function requireOpen({ file }: Disk): void {
  void file.fd;
}

function nativeFiles(files: readonly GuestFile[]): Pick<NativeBatch, 'fds' | 'paths' | 'ciphers'> {
  return {
    fds: Int32Array.from(files, (file) => file.fd),
    paths: files.map((file) => file.path),
    ...(files.some((file) => file.cipher) && { ciphers: files.map((file) => file.cipher) }),
  };
}

/** The columns as the engine takes them. */
export function nativeBatch(columns: ExtentColumns, start: number, end: number): NativeBatch {
  return {
    start,
    end,
    columns,
    ...nativeFiles(columns.files),
  };
}

/**
 * Guest bytes as a stream. Destroying it stops reading; it does not close the disk. Reading fails as readDisk does.
 * @throws INVALID_ARGUMENT for a range outside the disk and a chunk size that is none.
 */
export function createReadStream(disk: Disk, options: ReadStreamOptions = {}): Readable {
  const { start = 0, end = disk.virtualSize, chunkSize: chunk = 2 ** 20 } = options;
  const details = { path: disk.path, operation: 'read' };
  requireRange(start, end, disk.virtualSize, details);
  if (!Number.isSafeInteger(chunk) || chunk < 1 || chunk > MAX_READ) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `chunkSize must be 1 to ${MAX_READ} bytes, not ${chunk}`,
      details,
    );
  }
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = start; at < end; at += chunk) {
      yield await disk.read(at, Math.min(chunk, end - at));
    }
  }
  return Readable.from(chunks(), { objectMode: false, signal: options.signal });
}
