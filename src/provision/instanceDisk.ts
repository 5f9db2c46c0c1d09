import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { resolveStoredName } from '../disk/names.js';
import { openDisk } from '../formats/open.js';
import { copyImage } from '../operations/copyImage.js';
import { createOverlays } from '../operations/createOverlays.js';
import type { JobSettings } from '../operations/job.js';
import { readDiskInfo, writeDiskInfo } from './diskInfo.js';
import type { Steps } from './events.js';

export interface InstanceDiskOrder {
  /** Folder of the instance; made when missing. */
  folder: string;
  type: 'qcow2' | 'raw';
  /** Raw image that the disk becomes an overlay or a copy of; asked for only when there is no disk yet. */
  backing: () => Promise<string>;
  /** The base and its resized copies: what an existing overlay may rest on. */
  family: readonly string[];
  /** Bytes. */
  size: number;
}

export interface InstanceDisk {
  path: string;
  format: 'qcow2' | 'raw';
  /** Bytes. */
  virtualSize: number;
  /** What it is an overlay or a copy of; undefined for a copy that existed: nothing tells. */
  backing?: string;
  /** It was there already, and was left as it is. */
  existed: boolean;
}

/**
 * Makes `<folder>/disk`, or finds it there. An existing disk is never replaced.
 * @throws INVALID_ARGUMENT when an existing disk is of another type or belongs to another image
 */
export async function makeInstanceDisk(
  order: InstanceDiskOrder,
  steps: Steps,
  settings: JobSettings,
): Promise<InstanceDisk> {
  const { folder, type, size } = order;
  const path = join(folder, 'disk');
  if (!(await exists(path))) {
    const backing = await order.backing();
    const made = await steps.run('overlay', ({ progress, detail }) => {
      detail(`${type === 'qcow2' ? 'qcow2 on' : 'raw copy of'} ${backing}`, size);
      // An overlay has no bytes whose progress could be told.
      const watched = type === 'raw' ? { ...settings, onProgress: progress } : settings;
      return makeRecorded(path, order, backing, watched);
    });
    if (made) return { path, format: type, virtualSize: size, backing, existed: false };
  }
  return { path, format: type, ...(await checkExisting(path, order)), existed: true };
}

/**
 * The format is on record before there is a disk: at no time has anybody to guess it. When the disk can't be made, the
 * record goes again. False: somebody else has made the disk meanwhile.
 */
async function makeRecorded(
  path: string,
  { folder, type, size }: InstanceDiskOrder,
  backing: string,
  settings: JobSettings,
): Promise<boolean> {
  const made = await fs.mkdir(folder, { recursive: true });
  const formats = await readDiskInfo(folder);
  try {
    if (formats[path] !== type) await writeDiskInfo(folder, { ...formats, [path]: type });
    await make(path, type, backing, size, settings);
    return true;
  } catch (error) {
    if (toDiskImageError(error).errno === 'EEXIST') return false;
    if (Object.keys(formats).length === 0) await fs.rm(join(folder, 'disk.info'), { force: true });
    else await writeDiskInfo(folder, formats);
    // Not empty means not ours alone.
    if (made !== undefined) await fs.rmdir(folder).catch(() => {});
    throw error;
  }
}

async function make(
  path: string,
  type: 'qcow2' | 'raw',
  backing: string,
  size: number,
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

/** A disk that is there must be what was asked for. */
async function checkExisting(
  path: string,
  { folder, type, family }: InstanceDiskOrder,
): Promise<{ virtualSize: number; backing?: string }> {
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
    const { virtualSize } = disk;
    if (type === 'raw') return { virtualSize };
    const { backingFilename } = await disk.info();
    const backing = backingFilename === undefined ? undefined : resolveStoredName(backingFilename, path);
    if (backing === undefined || !family.includes(backing)) {
      throw refuse(
        `it is an overlay of ${backingFilename === undefined ? 'nothing' : `'${backingFilename}'`}, not of '${family[0]}'`,
      );
    }
    return { virtualSize, backing };
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
