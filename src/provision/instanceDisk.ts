import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { resolveStoredName } from '../disk/names.js';
import { openDisk } from '../formats/open.js';
import { copyImage } from '../operations/copyImage.js';
import { createOverlays } from '../operations/createOverlays.js';
import type { JobSettings } from '../operations/job.js';
import { readDiskInfo, writeDiskInfo } from './diskInfo.js';

export interface InstanceDiskOrder {
  /** Folder of the instance; made when missing. */
  folder: string;
  type: 'qcow2' | 'raw';
  /** Raw image that the disk is an overlay or a copy of. */
  backing: string;
  /** The same, and every other file that an existing overlay may rest on. */
  family: readonly string[];
  /** Bytes. */
  size: number;
}

export interface InstanceDisk {
  path: string;
  format: 'qcow2' | 'raw';
  /** Bytes. */
  virtualSize: number;
  /** It was there already, and was left as it is. */
  existed: boolean;
}

/**
 * Makes `<folder>/disk`, or finds it there. An existing disk is never replaced.
 * @throws INVALID_ARGUMENT when an existing disk is of another type or belongs to another image
 */
export async function makeInstanceDisk(
  order: InstanceDiskOrder,
  settings: JobSettings,
): Promise<InstanceDisk> {
  const { folder, type, size } = order;
  const path = join(folder, 'disk');
  await fs.mkdir(folder, { recursive: true });
  if (!(await exists(path))) {
    // The format is on record before there is a disk: at no time has anybody to guess it.
    const formats = await readDiskInfo(folder);
    if (formats[path] !== type) await writeDiskInfo(folder, { ...formats, [path]: type });
    try {
      await make(path, order, settings);
      return { path, format: type, virtualSize: size, existed: false };
    } catch (error) {
      if (toDiskImageError(error).errno !== 'EEXIST') throw error;
    }
  }
  return { path, format: type, virtualSize: await checkExisting(path, order), existed: true };
}

async function make(
  path: string,
  { type, backing, size }: InstanceDiskOrder,
  settings: JobSettings,
): Promise<void> {
  if (type === 'raw') {
    await copyImage({ source: backing, target: path, size, replace: false }, settings);
    return;
  }
  const [outcome] = await createOverlays([{ path, backingFile: backing, backingFormat: 'raw', size }], {
    ...settings,
    replace: false,
    throwOnError: false,
  });
  if (outcome.error) throw outcome.error;
}

/** Bytes of virtual size of a disk that is what was asked for. */
async function checkExisting(path: string, { folder, type, family }: InstanceDiskOrder): Promise<number> {
  const refuse = (why: string): DiskImageError =>
    new DiskImageError(
      'INVALID_ARGUMENT',
      `Instance disk '${path}' exists already and is left as it is: ${why}`,
      {
        path,
        operation: 'provision',
      },
    );
  const recorded = (await readDiskInfo(folder))[path];
  if (recorded === undefined)
    throw refuse('disk.info does not tell its format, and guessing it would let a guest choose it');
  if (recorded !== type) throw refuse(`its format is ${recorded}, not ${type}`);
  // A running machine may hold its locks: only the header is looked at.
  const disk = await openDisk(path, { format: type, chain: false, lock: false });
  try {
    if (type === 'raw') return disk.virtualSize;
    const { backingFilename } = await disk.info();
    const backing = backingFilename === undefined ? undefined : resolveStoredName(backingFilename, path);
    if (backing === undefined || !family.includes(backing)) {
      throw refuse(
        `it is an overlay of ${backingFilename === undefined ? 'nothing' : `'${backingFilename}'`}, not of '${family[0]}'`,
      );
    }
    return disk.virtualSize;
  } finally {
    await disk.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await fs.lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw toDiskImageError(error, { path, operation: 'provision' });
  }
}
