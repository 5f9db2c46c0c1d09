// Small new files written and named in one trip to the engine.
import { lstatSync } from 'node:fs';
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import { type FileHints, NewFile } from '../disk/newFile.js';
import { native, type PublishFile, type PublishOutcome } from '../native.js';

/** QEMU's permission bits for new images, before umask. */
export const NEW_IMAGE_MODE = 0o644;

/** A new file of a few KiB of content. */
export interface SmallFile {
  path: string;
  /** Bytes; the rest is a hole. */
  length: number;
  /** The last may end at `length`. */
  pieces: { offset: number; data: Uint8Array }[];
  hints?: FileHints;
}

/**
 * Writes the file and gives it its name, whole or not at all; with `sync` after exactly one fdatasync. An existing
 * target is replaced under QEMU's lock.
 * @throws LOCKED, IO.
 */
export async function publishSmallFile(
  file: SmallFile,
  options: { sync: boolean; lock: boolean },
): Promise<void> {
  if (isFree(file.path) && !file.hints) {
    const [outcome] = await native.publishFiles([asPublishFile(file, options.sync)], false);
    if (!outcome.error) return;
    if (outcome.error.code !== 'EEXIST') throw publishError(outcome.error, file.path);
  }
  await replaceFile(file, options);
}

/** The long way, for targets that exist: locks, permissions, block devices, symbolic links (see NewFile); and for hints. */
async function replaceFile(file: SmallFile, options: { sync: boolean; lock: boolean }): Promise<void> {
  const target = await createNewFile(file.path, options.lock, file.hints);
  try {
    if (target.inPlace) checkDeviceSize(target, file.length);
    else await target.file.truncate(file.length);
    for (const { offset, data } of file.pieces) await target.file.write(data, offset);
    await target.publish({ sync: options.sync });
  } finally {
    await target.discard();
  }
}

/** NewFile with QEMU's sentence when the name cannot be made. */
export async function createNewFile(path: string, lock: boolean, hints?: FileHints): Promise<NewFile> {
  try {
    return await NewFile.create(path, { lock, mode: NEW_IMAGE_MODE, hints });
  } catch (error) {
    throw couldNotCreate(error, path);
  }
}

/** @throws TARGET_TOO_SMALL. */
export function checkDeviceSize(target: NewFile, length: number): void {
  if (!target.inPlace || target.file.size >= length) return;
  throw new DiskImageError(
    'TARGET_TOO_SMALL',
    `Device '${target.path}' holds ${target.file.size} bytes, the image needs ${length}`,
    { path: target.path, operation: 'create' },
  );
}

export function asPublishFile(file: SmallFile, sync: boolean): PublishFile {
  const { path, length, pieces } = file;
  return { path, length, pieces, mode: NEW_IMAGE_MODE, replace: false, sync };
}

export function publishError(error: NonNullable<PublishOutcome['error']>, path: string): DiskImageError {
  return couldNotCreate(Object.assign(new Error(error.message), error), path);
}

/** True when nothing has the name: no file to lock and replace, no symbolic link to follow. */
export function isFree(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return true; // The directory is at fault: making the file says how.
  }
}

const REASONS: Record<string, string> = {
  ENOENT: 'No such file or directory',
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  EACCES: 'Permission denied',
  EROFS: 'Read-only file system',
};

function couldNotCreate(error: unknown, path: string): DiskImageError {
  const failure = toDiskImageError(error, { path, operation: 'create' });
  const reason = failure.errno && REASONS[failure.errno];
  if (failure.code !== 'IO' || !reason) return failure;
  return new DiskImageError('IO', `Could not create '${path}': ${reason}`, {
    path,
    operation: 'create',
    errno: failure.errno,
    syscall: failure.syscall,
    cause: error,
  });
}
