import { JobControl } from '../../disk/control.js';
import { DiskImageError } from '../../disk/errors.js';
import { ExtentColumns, Kind } from '../../disk/extents.js';
import { alignUp, divideUp } from '../../disk/offsets.js';
import { extendFile } from '../raw/create.js';
import { loadBitmaps } from './bitmapBits.js';
import { resizeBitmaps } from './bitmapEdit.js';
import { mapLayer } from './map.js';
import { cutTables, trimFile } from './shrink.js';
import type { WritableQcow2Disk } from './writable.js';

const ENTRY_BYTES = 8;
/** Guest bytes whose places are reserved between two publications. */
const MAX_STEP = 2 ** 30;
const ZERO_PIECE = 2 ** 20;

type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

/**
 * Gives the disk another virtual size, bytes. What is added reads as zeros, whatever the backing file has there, and is
 * reserved as `preallocation` says; what is cut off gives its clusters and the end of the file back. Persistent bitmaps
 * follow. Cut off anywhere, the image has its old size or its new one.
 * @throws INVALID_ARGUMENT for a size that is no multiple of 512; UNSUPPORTED_OPERATION for images of version 2 with
 * snapshots, and with inconsistent bitmaps; LIMIT_EXCEEDED; IO; CANCELLED between steps.
 */
export async function resizeQcow2(
  disk: WritableQcow2Disk,
  size: number,
  preallocation: Preallocation,
  control = new JobControl(),
): Promise<void> {
  await refuseResize(disk, size);
  const { header } = disk;
  if (size === header.virtualSize) return;
  if (size < header.virtualSize) return shrink(disk, size);
  // A raw data file holds every guest byte at its own place: each cluster must say so.
  const mode = preallocation === 'off' && header.dataFileRaw ? 'metadata' : preallocation;
  await grow(disk, size, mode, control);
}

async function refuseResize(disk: WritableQcow2Disk, size: number): Promise<void> {
  const { header, path, file, limits } = disk;
  const details = { path, operation: 'resize' };
  if (size % 512 !== 0) {
    throw new DiskImageError('INVALID_ARGUMENT', 'The new size must be a multiple of 512', details);
  }
  if (header.version < 3 && header.snapshotCount > 0) {
    throw new DiskImageError('UNSUPPORTED_OPERATION', "Can't resize a v2 image which has snapshots", details);
  }
  // Those that follow our own writes are stored first: what is in use then is nobody's.
  await disk.settleBitmaps();
  const broken = (await loadBitmaps(file, header, limits)).find(({ inUse }) => inUse);
  if (broken) {
    throw new DiskImageError('UNSUPPORTED_OPERATION', inconsistent(broken.name), details);
  }
  if (divideUp(size, header.l2Coverage) * ENTRY_BYTES > limits.l1Bytes || size > limits.virtualSize) {
    throw new DiskImageError('LIMIT_EXCEEDED', 'Failed to grow the L1 table: File too large', details);
  }
}

function inconsistent(name: string): string {
  return (
    `Bitmap '${name}' is inconsistent and cannot be used\n` +
    'Try block-dirty-bitmap-remove to delete this bitmap from disk'
  );
}

async function grow(
  disk: WritableQcow2Disk,
  size: number,
  mode: Preallocation,
  control: JobControl,
): Promise<void> {
  const before = disk.header;
  await disk.exclusive(async (core) => {
    await resizeBitmaps(core, size);
    const entries = divideUp(size, before.l2Coverage);
    if (entries > core.l1.entries) await core.moveL1(entries);
    // Only in memory, until what is added is what it must be.
    core.noteHeader({ virtualSize: size, diskSize: size });
  });
  try {
    const { dataFile } = disk.core;
    if (before.externalData && dataFile.size < size) await dataFile.truncate(size);
    await hideOldBytes(disk, before.diskSize, size);
    if (mode !== 'off') await preallocate(disk, before.diskSize, size, mode, control);
    await disk.flush();
    await disk.exclusive((core) => core.updateHeader({ virtualSize: size }));
  } catch (error) {
    const { virtualSize, diskSize } = before;
    disk.core.noteHeader({ virtualSize, diskSize });
    throw error;
  }
}

/** Where the backing file reaches further than the disk did, and what the last cluster holds behind the old end. */
async function hideOldBytes(disk: WritableQcow2Disk, from: number, size: number): Promise<void> {
  const { clusterSize, backing } = disk;
  const end = Math.min(size, alignUp(Math.max(from, backing?.virtualSize ?? 0), clusterSize));
  if (end <= from) return;
  if (!backing || backing.virtualSize <= from) {
    const rows = new ExtentColumns(64);
    await mapLayer(await disk.layer(), rows, from, end);
    if (rows.count === 1 && rows.kind[0] < Kind.data) return;
  }
  await disk.unmarked((guest) => guest.zero(from, end, {}));
}

async function preallocate(
  disk: WritableQcow2Disk,
  from: number,
  size: number,
  mode: Preallocation,
  control: JobControl,
): Promise<void> {
  const { dataFile, header } = disk.core;
  const rows = new ExtentColumns(1024);
  control.total = size - from;
  let first = Number.POSITIVE_INFINITY;
  for (let at = from; at < size; ) {
    if (control.cancelled) {
      throw new DiskImageError('CANCELLED', 'resize was cancelled', { path: disk.path, operation: 'resize' });
    }
    const stop = Math.min(size, at + Math.min(MAX_STEP, header.l2Coverage - (at % header.l2Coverage)));
    rows.clear();
    await disk.unmarked((guest) => guest.allocate(rows, at, stop));
    for (let row = 0; row < rows.count; row++) {
      first = Math.min(first, rows.offset[row]);
      if (mode === 'full') await writeZeros(disk, rows.offset[row], rows.length[row]);
      else await dataFile.zero(rows.offset[row], rows.length[row]);
    }
    // Stored zeros are none once they are decrypted. (QEMU leaves it at that.)
    if (disk.core.guest.cipher) {
      const [begin, end] = [at, stop];
      await disk.unmarked((guest) => guest.zero(begin, end, { unmap: false }));
    }
    await disk.flush();
    control.advance(stop - at);
    at = stop;
  }
  if (mode === 'falloc' && !dataFile.isBlockDevice && first < dataFile.size) {
    await dataFile.refresh();
    await extendFile(dataFile, first, dataFile.size, 'falloc', control.buffer);
  }
}

async function writeZeros({ core: { dataFile } }: WritableQcow2Disk, from: number, length: number) {
  const zeros = Buffer.alloc(Math.min(length, ZERO_PIECE));
  for (let at = 0; at < length; at += zeros.length) {
    await dataFile.write(zeros.subarray(0, Math.min(zeros.length, length - at)), from + at);
  }
}

async function shrink(disk: WritableQcow2Disk, size: number): Promise<void> {
  const from = alignUp(size, disk.clusterSize);
  if (from < disk.virtualSize) {
    await disk.unmarked((guest) => guest.discard(from, disk.virtualSize, true));
  }
  await disk.flush();
  await disk.exclusive(async (core) => {
    await cutTables(core, divideUp(size, core.header.l2Coverage));
    await core.updateHeader({ virtualSize: size });
    core.noteHeader({ diskSize: size });
    await resizeBitmaps(core, size);
    await trimFile(core);
    if (core.header.externalData && core.dataFile.size > size) await core.dataFile.truncate(size);
  });
}
