// Names of the image cache: Nova's (nova/virt/libvirt/imagecache.py, imagebackend.py), so that both can share one.
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { requireString } from '../disk/arguments.js';
import { DiskImageError } from '../disk/errors.js';

const GiB = 2 ** 30;
const NAME_MAX = 255;

/** Folder of base images under the instances folder (Nova: image_cache.subdirectory_name). */
export const BASE_FOLDER = '_base';
export const LOCK_FOLDER = 'locks';
/** Our own notes lie in a folder of their own: Nova's ager looks at files of `_base` by their names. */
export const RECORD_FOLDER = '.basecow';

/** Lower-case hexadecimal SHA-1 of the image id: what a base image is called. */
export function cacheKey(imageId: string): string {
  requireString(imageId, 'imageId', 'provision');
  if (imageId === '')
    throw new DiskImageError('INVALID_ARGUMENT', 'The image id is empty', { operation: 'provision' });
  return createHash('sha1').update(imageId).digest('hex');
}

/** The key that an image id or a key itself means; undefined for neither. @throws INVALID_ARGUMENT */
export function wantedKey({ imageId, key }: { imageId?: string; key?: string }): string | undefined {
  if (imageId !== undefined && key === undefined) return cacheKey(imageId);
  if (key === undefined) return undefined;
  if (imageId === undefined && /^[0-9a-f]{40}$/.test(key)) return key;
  const what =
    imageId === undefined ? `'${key}' is no SHA-1 of an image id` : 'An image id and a key are given';
  throw new DiskImageError('INVALID_ARGUMENT', what, { operation: 'cache' });
}

export interface CachePaths {
  /** The verified raw base image. */
  base: string;
  /** The download. */
  part: string;
  /** Validators of the download, for resuming it. */
  partState: string;
  /** The raw image before it was inspected. */
  converted: string;
  /** What is known of the base. */
  record: string;
  /** Name of the lock file in the lock folder. */
  lockName: string;
}

/** Paths of one image in the cache of `instances`. */
export function cachePaths(instances: string, key: string): CachePaths {
  const base = join(baseFolder(instances), key);
  const records = join(baseFolder(instances), RECORD_FOLDER);
  return {
    base,
    part: `${base}.part`,
    partState: join(records, `${key}.part.json`),
    converted: `${base}.converted`,
    record: join(records, `${key}.json`),
    lockName: `nova-${key}`,
  };
}

export function baseFolder(instances: string): string {
  return join(resolve(instances), BASE_FOLDER);
}

export function lockFolder(instances: string): string {
  return join(resolve(instances), LOCK_FOLDER);
}

/**
 * `<key>_<GiB>`, as Nova names a base grown to a flavor's size; sizes that are no whole number of GiB get
 * `<key>_<bytes>B`, so that 0.5 GiB and 0.7 GiB don't share a name.
 */
export function resizedName(base: string, size: number): string {
  return size % GiB === 0 ? `${base}_${size / GiB}` : `${base}_${size}B`;
}

/** Takes a file name of `_base` apart; undefined for names that the cache of images does not use. */
export function parseBaseName(
  name: string,
): { key: string; kind: 'base' | 'resized' | 'part' | 'converted' | 'temporary' } | undefined {
  // Where a filesystem has no nameless files, a killed run leaves these (disk/newFile.ts).
  const temporary = /^\.([0-9a-f]{40})[._0-9a-zB]*\.basecow-tmp$/.exec(name);
  if (temporary) return { key: temporary[1], kind: 'temporary' };
  const match = /^([0-9a-f]{40})(?:(\.part)|(\.converted)|(_[0-9]+B?))?$/.exec(name);
  if (!match) return undefined;
  const kind = match[2] ? 'part' : match[3] ? 'converted' : match[4] ? 'resized' : 'base';
  return { key: match[1], kind };
}

/**
 * Folder of an instance.
 * @throws INVALID_ARGUMENT for names that are no plain file name or that the instances folder uses itself.
 */
export function instanceFolder(instances: string, instance: string): string {
  requireString(instance, 'instance', 'provision');
  const reserved = ['', '.', '..', BASE_FOLDER, LOCK_FOLDER, 'snapshots'];
  if (reserved.includes(instance) || /[/\0]/.test(instance) || Buffer.byteLength(instance) > NAME_MAX) {
    throw new DiskImageError(
      'INVALID_ARGUMENT',
      `'${instance}' can't be the name of an instance: it must be a plain folder name of at most ${NAME_MAX} bytes, and not ${reserved.slice(3).join(', ')}`,
      { operation: 'provision' },
    );
  }
  return join(resolve(instances), instance);
}
