// The bitmap directory (specification, "Bitmaps").
import { DiskImageError } from '../../disk/errors.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { Limits } from '../../disk/limits.js';
import type { Qcow2Header } from './header.js';

export interface Bitmap {
  readonly name: string;
  /** Host offset of its directory entry, bytes. */
  readonly entryOffset: number;
  /** Host offset of the bitmap table, bytes. */
  readonly tableOffset: number;
  /** Entries of 8 bytes. */
  readonly tableEntries: number;
  readonly inUse: boolean;
  readonly auto: boolean;
  readonly extraDataCompatible: boolean;
  /** Bytes of guest disk per bit: 2^9 to 2^31. */
  readonly granularity: number;
  /** Bytes of extra data. */
  readonly extraLength: number;
}

const FIXED_BYTES = 24;
const MAX_NAME = 1023;
/** QEMU: QCOW2_MAX_BITMAP_DIRECTORY_SIZE for one entry, times the number of bitmaps. */
const MAX_DIRECTORY = 65535 * 1024;

/**
 * Reads the directory; nothing when the header has none.
 * @throws CORRUPT_IMAGE, LIMIT_EXCEEDED before allocating more than the file can hold.
 */
export async function readBitmaps(
  file: HostFile,
  header: Qcow2Header,
  limits: Readonly<Limits>,
): Promise<Bitmap[]> {
  const extension = header.bitmaps;
  if (!extension) return [];
  const { count, directoryOffset, directorySize } = extension;
  if (count > limits.bitmaps) {
    throw new DiskImageError(
      'LIMIT_EXCEEDED',
      `${count} bitmaps exceed the limit of ${limits.bitmaps} ('${file.path}')`,
      {
        path: file.path,
        operation: 'open',
      },
    );
  }
  if (directorySize > MAX_DIRECTORY) {
    throw new DiskImageError(
      'LIMIT_EXCEEDED',
      `Bitmap directory of ${directorySize} bytes exceeds the limit of ${MAX_DIRECTORY} ('${file.path}')`,
      { path: file.path, operation: 'open' },
    );
  }
  if (directoryOffset === 0 || directoryOffset % header.clusterSize !== 0) {
    throw corrupt(
      file,
      `Bitmap directory offset ${directoryOffset} is not a cluster after the header`,
      directoryOffset,
    );
  }
  if (directoryOffset + directorySize > file.size) {
    throw corrupt(
      file,
      `Bitmap directory at ${directoryOffset} needs ${directorySize} bytes, but the file ends at ${file.size}`,
      directoryOffset,
    );
  }
  const bytes = await file.readExact(directoryOffset, directorySize, 'Bitmap directory');
  const bitmaps: Bitmap[] = [];
  let at = 0;
  while (at < bytes.length) {
    const bad = (why: string) =>
      corrupt(file, `Bitmap directory entry ${bitmaps.length}: ${why}`, directoryOffset + at);
    if (at + FIXED_BYTES > bytes.length) throw bad('it passes the end of the directory');
    const nameLength = bytes.readUInt16BE(at + 18);
    const extraLength = bytes.readUInt32BE(at + 20);
    const length = (FIXED_BYTES + extraLength + nameLength + 7) & ~7;
    if (nameLength === 0 || nameLength > MAX_NAME)
      throw bad(`name of ${nameLength} bytes, not 1 to ${MAX_NAME}`);
    if (length < 0 || at + length > bytes.length) throw bad('it passes the end of the directory');
    const flags = bytes.readUInt32BE(at + 12);
    const type = bytes[at + 16];
    const granularityBits = bytes[at + 17];
    if (type !== 1) throw bad(`type ${type} is not 1 (dirty tracking)`);
    if (granularityBits < 9 || granularityBits > 31)
      throw bad(`granularity_bits ${granularityBits} is not 9 to 31`);
    if (flags & ~7) throw bad(`reserved flags 0x${(flags & ~7).toString(16)} are set`);
    const nameAt = at + FIXED_BYTES + extraLength;
    bitmaps.push({
      name: bytes.toString('utf8', nameAt, nameAt + nameLength),
      entryOffset: directoryOffset + at,
      tableOffset: Number(bytes.readBigUInt64BE(at)),
      tableEntries: bytes.readUInt32BE(at + 8),
      inUse: (flags & 1) !== 0,
      auto: (flags & 2) !== 0,
      extraDataCompatible: (flags & 4) !== 0,
      granularity: 2 ** granularityBits,
      extraLength,
    });
    at += length;
  }
  if (bitmaps.length !== count) {
    throw corrupt(
      file,
      `Bitmap directory has ${bitmaps.length} entries, but the header says ${count}`,
      directoryOffset,
    );
  }
  return bitmaps;
}

function corrupt(file: HostFile, why: string, offset: number): DiskImageError {
  return new DiskImageError('CORRUPT_IMAGE', `${why} ('${file.path}')`, {
    path: file.path,
    offset,
    operation: 'open',
  });
}
