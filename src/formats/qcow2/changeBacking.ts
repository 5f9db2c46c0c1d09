import type { Disk } from '../../disk/disk.js';
import { DiskImageError } from '../../disk/errors.js';
import { backingFormats } from './backingFormats.js';
import { KNOWN_AUTOCLEAR, MAX_BACKING_NAME } from './constants.js';
import { Qcow2Disk } from './disk.js';
import { switchHeader, withBacking } from './headerSwitch.js';
import { readHeader } from './readHeader.js';
import { WritableQcow2Disk } from './writable.js';

/**
 * The image names another backing file from now on, or none. Nothing else changes; an open chain stays what it was.
 * @throws INVALID_ARGUMENT for a format that QEMU does not know, a name that is too long (errno EINVAL), and what does
 * not fit the header's cluster (errno ENOSPC); IO.
 */
export async function changeQcow2Backing(
  disk: Disk,
  backing: { name: string; format: string } | undefined,
): Promise<void> {
  if (!(disk instanceof Qcow2Disk)) throw new RangeError(`'${disk.path}' is no qcow2 image`);
  const { file, limits } = disk;
  if (backing) checkBacking(disk, backing);
  const change = async () => {
    const header = await readHeader(file, limits);
    const fields = withBacking({ ...header, autoclear: header.autoclear & KNOWN_AUTOCLEAR }, backing);
    try {
      await switchHeader(file, fields);
    } catch (error) {
      if (!(error instanceof DiskImageError) || error.code !== 'INVALID_HEADER') throw error;
      throw refusal(disk, `No room for the backing file name in the header: ${error.message}`, 'ENOSPC');
    }
  };
  if (!(disk instanceof WritableQcow2Disk)) return change();
  await disk.exclusive(async (core) => {
    await core.publish(true);
    await change();
    await core.reload();
  });
}

function checkBacking(disk: Qcow2Disk, { name, format }: { name: string; format: string }): void {
  if (!backingFormats.has(format)) throw refusal(disk, `Invalid format name: '${format}'`);
  const length = Buffer.byteLength(name);
  if (length > MAX_BACKING_NAME) {
    throw refusal(
      disk,
      `Backing file name of ${length} bytes exceeds the limit of ${MAX_BACKING_NAME}`,
      'EINVAL',
    );
  }
  if (disk.header.dataFileRaw) {
    throw refusal(disk, 'An image with a raw data file cannot have a backing file', 'EINVAL');
  }
}

function refusal({ path }: Disk, message: string, errno?: string): DiskImageError {
  return new DiskImageError('INVALID_ARGUMENT', message, { path, operation: 'rebase', errno });
}
