// disk.info as Nova keeps it (nova/virt/libvirt/imagebackend.py): one JSON object { absolute path: format } beside an
// instance's disks. A guest can write any header into its raw disk, so a disk's format comes from here alone.
import { join } from 'node:path';
import { DiskImageError } from '../disk/errors.js';
import { readTextFile, replaceTextFile } from './smallFile.js';

export type DiskFormats = Record<string, string>;

/** @throws INVALID_ARGUMENT when disk.info is there but is no such object */
export async function readDiskInfo(folder: string): Promise<DiskFormats> {
  const path = join(folder, 'disk.info');
  const text = await readTextFile(path);
  // Nova makes the file empty before it has something to write.
  if (text === undefined || text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isObject && Object.values(value as object).every((format) => typeof format === 'string')) {
    return value as DiskFormats;
  }
  throw new DiskImageError('INVALID_ARGUMENT', `'${path}' is no JSON object of disk paths and formats`, {
    path,
    operation: 'provision',
  });
}

export async function writeDiskInfo(folder: string, formats: DiskFormats): Promise<void> {
  const path = join(folder, 'disk.info');
  await replaceTextFile(path, `${JSON.stringify(formats)}\n`, `${path}.tmp`);
}
