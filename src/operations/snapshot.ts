import { requireObject, requireString } from '../disk/arguments.js';
import type { Disk, SnapshotInfo } from '../disk/disk.js';
import { DiskImageError } from '../disk/errors.js';
import type { SnapshotAbility, SnapshotSelector } from '../disk/format.js';
import { openDisk } from '../formats/open.js';
import { formatByName } from '../formats/registry.js';
import { type JobSettings, runJob } from './job.js';
import { type NamedImage, openingOf } from './source.js';

/** An image with internal snapshots. */
export type SnapshotImage = NamedImage;

/**
 * The snapshots of an image, in stored order; none for formats without.
 * @throws what opening throws.
 */
export function listSnapshots(image: SnapshotImage, settings: JobSettings = {}): Promise<SnapshotInfo[]> {
  return runJob('snapshot', settings, async () => {
    requireImage(image);
    const disk = await open(image, false);
    try {
      return (await disk.info()).snapshots ?? [];
    } finally {
      await disk.close();
    }
  });
}

/**
 * Makes a snapshot of what the disk holds now. Names need not be unique; the id is. Stopped at any instant, the image
 * has the snapshot or has not.
 * @throws UNSUPPORTED_OPERATION for formats without snapshots and images with an external data file; LIMIT_EXCEEDED when
 * refcount_bits hold no more; LOCKED, CORRUPT_IMAGE, IO, and what opening throws.
 */
export function createSnapshot(
  image: SnapshotImage & { name: string /** Default now. */; date?: Date },
  settings: JobSettings = {},
): Promise<SnapshotInfo> {
  return runJob('snapshot', settings, async () => {
    requireImage(image);
    requireString(image.name, 'name', 'snapshot');
    const now = performance.timeOrigin + performance.now();
    const microseconds = image.date ? image.date.getTime() * 1000 : Math.floor(now * 1000);
    if (!(microseconds >= 0 && microseconds < 2 ** 32 * 1e6)) {
      throw new DiskImageError('INVALID_ARGUMENT', `A snapshot cannot have the date ${image.date}`, {
        path: image.path,
        operation: 'snapshot',
      });
    }
    return change(image, (ability, disk) => ability.create(disk, { name: image.name, microseconds }));
  });
}

/**
 * The disk reads as it did when the snapshot was made, and has the size it had; what it holds now is lost.
 * @throws SNAPSHOT_NOT_FOUND, UNSUPPORTED_OPERATION (persistent bitmaps too); otherwise as createSnapshot.
 */
export function applySnapshot(
  image: SnapshotImage & { snapshot: SnapshotSelector },
  settings: JobSettings = {},
): Promise<SnapshotInfo> {
  return runJob('snapshot', settings, async () => {
    requireImage(image);
    requireObject(image.snapshot, 'snapshot', 'snapshot');
    return change(image, (ability, disk) => ability.apply(disk, image.snapshot));
  });
}

/**
 * Deletes a snapshot; storage that nothing else uses goes back to the host.
 * @throws SNAPSHOT_NOT_FOUND; otherwise as createSnapshot.
 */
export function deleteSnapshot(
  image: SnapshotImage & { snapshot: SnapshotSelector },
  settings: JobSettings = {},
): Promise<SnapshotInfo> {
  return runJob('snapshot', settings, async () => {
    requireImage(image);
    requireObject(image.snapshot, 'snapshot', 'snapshot');
    return change(image, (ability, disk) => ability.remove(disk, image.snapshot));
  });
}

function requireImage(image: SnapshotImage): void {
  requireObject(image, 'the image', 'snapshot');
  requireString(image.path, 'path', 'snapshot');
}

async function change(
  image: SnapshotImage,
  work: (ability: SnapshotAbility, disk: Disk) => Promise<SnapshotInfo>,
): Promise<SnapshotInfo> {
  const disk = await open(image, true);
  try {
    const { snapshots } = formatByName(image.format);
    if (snapshots) return await work(snapshots, disk);
    throw new DiskImageError('UNSUPPORTED_OPERATION', 'Block driver does not support snapshots', {
      path: image.path,
      operation: 'snapshot',
      errno: 'EOPNOTSUPP',
    });
  } finally {
    await disk.close();
  }
}

function open(image: SnapshotImage, writable: boolean): Promise<Disk> {
  return openDisk(image.path, { ...openingOf(image), writable });
}
