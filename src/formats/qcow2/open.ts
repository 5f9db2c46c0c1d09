import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import type { FormatOpenOptions } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import { LockModes } from '../../disk/lock.js';
import { refuseCorrupt } from './damaged.js';
import { Qcow2Disk, type Qcow2Parts, refuseEncrypted } from './disk.js';
import type { Qcow2Header } from './header.js';
import { readHeader } from './readHeader.js';
import { checkSnapshotL1, findSnapshot, readSnapshots, type SnapshotTable } from './snapshots.js';

/**
 * Opens a qcow2 image, with its data file and backing chain when `options.chain`. Locks it as qemu-img does.
 * Nothing stays open but `file` (the caller's) when it throws.
 * @throws everything parseHeader throws; CORRUPT_IMAGE for writing to an image flagged corrupt;
 * UNSUPPORTED_FEATURE for encrypted images (not with `chain: false`); SNAPSHOT_NOT_FOUND; LOCKED; what opening
 * backing and data files throws.
 */
export async function openQcow2(file: HostFile, options: FormatOpenOptions): Promise<Disk> {
  const disk = new Qcow2Disk(await openParts(file, options));
  try {
    if (options.chain && !options.check) await disk.loadL1();
    return disk;
  } catch (error) {
    await closeParts(disk.externalFile, disk.backing);
    throw error;
  }
}

/** Everything up to the Disk itself: for readers and writers alike. */
export async function openParts(file: HostFile, options: FormatOpenOptions): Promise<Qcow2Parts> {
  const { limits } = options;
  if (options.lock) {
    file.lock(options.write ? LockModes.write : options.chain ? LockModes.read : LockModes.metadata);
  }
  const header = await readHeader(file, limits, { check: options.check });
  const warnings = [...header.warnings, ...flagWarnings(header, file.path)];
  if (options.write && !options.check) refuseCorrupt(header, file.path);
  if (options.chain) refuseEncrypted(header, file.path);
  // A check reads the snapshot table itself and reports what is wrong with it.
  const snapshotTable: SnapshotTable = options.check
    ? { snapshots: [], bytes: 0 }
    : await readSnapshots(file, header, limits);
  const snapshot = options.snapshot && findSnapshot(snapshotTable.snapshots, options.snapshot, file.path);
  if (snapshot) checkSnapshotL1(snapshot, header, file, limits);
  if (snapshot && options.write) {
    throw new DiskImageError(
      'UNSUPPORTED_OPERATION',
      `Snapshot '${snapshot.name}' of '${file.path}' is read-only`,
      {
        path: file.path,
        operation: 'open',
      },
    );
  }
  const parts = { file, header, limits, snapshotTable, snapshot, warnings };
  if (!options.chain) return parts;
  let dataFile: HostFile | undefined;
  try {
    dataFile = await openData(file, header, options);
    const backing =
      header.backingFile === undefined
        ? undefined
        : await options.openBacking(header.backingFile, header.backingFormat, file);
    return { ...parts, dataFile, backing };
  } catch (error) {
    await closeParts(dataFile, undefined);
    throw error;
  }
}

async function openData(
  file: HostFile,
  header: Qcow2Header,
  options: FormatOpenOptions,
): Promise<HostFile | undefined> {
  if (!header.externalData) return undefined;
  if (header.dataFile === undefined) {
    throw new DiskImageError(
      'UNSUPPORTED_FEATURE',
      `Image '${file.path}' keeps its data in an external file (incompatible feature bit 2), but does not name it`,
      { path: file.path, offset: 72, operation: 'open' },
    );
  }
  const dataFile = await options.openDataFile(header.dataFile, file);
  try {
    if (options.lock) dataFile.lock(options.write ? LockModes.write : LockModes.read);
    return dataFile;
  } catch (error) {
    await dataFile.close();
    throw error;
  }
}

async function closeParts(dataFile: HostFile | undefined, backing: Disk | undefined): Promise<void> {
  await backing?.close();
  await dataFile?.close();
}

function flagWarnings(header: Qcow2Header, path: string): string[] {
  const warnings: string[] = [];
  if (header.corrupt) warnings.push(`Image '${path}' is marked corrupt; reading it may give wrong data`);
  if (header.dirty)
    warnings.push(`Image '${path}' was not closed cleanly: its refcounts may be wrong until it is repaired`);
  return warnings;
}
