// The backing file of an image that is being made: its checks and sentences are QEMU's (block.c, bdrv_img_create).
import { DiskImageError, toDiskImageError } from '../disk/errors.js';
import type { Gate } from '../disk/gate.js';
import type { Limits } from '../disk/limits.js';
import { openBackingFor } from '../formats/open.js';

export interface NewBacking {
  /** As it is to be stored. */
  name: string;
  format?: string;
}

export interface NewBackingRules {
  gate: Gate;
  limits?: Partial<Limits>;
  lock?: boolean;
}

/** What need not be opened to be seen. @throws INVALID_ARGUMENT. */
export function checkBackingName(imagePath: string, { name }: NewBacking): void {
  const fail = (message: string) =>
    new DiskImageError('INVALID_ARGUMENT', message, { path: imagePath, operation: 'create' });
  if (name === '') throw fail('Expected backing file name, got empty string');
  if (name === imagePath) {
    throw fail('Error: Trying to create an image with the same filename as the backing file');
  }
}

/**
 * Virtual size in bytes of the backing file that `imagePath` is to have; opens its whole chain for a moment.
 * @throws BACKING_FORMAT_MISSING with the format that was detected, when the gate lets it be probed; BACKING_NOT_FOUND,
 * BACKING_DENIED, BACKING_CYCLE and what opening can throw.
 */
export async function backingSize(
  imagePath: string,
  backing: NewBacking,
  rules: NewBackingRules,
): Promise<number> {
  try {
    const disk = await openBackingFor(imagePath, backing.name, backing.format, rules);
    try {
      if (backing.format === undefined) throw formatMissing(imagePath, disk.format);
      return disk.virtualSize;
    } finally {
      await disk.close();
    }
  } catch (error) {
    throw couldNotOpen(imagePath, backing, toDiskImageError(error, { operation: 'create' }));
  }
}

export function formatMissing(imagePath: string, detected?: string): DiskImageError {
  const hint = detected === undefined ? '' : `\nDetected format of ${detected}.`;
  return new DiskImageError(
    'BACKING_FORMAT_MISSING',
    `Backing file specified without backing format${hint}`,
    { path: imagePath, operation: 'create' },
  );
}

function couldNotOpen(imagePath: string, backing: NewBacking, error: DiskImageError): DiskImageError {
  if (error.code === 'BACKING_FORMAT_MISSING' && backing.format === undefined) {
    return error.cause === undefined && error.message.startsWith('Backing file specified')
      ? error
      : formatMissing(imagePath);
  }
  let sentence = error.message;
  if (error.code === 'BACKING_NOT_FOUND') {
    sentence = `Could not open '${error.path ?? backing.name}': No such file or directory`;
  } else if (error.code === 'BACKING_FORMAT_UNSUPPORTED') {
    sentence = `Unknown driver '${backing.format}'`;
  }
  return new DiskImageError(error.code, `${sentence}\nCould not open backing image.`, {
    path: error.path ?? imagePath,
    offset: error.offset,
    operation: 'create',
    errno: error.errno,
    syscall: error.syscall,
    image: error.image,
    layer: error.layer,
    cause: error,
  });
}
