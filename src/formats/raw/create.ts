import { DiskImageError } from '../../disk/errors.js';
import type { CreateOutcome, CreateRequest } from '../../disk/format.js';
import type { HostFile } from '../../disk/hostFile.js';
import type { FileHints } from '../../disk/newFile.js';
import { alignUp } from '../../disk/offsets.js';
import { native } from '../../native.js';
import { requestedSize } from '../optionText.js';
import { checkDeviceSize, createNewFile, publishSmallFile } from '../publish.js';
import {
  effectiveRawOptions,
  fileHints,
  parseRawOptions,
  type RawPreallocation,
  rawPreallocation,
} from './options.js';

const SECTOR = 512;
/**
 * QEMU writes the first block of a new file, so that readers with O_DIRECT can find the alignment that the
 * filesystem wants (block/file-posix.c, allocate_first_block).
 */
const FIRST_BLOCK = 4096;

/** The zeros that a new raw file of `size` bytes begins with. */
export function firstBlock(size: number): Buffer {
  return Buffer.alloc(size < FIRST_BLOCK ? Math.min(size, SECTOR) : FIRST_BLOCK);
}

/**
 * A raw file of zeros: a hole after its first block, or preallocated.
 * @throws INVALID_ARGUMENT with QEMU's sentences; LIMIT_EXCEEDED; LOCKED; IO.
 */
export async function createRaw(path: string, request: CreateRequest): Promise<CreateOutcome> {
  const values = parseRawOptions(request.options, path);
  const size = requestedSize(values, request.size, path);
  const effective = effectiveRawOptions(values, size);
  request.announce?.(effective);
  const preallocation = rawPreallocation(values, path);
  const hints = fileHints(values, path);
  if (size > BigInt(Number.MAX_SAFE_INTEGER - SECTOR)) {
    throw new DiskImageError('LIMIT_EXCEEDED', "The image size is too large for file format 'raw'", {
      path,
      operation: 'create',
    });
  }
  const length = alignUp(Number(size), SECTOR);
  if (preallocation === 'off') {
    await publishSmallFile(
      { path, length, pieces: [{ offset: 0, data: firstBlock(length) }], hints },
      request,
    );
  } else {
    await createPreallocated(path, length, preallocation, hints, request);
  }
  return { virtualSize: length, effective };
}

async function createPreallocated(
  path: string,
  length: number,
  preallocation: RawPreallocation,
  hints: FileHints | undefined,
  request: CreateRequest,
): Promise<void> {
  const target = await createNewFile(path, request.lock, hints);
  try {
    checkDeviceSize(target, length);
    request.control.total = length;
    if (!target.inPlace) await extendFile(target.file, 0, length, preallocation, request.control.buffer);
    await target.publish({ sync: request.sync });
  } finally {
    await target.discard();
  }
}

/** Grows `file` from `from` to `size` bytes; HostFile learns its new size. */
export async function extendFile(
  file: HostFile,
  from: number,
  size: number,
  preallocation: RawPreallocation,
  control: SharedArrayBuffer,
): Promise<void> {
  await native.extend(file.fd, file.path, from, size, preallocation, control);
  await file.refresh();
}
